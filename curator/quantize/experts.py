"""What the ledger and the evaluation add to a run: the files beside a quantized model, the lines of its card, the verdict.

It hides which samples each of them is given and when; `curator.quantize.run` knows neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import artifact
from curator.quantize import distributed, evaluate, expert_report, ledger, oneshot
from curator.quantize.data import Observer, Progress

if TYPE_CHECKING:
    from curator.quantize.run import Prepared

SUMMARY = "expert_tokens.json"
LEDGER = artifact.Kind("ledger", SUMMARY, alone=frozenset({SUMMARY, "expert_tokens.parquet", "expert_calibration.parquet", "expert_report.html"}))
COST = "evaluation.json"


class Account:
    """The books of one run. ``minimum`` is the tokens that each expert should have; None takes the policy's."""

    def __init__(self, prepared: Prepared, *, minimum: int | None, held_out: int = 0, progress: Progress = lambda *_: None) -> None:
        self._prepared, self._progress = prepared, progress
        self._documents = artifact.read_frame(prepared.request.build, "documents")
        self._minimum = minimum
        self._reference = self._refer() if held_out and distributed.rank() == 0 else None
        self.watch = ledger.Ledger(self._documents)  # the observer of the calibration
        self.facts: Mapping[str, Any] = {}  # what expert_tokens.json holds, once it is written
        self.cost: Mapping[str, Any] | None = None

    def observers(self) -> list[Observer]:
        """Who has to look on while the model is calibrated. A recipe that needs no samples shows none: then they are counted now."""
        if any(modifier.requires_calibration_data for modifier in self._prepared.modifiers):
            return [self.watch]
        self.count()
        return []

    def count(self) -> None:
        """Fill the ledger from the samples that would be calibrated on, with nothing done to the model. Raises QuantizeError."""
        self.watch = ledger.Ledger(self._documents, way="plain")
        batches = oneshot.calibration_batches(self._prepared.request.build, distributed.share(self._prepared.samples.calibration))
        oneshot.look_on(self._prepared.model, batches, self.watch, note=self._prepared.notes, progress=self._progress)

    @property
    def minimum(self) -> int:
        """Tokens that each expert should have."""
        return ledger.default_minimum(self.watch.result()) if self._minimum is None else self._minimum

    def write(self, folder: Path) -> dict[str, Any]:
        """The tables of the ledger, its page, and what quantizing cost where that was asked for; gives lines for the model card."""
        counted = self.watch.result()
        self.facts = ledger.write(folder, counted, self.minimum)
        expert_report.write(folder / "expert_report.html", counted, self.minimum)
        if self._reference is not None:
            scores = evaluate.compare(self._reference, self._prepared.model, progress=self._progress)
            figures = evaluate.cost(evaluate.token_table(self._reference, scores, self._documents))
            self.cost = {"held_out": [batch.sample for batch in self._reference.batches], **figures}
            artifact.write_json(folder / COST, self.cost)
        return self.lines()

    def write_alone(self, out: Path, *, force: bool) -> dict[str, Any]:
        """``write`` into a folder of its own. Raises UsageError."""
        with artifact.new_folder(out, LEDGER, force=force) as folder:
            return self.write(folder)

    def lines(self) -> dict[str, Any]:
        """What was written, in a few lines for a reader."""
        return lines(self.facts) | (cost_lines(self.cost) if self.cost else {})

    def require(self) -> None:
        """Raise ShortfallError where some expert has too few tokens."""
        ledger.require(self.watch.result(), self.minimum)

    def _refer(self) -> evaluate.Reference:
        batches = oneshot.calibration_batches(self._prepared.request.build, self._prepared.samples.held_out)
        return evaluate.reference(self._prepared.model, batches, progress=self._progress)


def lines(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A ledger's summary in the words of a model card."""
    layers = facts["per_layer"]
    if not layers:
        return {"experts": "none: a dense model"}
    return {
        "layers with experts": facts["layers"],
        "experts in a layer": facts["experts"],
        "experts for each token": facts["top_k"],
        "tokens in calibration": facts["tokens"],
        "least tokens that routing sends to an expert": min(layer["min"] for layer in layers),
        "experts that routing sends none": sum(layer["zero"] for layer in layers),
        f"experts with fewer than {facts['minimum']:,}": len(facts["below_minimum"]),
    }


def cost_lines(cost: Mapping[str, Any]) -> dict[str, Any]:
    """The overall figures of an evaluation in the words of a model card."""
    overall = cost["overall"]
    return {
        "held-out tokens evaluated": overall["tokens"],
        "perplexity of the source": _with_error(overall["perplexity_source"]),
        "perplexity, quantized": _with_error(overall["perplexity"]),
        "KL divergence per token, mean (nats)": _with_error(overall["kl_mean"]),
        "KL divergence per token, 99th percentile": _with_error(overall["kl_p99"]),
    }


def _with_error(figure: Mapping[str, float | None]) -> str:
    return f"{figure['value']:.4g}" + (f" ± {figure['se']:.2g}" if figure["se"] is not None else "")
