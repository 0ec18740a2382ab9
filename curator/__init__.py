"""curate: calibration sets for quantizing language models, from a declarative mix."""

__version__ = "0.1.0"
