"""From a build and a model to a quantized folder: the pipeline, top to bottom. "Read this file first"."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from curator import artifact
from curator.checkpoints.reading import open_checkpoint
from curator.errors import CurateError, QuantizeError
from curator.quantize import checkpoint, distributed, library, oneshot, recipe_faults, recipes, smoothing
from curator.quantize.card import card
from curator.quantize.data import Note, Observer, Progress
from curator.quantize.names import Naming, naming, natural, numberless
from curator.quantize.recipes import Recipe, Selection
from curator.quantize.smoothing import Difference, Proof, Smoothed
from curator.quantize.verify import verify


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    build: Path
    model: str  # a folder or a hub id
    recipe: str | None = None
    experts: oneshot.Experts = "all"
    samples: int | None = None  # to calibrate on; None: all that are not held out
    held_out: int = oneshot.PROOF_SAMPLES
    other_tokenizer: bool = False
    device: str | None = None


@dataclass
class Notes:
    """What the user should see, told at once and kept for the manifest."""

    tell: Note
    lines: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)
            self.tell(line)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model in memory with all that is to be done to it, before anything is."""

    request: Request
    source: Path
    described: Mapping[str, Any]  # the manifest of the build
    model: Any
    naming: Naming
    recipe: Recipe
    modifiers: Sequence[Any]
    selection: Selection
    smoothed: Sequence[Smoothed]
    samples: oneshot.Samples
    notes: Notes


def prepare(request: Request, *, note: Note = lambda _: None, guard: bool = True) -> Prepared:
    """Load everything, and find out what the recipe means in this model. ``guard=False`` leaves smoothing as the recipe says
    it, for tests of the proof. Raises UsageError, SourceError, QuantizeError, MissingExtra."""
    library.require()
    described = artifact.manifest(request.build)
    artifact.verify(request.build, described)
    samples = oneshot.choose(artifact.read_frame(request.build, "samples"), samples=request.samples, held_out=request.held_out)
    wanted = recipes.load(request.recipe) if request.recipe else None
    oneshot.refuse_other_device(request.device)
    source = oneshot.fetch(request.model, note=note)
    checkpoint.refuse_quantized(source)
    stored = open_checkpoint(source).tensors
    notes = Notes(note)
    model = oneshot.load_model(source, note=notes)
    told = oneshot.check_tokens(described, model, source, other_tokenizer=request.other_tokenizer)
    if told:
        notes(told)
    names = naming(model, stored)
    recipe = recipes.translate(wanted or recipes.load(recipes.default(model)), model, names, notes)
    made = recipes.modifiers(recipe)
    selection = recipes.select(recipe, model, made)
    checkpoint.refuse_other_values(model, names, stored, selection.modules)
    prepared = Prepared(request, source, described, model, names, recipe, made, selection, (), samples, notes)
    return replace(prepared, smoothed=_smooth(prepared, guard=guard))


def _smooth(prepared: Prepared, *, guard: bool) -> list[Smoothed]:
    """Put the mappings that preserve the function into the smoothing modifiers."""
    from llmcompressor.modifiers.transform.awq import AWQMapping

    model, notes = prepared.model, prepared.notes
    probe = oneshot.calibration_batches(prepared.request.build, prepared.samples.held_out[:1])[0]
    every: list[Smoothed] = []
    for modifier, (kind, settings) in zip(prepared.modifiers, prepared.recipe.steps, strict=True):
        if kind != recipe_faults.SMOOTHING:
            continue
        stated = settings.get("mappings")
        mappings = stated or smoothing.inferred(model)
        with library.tamed(notes), oneshot.errors_of_the_library("the model could not be followed"):
            found = smoothing.complete(mappings, model, prepared.selection.modules, probe, notes, stated=bool(stated), guard=guard)
        modifier.mappings = [AWQMapping(**m) for m in smoothing.mappings_of(found, model)]
        every += found
    return every


def plan(prepared: Prepared) -> dict[str, Any]:
    """What would be done, module by module (``--dry-run``), under the names of the checkpoint."""
    source_of = prepared.naming.source_of
    return {
        "model": prepared.request.model,
        "recipe": prepared.recipe.name,
        "quantized": [{"module": source_of(n), "how": how} for n, how in sorted(prepared.selection.modules.items(), key=lambda i: natural(i[0]))],
        "smoothed": [{"layer": source_of(s.layer), "balanced": [source_of(b) for b in s.balanced]} for s in prepared.smoothed],
        "left": [prepared.naming.in_source.get(n, n) for n in prepared.selection.left],
        "calibration_samples": len(prepared.samples.calibration),
        "held_out_samples": len(prepared.samples.held_out),
        "notes": list(prepared.notes.lines),
    }


