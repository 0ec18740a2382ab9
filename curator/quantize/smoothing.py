"""Smoothing that leaves what the model computes as it is: balanced at everything that reads it, and proved on the run.

AWQ divides the output of a layer by a factor per channel and multiplies the weights that read it by the same factor
(https://arxiv.org/abs/2306.00978). A reader that is left out gets other inputs than before; a router then picks other experts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from curator.errors import QuantizeError
from curator.quantize import library, readers
from curator.quantize.data import Batch, Note
from curator.quantize.names import first_number, matches, natural, numberless, patterns, shown

TRACED = 16  # tokens that are enough to see who reads what
PROVED = 256  # tokens of each held-out sample in the proof
HEAD = "the logits"
# Largest relative difference of what a layer adds to its input, which nine tokens in ten must keep to. Scaled weights are
# rounded anew to the model's type, and nothing else may differ. In bfloat16 that gave up to 0.012 on the models of the tests and
# on a trained one; a router left out of the balance gave 0.034 to 0.40. Tokens on the edge between two experts may fall to the
# other side by rounding alone, hence not all ten.
TOLERANCE = {"float32": 1e-4, "float16": 0.005, "bfloat16": 0.02}
TOKENS_HELD = 0.9


@dataclass(frozen=True, slots=True)
class Smoothed:
    """One layer whose output is divided, and all that is multiplied for it."""

    layer: str
    balanced: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """A model's modules with a weight, which of all are quantized, and who reads what."""

    modules: Mapping[str, Any]
    quantized: Mapping[str, Any]
    readers: readers.Readers


def complete(
    mappings: Sequence[Mapping[str, Any]],
    model: Any,
    quantized: Mapping[str, Any],
    batch: Batch,
    note: Note,
    *,
    stated: bool = True,
    guard: bool = True,
) -> list[Smoothed]:
    """What the mappings of a recipe mean in ``model``, with the readers that they leave out added and told to ``note``.

    ``guard=False`` adds none: for tests of what happens then. Raises QuantizeError for a mapping that cannot preserve the
    function, or that smooths nothing; one that no recipe has ``stated`` is left out then.
    """
    modules = {name: module for name, module in model.named_modules() if name and _has_weight(module)}
    smooth_of = [[n for n in modules if matches(m["smooth_layer"], n)] for m in mappings]
    known = _Known(modules, quantized, trace(model, sorted({n for names in smooth_of for n in names}, key=natural), batch))
    smoothed = [
        each for mapping, layers in zip(mappings, smooth_of, strict=True) for each in _completed(mapping, layers, known, note, stated=stated, guard=guard)
    ]
    if not smoothed:
        raise QuantizeError("AWQ finds nothing to smooth in this model; give AWQModifier mappings that fit, or take a recipe without it")
    return smoothed


def _completed(mapping: Mapping[str, Any], layers: Sequence[str], known: _Known, note: Note, *, stated: bool, guard: bool) -> list[Smoothed]:
    """What one mapping means for the layers that it smooths."""
    wanted = {n for n in known.modules if any(matches(p, n) for p in mapping["balance_layers"])}
    made = list(_of_mapping(layers, wanted, known))
    if not made:
        _leave_out(mapping, layers, wanted, known, note, stated=stated)
        return []
    _refuse_strangers(mapping, wanted, [r for n in layers for r in known.readers.modules[n]])
    if not guard:
        return [Smoothed(s.layer, tuple(r for r in s.balanced if r in wanted)) for s in made]
    added = [r for s in made for r in s.balanced if r not in wanted]
    if added:
        note(f"{mapping['smooth_layer']} is read by {shown(added)} as well; added to its balance layers, so that smoothing changes nothing but weights")
    return made


def _leave_out(mapping: Mapping[str, Any], layers: Sequence[str], wanted: set[str], known: _Known, note: Note, *, stated: bool) -> None:
    """Say why a mapping comes to nothing. Raises QuantizeError where a recipe states one that is of no use; llm-compressor's own are
    those of a whole family, whatever a recipe quantizes."""
    reading = known.readers.modules
    unfit = [n for n in layers if wanted.intersection(reading[n]) and not _fit(n, known)]
    if unfit:
        note(f"mapping of {mapping['smooth_layer']}: left out, since {shown(reading[unfit[0]])} reads its channels more than once (heads share them)")
    elif stated:
        raise QuantizeError(
            f"mapping of {mapping['smooth_layer']}: nothing that is quantized and named in {', '.join(mapping['balance_layers'])} reads it; "
            f"it is read by {shown(r for n in layers for r in reading[n]) or 'nothing'}; mend the mapping, leave it out, or take a recipe without AWQ"
        )


