"""llm-compressor's oneshot over a build: the model loaded for calibration, the samples as it takes them, one run watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curator import artifact
from curator.checkpoints.reading import CONFIG, listed, open_checkpoint, read_config
from curator.errors import CurateError, QuantizeError, SourceError, UsageError
from curator.quantize import download, evaluate, masks
from curator.quantize.data import EXPERT_COUNTS, Batch, Note, Observer, Progress
from curator.quantize.library import conversions_kept, tamed
from curator.quantize.names import gaps, natural, shown
from curator.quantize.recipe_faults import QUANTIZING
from curator.quantize.smoothing import decoder_layers

if TYPE_CHECKING:
    import polars as pl

TOP_K = "num_experts_per_tok"  # as configurations call it
PROOF_SAMPLES = 2  # held out of the calibration, so that smoothing is proved on text that it has not seen
SEED = 0
Experts = Literal["all", "routed"]


@dataclass(frozen=True, slots=True)
class Samples:
    """Which samples of a build do what, as lines of samples.parquet, in order."""

    calibration: tuple[int, ...]
    held_out: tuple[int, ...]


def fetch(name: str, *, note: Note = lambda _: None) -> Path:
    """The folder of a model: itself, or that of a hub id, downloaded. Raises UsageError or SourceError."""
    folder = Path(name)
    if not folder.is_dir():
        return download.model(name, note=note)
    if not (folder / CONFIG).is_file():
        raise UsageError(f"{folder}: no {CONFIG} there; name the folder of a model in the Hugging Face layout")
    return folder


def refuse_other_device(name: str | None) -> None:
    """Raise UsageError where llm-compressor would run on another device than the one with this name, as ``cuda`` or ``cpu``: it takes
    the first accelerator that it sees, and the CPU where there is none. None is whatever it takes."""
    if name is None:
        return
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name}: not a device; give cpu or cuda") from None
    here = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device.type == "cpu":
        if here is not None:
            raise UsageError(f"--device cpu: llm-compressor takes the {here.type} that it sees; hide it (CUDA_VISIBLE_DEVICES='') to run on the CPU")
    elif here is None or here.type != device.type or (device.index or 0) >= torch.accelerator.device_count():
        raise UsageError(f"--device {name}: there is no such device here; give {here.type if here else 'cpu'}")
    elif device.index:
        raise UsageError(f"--device {name}: llm-compressor takes the first one that it sees; give CUDA_VISIBLE_DEVICES={device.index} instead")


def load_model(folder: Path, *, note: Note = lambda _: None) -> Any:
    """The model as llm-compressor calibrates it: in its own type, every expert a module of its own, kept on the CPU; each
    module's weights go to the accelerator while it runs, where there is one. Raises QuantizeError, before anything large is read
    where the files do not fit the config."""
    from compressed_tensors.offload import set_onload_device
    from llmcompressor.utils import load_context
    from llmcompressor.utils.dev import get_main_device
    from transformers import AutoConfig, AutoModelForCausalLM

    _refuse_other_kinds(folder, _config_of(folder))
    with tamed(note), errors_of_the_library(f"{folder}: cannot be loaded; look at its {CONFIG}"):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _refuse_odd_routing(folder, config)
        _refuse_other_weights(folder, note)
        with conversions_kept(config.model_type), load_context():
            # The whole model goes into memory; left to itself, the library asks an accelerator for limits even where there is none.
            model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", trust_remote_code=False, max_memory=None)
        set_onload_device(model, get_main_device())
    model.eval()
    return model


def _config_of(folder: Path) -> dict[str, Any]:
    """``config.json`` as it is written. Raises QuantizeError where it cannot be read."""
    faults: list[str] = []
    config = read_config(folder, faults)
    if faults:
        raise QuantizeError(listed(f"{folder} cannot be used", faults))
    return config


def _refuse_other_kinds(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise QuantizeError for a model that does not continue text, or whose code transformers does not have."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    kind, where = config.get("model_type"), folder / CONFIG
    if not isinstance(kind, str) or not kind:
        raise QuantizeError(f"{where}: has no model_type; name the folder of a model in the Hugging Face layout")
    if kind not in transformers.CONFIG_MAPPING:
        own = "comes with code of its own, which curate does not run" if config.get("auto_map") else "is unknown"
        raise QuantizeError(f"{where}: model_type {kind} {own}; transformers {transformers.__version__} has no such model: install one that has")
    known, names = transformers.CONFIG_MAPPING[kind], config.get("architectures") or ["no architecture named"]
    said = {key: config.get(key, getattr(known, key, None)) for key in ("is_encoder_decoder", "is_decoder")}
    causal = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    encodes = said["is_decoder"] is False and causal not in names  # which some decoders say too (GPT-NeoX)
    if causal is None or said["is_encoder_decoder"] or encodes:
        raise QuantizeError(
            f"{where}: model_type {kind} ({', '.join(map(str, names))}) is no language model that continues text "
            "(AutoModelForCausalLM), and no other is quantized; of a model that also sees or hears, give the language model by itself"
        )


def _refuse_odd_routing(folder: Path, config: Any) -> None:
    experts = next((n for n in (getattr(config, key, None) for key in EXPERT_COUNTS) if isinstance(n, int)), None)
    chosen = getattr(config, TOP_K, None)
    if experts is not None and isinstance(chosen, int) and not 1 <= chosen <= experts:
        raise QuantizeError(f"{folder / CONFIG}: {TOP_K} is {chosen}, of {experts} experts")


def _refuse_other_weights(folder: Path, note: Note) -> None:
    """Raise QuantizeError where files and config do not make one model: transformers would put random numbers for what is
    missing, and calibrate, count and verify those. It is asked for a model without numbers, which takes no time."""
    from transformers import AutoModelForCausalLM

    try:
        _, found = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto", trust_remote_code=False, device_map="meta", output_loading_info=True, ignore_mismatched_sizes=True
        )
    except RuntimeError as error:
        if "conversion" not in str(error):
            raise
        faults = [f"{n}: missing from the files" for n in gaps(open_checkpoint(folder).tensors)] or [
            "the tensors of its experts cannot be put together: one is missing, or too large"
        ]
    else:
        faults = [f"{name}: missing from the files" for name in sorted(found["missing_keys"], key=natural)]
        faults += [f"{name}: {list(there)} in the files, {list(here)} by {CONFIG}" for name, there, here in sorted(found["mismatched_keys"])]
        faults += found["error_msgs"]
        if found["unexpected_keys"]:
            note(f"{shown(sorted(found['unexpected_keys'], key=natural))}: in the files and not in the model as it is loaded; copied as they are")
    if faults:
        raise QuantizeError(listed(f"{folder}: its files and its {CONFIG} are not of one model", faults))


def choose(table: pl.DataFrame, *, samples: int | None = None, held_out: int = PROOF_SAMPLES) -> Samples:
    """Which samples of ``samples.parquet`` to calibrate on and which to hold out: of each category its share is held out, the
    others keep their order.

    Raises UsageError where there are not enough.
    """
    held, count = max(held_out, PROOF_SAMPLES), len(table)
    if count < held + 1:
        raise UsageError(f"the build has {count} samples; {held} are held out and at least one is calibrated on: build more, or evaluate on fewer")
    kept_out = set(evaluate.hold_out(table, held, seed=SEED))
    rest = [n for n in range(count) if n not in kept_out]
    if samples is not None and samples > len(rest):
        raise UsageError(f"--samples {samples}: the build has {count} samples, of which {held} are held out; ask for {len(rest)} or fewer")
    return Samples(tuple(rest[:samples]), tuple(sorted(kept_out)))


def calibration_batches(build: Path, numbers: Sequence[int]) -> list[Batch]:
    """The samples of a build with these numbers, one to a batch."""
    import torch

    data = artifact.read_data(build)
    ids, positions = data["input_ids"], data["position_ids"]
    made = ((n, *(torch.tensor(c[n].to_numpy(), dtype=torch.int64)[None] for c in (ids, positions))) for n in numbers)
    return [Batch(*m) for m in made]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of llm-compressor over a model."""

    modifiers: Sequence[Any]
    batches: Sequence[Batch]
    experts: Experts = "all"
    before_rounding: Callable[[Any], object] = lambda _: None  # called with the model when it is smoothed and not yet rounded
    observers: Sequence[Observer] = ()
    corrected: bool = True  # a layer is calibrated on what the layers before it give once they are quantized
    note: Note = lambda _: None
    progress: Progress = lambda _what, _done, _all: None