def kinds(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The quantized modules of a plan, layers and experts of one make on one line."""
    found: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (numberless(row["module"]).replace(r"\d+", "N").replace("\\", ""), row["how"])
        found[key] = found.get(key, 0) + 1
    return [{"module": module, "how": how, "count": count} for (module, how), count in found.items()]


def quantize(
    prepared: Prepared,
    out: Path,
    *,
    observers: Sequence[Observer] = (),
    ledger: Callable[[Path], Mapping[str, Any]] = lambda _: {},
    progress: Progress = lambda *_: None,
    force: bool = False,
) -> dict[str, Any]:
    """Calibrate, write, verify. ``observers`` look on; ``ledger`` is called with the folder before it is described, writes
    its files there and gives a summary for the card. Returns the manifest, and under ``run`` on what, how long and in how much memory
    it was calibrated. Raises QuantizeError; then nothing is left at ``out``.
    Of several processes the first alone writes; the others have an empty manifest.
    """
    if distributed.rank():
        calibrate(prepared, observers=observers)
        return {}
    with artifact.new_folder(out, checkpoint.QUANTIZED, force=force) as folder:
        started = time.monotonic()
        library.forget_peak()
        found = calibrate(prepared, observers=observers, progress=progress)
        ran = {**library.machine(), "processes": distributed.size(), "calibration_seconds": round(time.monotonic() - started, 1)}
        manifest = _write(prepared, folder, out, found, ledger=ledger, progress=progress)
    return manifest | {"run": ran}


def _write(
    prepared: Prepared, folder: Path, out: Path, found: Sequence[Difference], *, ledger: Callable[[Path], Mapping[str, Any]], progress: Progress
) -> dict[str, Any]:
    """Everything that belongs into the folder, and a look at whether it is as it should be. Nothing in it tells the time, so that the
    same run gives the same bytes."""
    touched = [name for s in prepared.smoothed for name in (s.layer, *s.balanced)]
    written = checkpoint.write(prepared.model, prepared.naming, prepared.source, folder, may_change=touched, progress=progress)
    with _kept_when_a_page_fails(folder, out, prepared.notes):
        summary = ledger(folder)
        facts = describe(prepared, written, found)
        (folder / "README.md").write_text(card(facts | {"tensors_smoothed": written.smoothed}, ledger=summary), encoding="utf-8")
    manifest = checkpoint.write_manifest(folder, facts, written)
    progress("verifying", 0, 1)
    faults = verify(folder, prepared.source)
    if faults:
        told = "\n".join(f"* {f}" for f in faults[:20])
        raise QuantizeError(f"{prepared.request.model}: what was written is not as it should be, and was removed:\n{told}")
    return manifest


@contextmanager
def _kept_when_a_page_fails(folder: Path, out: Path, notes: Note) -> Iterator[None]:
    """A calibration takes hours and a table about it seconds: a bug in the second must not cost the first. The tensors stay under
    another name, without the manifest that says that they are finished."""
    try:
        yield
    except CurateError:
        raise
    except Exception:
        kept = Path(tempfile.mkdtemp(prefix=f"{out.name}.unfinished-", dir=out.parent))  # a name of its own: nothing is replaced
        os.replace(folder, kept)
        notes(f"what was quantized is kept in {kept}, without its ledger, its card and its manifest, and not verified")
        raise


def calibrate(prepared: Prepared, *, observers: Sequence[Observer] = (), progress: Progress = lambda *_: None) -> list[Difference]:
    """Quantize the model in memory, each process on its share of the samples; smoothing is proved before anything is rounded.
    Returns how far each layer was off."""
    request, model, notes = prepared.request, prepared.model, prepared.notes
    found: list[Difference] = []
    proof = None
    if prepared.smoothed:
        with library.tamed(notes), oneshot.errors_of_the_library("the model could not be run"):
            proof = Proof.take(model, oneshot.calibration_batches(request.build, prepared.samples.held_out[: oneshot.PROOF_SAMPLES]))

    def before_rounding(smoothed: Any) -> None:
        if proof is not None:
            found.extend(proof.check(smoothed))

    batches = oneshot.calibration_batches(request.build, distributed.share(prepared.samples.calibration))
    run = oneshot.Run(prepared.modifiers, batches, experts=request.experts, before_rounding=before_rounding, observers=observers, note=notes, progress=progress)
    oneshot.calibrate(model, run)
    return found


def describe(prepared: Prepared, written: checkpoint.Written, found: Sequence[Difference]) -> dict[str, Any]:
    """What was done, for the manifest and the card."""
    request, described, recipe = prepared.request, prepared.described, prepared.recipe
    hub = not Path(request.model).is_dir()
    layers = [d for d in found if d.layer != smoothing.HEAD]
    facts: dict[str, Any] = {
        "model": {"name": request.model if hub else prepared.source.resolve().name, "hub": hub},
        "build": {
            "mix": described["mix"]["name"],
            "fingerprint": described["fingerprint"],
            "max_seq_length": described["max_seq_length"],
            "samples": len(prepared.samples.calibration),
            "held_out": len(prepared.samples.held_out),
        },
        "recipe": {"name": recipe.name, "sha256": recipe.sha256, "text": recipe.text},
        "calibrate_experts": request.experts,
        "summary": checkpoint.said(written),
        "notes": list(prepared.notes.lines),
        "versions": library.versions(),
    }
    if found:
        worst = max(layers or found, key=lambda d: d.held)
        facts["smoothing"] = {"samples": oneshot.PROOF_SAMPLES, "logits": asdict(found[-1]), "worst_layer": asdict(worst)}
    return facts