def inferred(model: Any) -> list[dict[str, Any]]:
    """The mappings that llm-compressor has for the model's family, for a recipe that states none."""
    from llmcompressor.modifiers.transform.awq.dynamic_mappings import get_layer_mappings_from_model

    return [{"smooth_layer": m.smooth_layer, "balance_layers": list(m.balance_layers)} for m in get_layer_mappings_from_model(model)]


def _of_mapping(layers: Sequence[str], wanted: set[str], known: _Known) -> Iterator[Smoothed]:
    for layer in layers:
        reading, others = known.readers.modules[layer], known.readers.others[layer]
        if not wanted.intersection(reading) or not any(n in known.quantized for n in (layer, *reading)):
            continue
        if others:
            raise QuantizeError(f"{layer}: its output is also used by {', '.join(others)}, where nothing can be balanced; leave its mapping out")
        if _fit(layer, known):
            yield Smoothed(layer, reading)


def _refuse_strangers(mapping: Mapping[str, Any], wanted: set[str], reading: Sequence[str]) -> None:
    strangers = wanted.difference(reading)
    if strangers:
        raise QuantizeError(
            f"mapping of {mapping['smooth_layer']}: {shown(sorted(strangers, key=natural))} does not read it; take it out of the balance layers"
        )


def _has_weight(module: Any) -> bool:
    weight = getattr(module, "weight", None)
    return weight is not None and hasattr(weight, "shape") and len(weight.shape) in (1, 2)


def _fit(layer: str, known: _Known) -> bool:
    """Whether a layer gives one channel for each that is read; not so where heads share their values."""
    given = known.modules[layer].weight.shape[0]
    return all(given == known.modules[r].weight.shape[-1] for r in known.readers.modules[layer])


def trace(model: Any, layers: Sequence[str], batch: Batch) -> readers.Readers:
    """Who reads ``layers``, all experts running."""
    from llmcompressor.modeling.moe.context import moe_calibration_context

    with bare(model), moe_calibration_context():
        return readers.find(model, layers, lambda: _forward(model, batch, TRACED))


def mappings_of(smoothed: Sequence[Smoothed], model: Any) -> list[dict[str, Any]]:
    """The same for llm-compressor, which takes patterns: one mapping for all layers of one make."""
    makes: dict[tuple[str, frozenset[str]], list[Smoothed]] = defaultdict(list)
    for each in smoothed:
        makes[numberless(each.layer), frozenset(map(numberless, each.balanced))].append(each)
    everything = [name for name, _ in model.named_modules() if name]
    return [m for group in makes.values() for m in _one_make(group, everything)]


def _one_make(group: Sequence[Smoothed], everything: Sequence[str]) -> Iterator[dict[str, Any]]:
    smooth = patterns([s.layer for s in group], everything)
    balance = patterns([b for s in group for b in s.balanced], everything)
    if len(smooth) == 1 and all(p.startswith("re:") for p in balance):
        yield {"smooth_layer": smooth[0], "balance_layers": balance}
        return
    for layer in sorted({first_number(s.layer) for s in group}, key=int):
        for s in (s for s in group if first_number(s.layer) == layer):
            yield {"smooth_layer": s.layer, "balance_layers": list(s.balanced)}


@contextmanager
def bare(model: Any) -> Iterator[None]:
    """The model without anyone's hooks, in evaluation, nothing quantized, no gradients: as it computes by itself."""
    import torch
    from llmcompressor.utils.helpers import DisableQuantization

    kept = [(m, dict(m._forward_hooks), dict(m._forward_pre_hooks)) for m in model.modules()]
    training = model.training
    for module, _, _ in kept:
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    model.eval()
    try:
        with torch.no_grad(), DisableQuantization(model):
            yield
    finally:
        model.train(training)
        for module, after, before in kept:
            module._forward_hooks.update(after)
            module._forward_pre_hooks.update(before)