def calibrate(model: Any, run: Run) -> None:
    """Quantize ``model`` in place. Raises QuantizeError."""
    import torch
    from llmcompressor import oneshot
    from llmcompressor.core import create_session
    from torch.utils.data import DataLoader

    modifiers = with_pause(run.modifiers, run.before_rounding)
    data = DataLoader([b.inputs() for b in run.batches], batch_size=None, shuffle=False)
    torch.manual_seed(SEED)
    with ExitStack() as stack:
        stack.enter_context(errors_of_the_library("llm-compressor stopped"))
        stack.enter_context(masks.made_when_run(model))
        stack.enter_context(tamed(run.note))
        stack.enter_context(create_session())
        for observer in run.observers:
            stack.enter_context(observer.attach(model, run.batches))
        stack.enter_context(progress_by_layer(model, sum(1 for m in run.modifiers if m.requires_calibration_data), run.progress))
        # The processor is asked for only to tokenize and to be saved, and neither is done here.
        oneshot(model=model, processor=object(), dataset=data, recipe=modifiers, moe_calibrate_all_experts=run.experts == "all", propagate_error=run.corrected)


def look_on(model: Any, batches: Sequence[Batch], observer: Observer, *, note: Note, progress: Progress) -> None:
    """Give the samples to ``model`` and do nothing to it. Layer by layer as a calibration does, so that a model larger than the
    accelerator is moved there once and not for every sample. Raises QuantizeError."""
    from llmcompressor.modifiers import Modifier

    class LookingModifier(Modifier):  # type: ignore[misc]
        requires_calibration_data: bool = True

        def on_initialize(self, state: Any, **_: Any) -> bool:
            return state is not None

    calibrate(model, Run([LookingModifier()], batches, experts="routed", observers=[observer], corrected=False, note=note, progress=progress))


