"""Imported once by the process that others are forked from: with this module all that a build imports is there."""

from __future__ import annotations

import datasets  # noqa: F401
import langdetect  # noqa: F401
import polars as pl  # noqa: F401
import pyarrow.parquet  # noqa: F401
from huggingface_hub import HfApi, HfFileSystem, constants  # noqa: F401

from curator import artifact, cache, coverage, plugins, report, tokens  # noqa: F401
from curator import build as _build  # noqa: F401
from curator.catalog import data_root
from curator.cli import sets  # noqa: F401

tokens.load("starter", starter=data_root() / "sources" / "starter" / "tokenizer")
for name in plugins.names("adapters"):
    plugins.load("adapters", name)