def _forward(model: Any, batch: Batch, tokens: int) -> Any:
    """The model on the first tokens of a sample."""
    given = batch.inputs(library.device_of(model))
    return model(**{name: tensor[:, :tokens] for name, tensor in given.items()}, use_cache=False)


def decoder_layers(model: Any) -> dict[str, Any]:
    """The repeated blocks of the model by name, in order."""
    kinds = set(getattr(model, "_no_split_modules", None) or ())
    return {name: module for name, module in model.named_modules() if type(module).__name__ in kinds}


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a layer's output is from what it was, relative to what it adds to its input; by token."""

    layer: str
    median: float
    held: float  # the largest of the nine tokens in ten that differ least
    worst: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Proof:
    """What the model computed on held-out samples before it was smoothed."""

    batches: tuple[Batch, ...]
    before: _Seen
    tolerance: float

    @classmethod
    def take(cls, model: Any, batches: Sequence[Batch]) -> Proof:
        """Run the held-out samples through the model as it is."""
        tolerance = TOLERANCE.get(str(model.dtype).removeprefix("torch."), TOLERANCE["bfloat16"])
        return cls(tuple(batches), _watch(model, batches), tolerance)

    def check(self, model: Any) -> list[Difference]:
        """Run them again: every layer by itself on the input that it had before, so that rounding does not add up over layers,
        and once from end to end, where it may, as the square root of the number of layers. Raises QuantizeError that names
        the first layer that differs."""
        alone = _watch(model, self.batches, instead=self.before.inputs)
        layers = list(self.before.outputs)
        found = [_difference(n, self.before.inputs[n], self.before.outputs[n], alone.outputs[n], self.tolerance) for n in layers]
        whole = _watch(model, self.batches)
        found.append(_difference(HEAD, None, self.before.logits, whole.logits, self.tolerance * max(1, len(layers)) ** 0.5))
        wrong = next((d for d in found if not (d.median if d.layer == HEAD else d.held) <= d.tolerance), None)
        if wrong is not None:
            raise QuantizeError(
                f"smoothing changed what the model computes: {wrong.layer} is the first to differ, by {wrong.held:.2g} of its output "
                f"({wrong.tolerance:.2g} is allowed): something that reads a smoothed layer is not among its balance layers; mend the mappings of the recipe"
            )
        return found


@dataclass(frozen=True, slots=True)
class _Seen:
    inputs: dict[str, list[Any]]  # by layer, one [1, tokens, hidden] for each sample
    outputs: dict[str, list[Any]]
    logits: list[Any]


def _watch(model: Any, batches: Sequence[Batch], *, instead: Mapping[str, Sequence[Any]] | None = None) -> _Seen:
    """Run ``batches`` and keep what goes into and out of every layer; ``instead`` are the inputs to give the layers."""
    seen = _Seen({}, {}, [])

    def before(name: str) -> Any:
        def hook(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            hidden = given[0] if given else named["hidden_states"]
            kept = seen.inputs.setdefault(name, [])
            if instead is not None:
                hidden = instead[name][len(kept)].to(hidden.device)
            kept.append(hidden.cpu())
            return ((hidden, *given[1:]), named) if given else (given, named | {"hidden_states": hidden})

        return hook

    def after(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            seen.outputs.setdefault(name, []).append((output[0] if isinstance(output, tuple) else output).cpu())

        return hook

    with bare(model):
        layers = decoder_layers(model)
        handles = [m.register_forward_pre_hook(before(n), with_kwargs=True) for n, m in layers.items()]
        handles += [m.register_forward_hook(after(n)) for n, m in layers.items()]
        try:
            seen.logits.extend(_forward(model, batch, PROVED).logits.cpu() for batch in batches)
        finally:
            for handle in handles:
                handle.remove()
    return seen


def _difference(layer: str, inputs: Sequence[Any] | None, before: Sequence[Any], after: Sequence[Any], tolerance: float) -> Difference:
    import torch

    each = []
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        added = old.double() - (inputs[number].double() if inputs is not None else 0)
        each.append(((new.double() - old.double()).norm(dim=-1) / added.norm(dim=-1).clamp_min(1e-12)).flatten())
    by_token = torch.cat(each)
    return Difference(layer, float(by_token.median()), float(by_token.quantile(TOKENS_HELD)), float(by_token.max()), tolerance)