def with_pause(modifiers: Sequence[Any], call: Callable[[Any], object]) -> list[Any]:
    """The modifiers with a stop between those that smooth and those that quantize. llm-compressor gives each modifier a
    pipeline of its own, one after the other; so a modifier of our own can look at the whole model in between."""
    from llmcompressor.modifiers import Modifier

    class PauseModifier(Modifier):  # type: ignore[misc]
        def on_initialize(self, state: Any, **_: Any) -> bool:
            return state is not None

        def on_calibration_start(self, state: Any, *_: Any, **__: Any) -> None:
            call(state.model)

        def on_finalize(self, state: Any, **_: Any) -> bool:
            return state is not None

    first = next((n for n, m in enumerate(modifiers) if type(m).__name__ in QUANTIZING), len(modifiers))
    late = [type(m).__name__ for m in modifiers[first:] if type(m).__name__ not in QUANTIZING]
    if late:
        raise QuantizeError(f"recipe: {', '.join(late)} after the quantization; put it before")
    return [*modifiers[:first], PauseModifier(), *modifiers[first:]] if first else list(modifiers)


@contextmanager
def progress_by_layer(model: Any, passes: int, progress: Progress) -> Iterator[None]:
    """Tell of every layer when it is first reached in each of the ``passes`` over the model."""
    layers = decoder_layers(model)
    total, done = passes * len(layers), 0
    last = -1

    def reached(number: int, name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            nonlocal done, last
            if number == last + 1 or (number == 0 and last == len(layers) - 1):
                progress(name, done, total)
                done, last = done + 1, number

        return hook

    handles = [module.register_forward_pre_hook(reached(n, name)) for n, (name, module) in enumerate(layers.items())]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if total:
        progress("done", total, total)


@contextmanager
def errors_of_the_library(what: str) -> Iterator[None]:
    """Whatever a library raises, as one QuantizeError."""
    try:
        yield
    except CurateError:
        raise
    except Exception as error:  # llm-compressor raises bare Exception too
        text = " ".join(str(error).split())[:400] or "no reason given"
        hint = "; use fewer or shorter samples, or a larger device" if "out of memory" in text.lower() else ""
        raise QuantizeError(f"{what}: {type(error).__name__}: {text}{hint}") from error


def check_tokens(described: Mapping[str, Any], model: Any, folder: Path, *, other_tokenizer: bool) -> str | None:
    """Refuse a build that was made for another tokenizer than the model's; gives a note where that is accepted or cannot be
    seen. Raises UsageError."""
    from curator import tokens

    made_for = described["tokenizer"]
    vocabulary = model.get_input_embeddings().weight.shape[0]
    if made_for["vocab_size"] > vocabulary:
        raise UsageError(
            f"the build has tokens up to {made_for['vocab_size'] - 1:,} and the model knows {vocabulary:,}; build the set with the model's tokenizer"
        )
    try:
        own = tokens.load(str(folder)).identity.sha256
    except SourceError as error:
        if not other_tokenizer:
            raise UsageError(f"{error}; or --other-tokenizer, if you know that the build was made for this model") from None
        return f"the model's tokenizer cannot be read, so it was not compared with that of the build ({made_for['id']})"
    if own == made_for["sha256"]:
        return None
    if not other_tokenizer:
        raise UsageError(
            f"the build was made for the tokenizer {made_for['id']} ({made_for['sha256'][:12]}), and the model's is another one ({own[:12]}); "
            f"build with --tokenizer {folder}, or give --other-tokenizer if they mean the same"
        )
    return f"the build was made for another tokenizer than the model's: {made_for['id']}"
