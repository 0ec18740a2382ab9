"""The ledger: how many tokens a model's own routers send to each expert, by layer, source, category and language.

It hides where the routing is read (the assignments that enter the experts module), how each sample is counted once
although a calibration passes it through a layer many times, and how tokens find back to the documents they came from.
"""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from curator import artifact
from curator.errors import QuantizeError, ShortfallError
from curator.quantize import distributed, library
from curator.quantize.data import EXPERT_COUNTS, Batch

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Way = Literal["plain", "calibration"]
ORIGIN = ("source", "category", "language")
SHOWN = 10
TOKENS_PER_FEATURE = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """What one mixture-of-experts layer was sent."""

    number: int
    name: str  # of the experts module in the model
    top_k: int
    width: int  # features that enter an expert
    tokens: NDArray[np.int64]  # [segments, experts]: assignments by the model's own router
    calibrated: NDArray[np.int64] | None  # [experts]: rows that entered an expert's linear layers, where a calibration was watched

    @property
    def totals(self) -> NDArray[np.int64]:
        """[experts]: assignments over all segments."""
        totals: NDArray[np.int64] = self.tokens.sum(axis=0)
        return totals


@dataclass(frozen=True, slots=True)
class ExpertTokens:
    """A finished ledger. A segment is what one sample holds of one source, category and language."""

    model: str
    way: Way
    tokens: int
    samples: tuple[int, ...]  # in the order in which they were given
    segments: pl.DataFrame  # sample, source, category, language: a line for each row of Layer.tokens
    layers: tuple[Layer, ...]


class Ledger:
    """Counts while a model runs: an ``Observer`` of a calibration, or around forward passes of one's own.

    ``documents`` is ``documents.parquet`` of the build: sample, start, tokens, source, category, language. ``way`` is
    ``plain`` where no expert is calibrated on what it is given.
    """

    def __init__(self, documents: pl.DataFrame, *, way: Way = "calibration") -> None:
        self._documents, self._way = documents, way
        self._result: ExpertTokens | None = None

    def result(self) -> ExpertTokens:
        """What was counted. Raises QuantizeError where nothing was watched to its end."""
        if self._result is None:
            raise QuantizeError("the ledger has nothing to show: no calibration was watched to its end")
        return self._result

    @contextmanager
    def attach(self, model: Any, batches: Sequence[Batch]) -> Iterator[None]:
        """Watch ``model`` while it is given each of ``batches`` at least once, one at a time, in any order.

        Raises QuantizeError where a layer's counts do not add up to tokens x top_k when the block ends.
        """
        from llmcompressor.modifiers.utils.hooks import HooksMixin

        segments, segment_of = _segments(self._documents, batches)
        samples = _Samples(batches)
        counters = [_Counter(number, name, module, segment_of, len(segments)) for number, name, module in _experts(model)]
        # The library silences hooks that are registered this way in every pass but the one that gathers statistics:
        # grid searches and the pass that carries outputs on are never seen.
        hooks = HooksMixin()
        hooks.register_hook(model.get_input_embeddings(), samples.arrive, "forward_pre", with_kwargs=True)
        for counter in counters:
            counter.register(hooks, samples, with_linears=self._way == "calibration")
        try:
            yield
        finally:
            hooks.remove_hooks()
            for counter in counters:
                counter.look_away()
        layers = tuple(counter.layer() for counter in counters)
        tokens = sum(batch.input_ids.shape[-1] for batch in batches)
        result = ExpertTokens(_name(model), self._way, tokens, tuple(b.sample for b in batches), segments, layers)
        _check(result, batches)
        self._result = merged(distributed.gathered(result))


def merged(parts: Sequence[ExpertTokens]) -> ExpertTokens:
    """One ledger of several that counted the same model on different samples, as if one had counted them all in ascending order."""
    if len(parts) == 1:
        return parts[0]
    import polars as pl

    segments = pl.concat([part.segments for part in parts]).with_row_index("row").sort("sample", maintain_order=True)
    order = segments["row"].to_numpy()
    layers = tuple(_merged_layer([part.layers[n] for part in parts], order) for n in range(len(parts[0].layers)))
    samples = tuple(sorted(sample for part in parts for sample in part.samples))
    return ExpertTokens(parts[0].model, parts[0].way, sum(p.tokens for p in parts), samples, segments.drop("row"), layers)


def _merged_layer(parts: Sequence[Layer], order: NDArray[Any]) -> Layer:
    seen = [part.calibrated for part in parts if part.calibrated is not None]
    calibrated: NDArray[np.int64] | None = np.sum(seen, axis=0) if seen else None
    return replace(parts[0], tokens=np.concatenate([part.tokens for part in parts])[order], calibrated=calibrated)


def count(model: Any, batches: Sequence[Batch], documents: pl.DataFrame) -> ExpertTokens:
    """What the model as it is routes where, sample after sample, for a model that is small enough. Raises QuantizeError."""
    import torch

    ledger = Ledger(documents, way="plain")
    device = library.device_of(model)
    with torch.no_grad(), ledger.attach(model, batches):
        for batch in batches:
            model.base_model(**batch.inputs(device), use_cache=False)
    return ledger.result()


class _Samples:
    """Which sample a model is busy with. A calibration may give them in another order and leaves them no name, so the
    token ids that arrive at the embeddings say which one a batch of the library is."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._alike: dict[bytes, list[int]] = defaultdict(list)
        for batch in batches:
            self._alike[_key(batch.input_ids)].append(batch.sample)
        self._met: Counter[bytes] = Counter()
        self._at: dict[int, int | None] = {}
        self.count = len(batches)

    def arrive(self, _: Any, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        ids = inputs[0] if inputs else named["input"]
        if ids.is_meta:  # the library traces the model before it gives it a sample
            return
        key = _key(ids)
        alike = self._alike.get(key, [])
        self._at[_library_batch()] = alike[self._met[key] % len(alike)] if alike else None
        self._met[key] += 1

    def current(self) -> int | None:
        """None where it is none of the samples, as when others are tried between two stages of a calibration."""
        return self._at[_library_batch()]


def _library_batch() -> int:
    """The number of the batch in the library's calibration; outside of one, some constant."""
    from llmcompressor.core import active_session

    return int(active_session().state.current_batch_idx)


def _key(ids: Any) -> bytes:
    return bytes(ids.to("cpu").reshape(-1).numpy().astype(np.int32).tobytes())


class _Counter:
    """Counts of one layer, kept where the layer runs until every sample went through it."""

    def __init__(self, number: int, name: str, module: Any, segment_of: dict[int, Any], segments: int) -> None:
        self.number, self.name, self._module = number, name, module
        self._segment_of, self._segments = segment_of, segments
        self._experts = int(module.num_experts)
        self._tokens: Any = None  # [segments, experts + 1]: room for the number past the last that some use for "none"
        self._done: set[int] = set()
        self._top_k = self._width = 0
        self._calibrated: NDArray[np.int64] | None = None
        self._looking: list[Any] = []  # hooks of linear layers

    def register(self, hooks: Any, samples: _Samples, *, with_linears: bool) -> None:
        def assigned(_: Any, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> None:
            given = [*inputs, *named.values()]
            if not given[0].is_meta:
                self._add(samples.current(), given[0], _assignments(self.name, given), last=samples.count)

        hooks.register_hook(self._module, assigned, "forward_pre", with_kwargs=True)
        if with_linears:
            self._calibrated = np.zeros(self._experts, np.int64)
            hooks.register_hook(self._module, lambda *_: self.look_away(), "forward")

    def _look_at_linears(self) -> None:
        """Count what enters them until ``look_away``. A grid search passes through them thousands of times, and would pay for hooks that stay."""
        self._looking = [linear.register_forward_pre_hook(self._rows(expert)) for expert, linear in _linears(self._module, self._experts)]

    def look_away(self) -> None:
        """Take the hooks off the linear layers."""
        while self._looking:
            self._looking.pop().remove()

    def _rows(self, expert: int) -> Callable[[Any, tuple[Any, ...]], None]:
        def entered(_: Any, inputs: tuple[Any, ...]) -> None:
            assert self._calibrated is not None
            self._calibrated[expert] += inputs[0].shape[:-1].numel()

        return entered

    def _add(self, sample: int | None, hidden: Any, assignments: Any, *, last: int) -> None:
        import torch

        if sample is None or sample in self._done:
            return
        self._done.add(sample)
        if self._calibrated is not None:
            self._look_at_linears()
        segment_of = self._segment_of[sample]
        if segment_of.device != assignments.device:  # once for all layers: a copy from here waits until the device has nothing to do
            segment_of = self._segment_of[sample] = segment_of.to(assignments.device)
        if len(segment_of) != len(assignments):
            raise QuantizeError(f"{self.name}: routed {len(assignments)} tokens of sample {sample}, which has {len(segment_of)}")
        if self._tokens is None:
            self._tokens = torch.zeros(self._segments * (self._experts + 1), dtype=torch.int32, device=assignments.device)
        self._top_k, self._width = assignments.shape[-1], hidden.shape[-1]
        cells = (segment_of[:, None] * (self._experts + 1) + assignments).flatten()
        self._tokens.scatter_add_(0, cells, torch.ones_like(cells, dtype=torch.int32))  # unlike bincount, waits for nothing
        if len(self._done) == last:
            self._tokens = self._tokens.cpu()

    def layer(self) -> Layer:
        """What was counted. Raises QuantizeError where nothing was."""
        if self._tokens is None:
            raise QuantizeError(f"{self.name}: no sample went through it; the ledger needs a calibration with samples, whole and one at a time")
        tokens = self._tokens.cpu().numpy().astype(np.int64).reshape(self._segments, -1)[:, : self._experts]
        return Layer(self.number, self.name, self._top_k, self._width, tokens, self._calibrated)


def _assignments(name: str, given: Sequence[Any]) -> Any:
    """The [tokens, top_k] of integers among what an experts module is given."""
    import torch

    for value in given:
        if isinstance(value, torch.Tensor) and value.ndim == 2 and value.dtype in (torch.int64, torch.int32):
            return value
    raise QuantizeError(f"{name}: is not told which experts its tokens go to; the ledger cannot read this family's routing")


def _experts(model: Any) -> list[tuple[int, str, Any]]:
    """(layer, name, module) of every experts module: one that knows how many experts it holds and is given hidden
    states, assignments and weights. Raises QuantizeError where the configuration names experts and none is found."""
    found = [(name, m) for name, m in model.named_modules() if isinstance(getattr(m, "num_experts", None), int) and _takes_assignments(m)]
    config = model.config.get_text_config()
    named = max((int(getattr(config, key, 0) or 0) for key in EXPERT_COUNTS), default=0)
    if named > 1 and not found:
        raise QuantizeError(f"{_name(model)}: has {named} experts by its configuration, but no module that is told which of them a token goes to")
    numbers = [next((int(part) for part in name.split(".") if part.isdigit()), -1) for name, _ in found]
    if len(set(numbers)) < len(numbers):
        numbers = list(range(len(found)))
    return [(number, name, module) for number, (name, module) in zip(numbers, found, strict=True)]


def _takes_assignments(module: Any) -> bool:
    # The name is looked at, and not the position alone, because whole blocks may take a mask or a cache beside their input.
    taken = list(inspect.signature(module.forward).parameters)
    return len(taken) > 2 and any(word in taken[1] for word in ("index", "indices", "experts", "ids"))


def _linears(module: Any, experts: int) -> Iterator[tuple[int, Any]]:
    """(expert, its first linear layer); none where the experts are fused into one tensor."""
    import torch

    for name, child in module.named_children():
        if name.isdigit() and int(name) < experts:
            linear = next((m for m in child.modules() if isinstance(m, torch.nn.Linear)), None)
            if linear is not None:
                yield int(name), linear


def _segments(documents: pl.DataFrame, batches: Sequence[Batch]) -> tuple[pl.DataFrame, dict[int, Any]]:
    """The segments of these samples, and for each sample the segment of each of its tokens (int64, [tokens])."""
    import polars as pl
    import torch

    wanted = documents.filter(pl.col("sample").is_in([b.sample for b in batches])).sort("sample", "start")
    segments = wanted.select("sample", *ORIGIN).unique(maintain_order=True).with_row_index("segment")
    lines = wanted.join(segments, on=["sample", *ORIGIN], how="left", nulls_equal=True, maintain_order="left")
    by_sample = {key[0]: part for key, part in lines.partition_by("sample", as_dict=True).items()}
    segment_of = {}
    for batch in batches:
        part, length = by_sample.get(batch.sample), batch.input_ids.shape[-1]
        if part is None or part["tokens"].sum() != length:
            raise QuantizeError(f"sample {batch.sample}: its documents do not cover its {length} tokens; the build is damaged, build it again")
        segment_of[batch.sample] = torch.from_numpy(np.repeat(part["segment"].to_numpy().astype(np.int64), part["tokens"].to_numpy()))
    return segments.drop("segment"), segment_of


def _check(ledger: ExpertTokens, batches: Sequence[Batch]) -> None:
    """Raise QuantizeError where, in some layer, the assignments of some sample are not its tokens x top_k."""
    lengths = {b.sample: b.input_ids.shape[-1] for b in batches}
    for layer in ledger.layers:
        got: Counter[int] = Counter()
        for sample, tokens in zip(ledger.segments["sample"].to_list(), layer.tokens.sum(axis=1).tolist(), strict=True):
            got[sample] += tokens
        wrong = [s for s, length in lengths.items() if got[s] != length * layer.top_k]
        if wrong:
            raise QuantizeError(
                f"{layer.name}: the ledger does not add up: sample {wrong[0]} has {lengths[wrong[0]]} tokens x {layer.top_k} experts, "
                f"{got[wrong[0]]} were counted, and {len(wrong) - 1} more samples differ; this is a bug, please report it"
            )


def _name(model: Any) -> str:
    """Its id; of a folder the last part alone, since where it lies on somebody's disk is nobody else's business."""
    name = str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
    return Path(name).resolve().name if Path(name).is_dir() else name


def table(ledger: ExpertTokens) -> pl.DataFrame:
    """layer, expert, source, category, language, tokens: a line for each expert and each origin, zero or not."""
    import polars as pl

    groups = ledger.segments.select(ORIGIN).unique(maintain_order=True).with_row_index("group")
    group_of = ledger.segments.join(groups, on=ORIGIN, how="left", nulls_equal=True, maintain_order="left")["group"].to_numpy()
    parts = [_layer_table(layer, groups, group_of) for layer in ledger.layers]
    schema = {"layer": pl.Int32, "expert": pl.Int32, **dict.fromkeys(ORIGIN, pl.String), "tokens": pl.Int64}
    return pl.concat([pl.DataFrame(schema=schema), *parts])


def _layer_table(layer: Layer, groups: pl.DataFrame, group_of: NDArray[Any]) -> pl.DataFrame:
    import polars as pl

    tokens = np.zeros((len(groups), layer.tokens.shape[1]), np.int64)
    np.add.at(tokens, group_of, layer.tokens)
    count, experts = tokens.shape
    which = groups[np.tile(np.arange(count), experts)]
    return pl.DataFrame(
        {
            "layer": np.full(count * experts, layer.number, np.int32),
            "expert": np.repeat(np.arange(experts, dtype=np.int32), count),
            **{name: which[name] for name in ORIGIN},
            "tokens": tokens.T.reshape(-1),
        }
    )


def calibration_table(ledger: ExpertTokens) -> pl.DataFrame:
    """layer, expert, tokens: rows that entered each expert's linear layers in calibration; empty where none was watched."""
    import polars as pl

    schema = {"layer": pl.Int32, "expert": pl.Int32, "tokens": pl.Int64}
    watched = [(layer.number, layer.calibrated) for layer in ledger.layers if layer.calibrated is not None]
    rows = [(number, expert, tokens) for number, seen in watched for expert, tokens in enumerate(seen.tolist())]
    return pl.DataFrame(rows, schema=schema, orient="row")


def default_minimum(ledger: ExpertTokens) -> int:
    """Tokens that an expert should have: four for each feature that enters it; 0 for a dense model.

    With fewer, GPTQ on an expert's own tokens was worse than rounding to nearest (docs/explanation/experts.md).
    """
    return TOKENS_PER_FEATURE * max((layer.width for layer in ledger.layers), default=0)


def below(ledger: ExpertTokens, minimum: int) -> list[tuple[int, int, int]]:
    """(layer, expert, tokens) of the experts with fewer than ``minimum`` tokens, the poorest first."""
    poor = [(layer.number, expert, total) for layer in ledger.layers for expert, total in enumerate(layer.totals.tolist()) if total < minimum]
    return sorted(poor, key=lambda line: (line[2], line[0], line[1]))


def by_origin(ledger: ExpertTokens, layer: Layer, origin: str) -> tuple[list[str | None], NDArray[np.int64]]:
    """The names of a column of ORIGIN in the order of their appearance, and [names, experts]: the layer's tokens of each."""
    names = ledger.segments[origin].unique(maintain_order=True).to_list()
    place = {name: at for at, name in enumerate(names)}
    tokens = np.zeros((len(names), layer.tokens.shape[1]), np.int64)
    np.add.at(tokens, [place[name] for name in ledger.segments[origin].to_list()], layer.tokens)
    return names, tokens


def samples_until(ledger: ExpertTokens, layer: Layer, minimum: int) -> NDArray[np.int64]:
    """[experts]: how many samples, in the order given, until an expert had ``minimum`` tokens; one more than there are if never."""
    place = {sample: at for at, sample in enumerate(ledger.samples)}
    tokens = np.zeros((len(ledger.samples), layer.tokens.shape[1]), np.int64)
    np.add.at(tokens, [place[sample] for sample in ledger.segments["sample"].to_list()], layer.tokens)
    needed: NDArray[np.int64] = (np.cumsum(tokens, axis=0) < max(minimum, 1)).sum(axis=0) + 1
    return needed


def require(ledger: ExpertTokens, minimum: int) -> None:
    """Raise ShortfallError where some expert has fewer than ``minimum`` tokens."""
    poor = below(ledger, minimum)
    if not poor:
        return
    lines = [f"* layer {layer}, expert {expert}: {tokens:,}" for layer, expert, tokens in poor[:SHOWN]]
    if len(poor) > SHOWN:
        lines.append(f"* and {len(poor) - SHOWN:,} more, all in expert_tokens.json")
    experts = sum(layer.tokens.shape[1] for layer in ledger.layers)
    raise ShortfallError(
        f"{len(poor):,} of {experts:,} experts were sent fewer than {minimum:,} tokens:\n" + "\n".join(lines) + "\n"
        "give more samples or other sources, set --min-tokens-per-expert, or accept them with --allow-uncovered"
    )


def summary(ledger: ExpertTokens, minimum: int) -> dict[str, Any]:
    """What ``expert_tokens.json`` holds."""
    watched = [layer for layer in ledger.layers if layer.calibrated is not None]
    return {
        "model": ledger.model,
        "layers": len(ledger.layers),
        "experts": max((layer.tokens.shape[1] for layer in ledger.layers), default=0),
        "top_k": max((layer.top_k for layer in ledger.layers), default=0),
        "tokens": ledger.tokens,
        "samples": len(ledger.samples),
        "counted_in": ledger.way,
        "note": "" if ledger.layers else "a dense model: it has no experts, and the ledger is empty",
        "per_layer": [{"layer": layer.number, **_spread(layer.totals), "gini": round(gini(layer.totals), 4)} for layer in ledger.layers],
        "minimum": minimum,
        "below_minimum": [list(line) for line in below(ledger, minimum)],
        "calibration": [{"layer": layer.number, **_spread(layer.calibrated)} for layer in watched if layer.calibrated is not None],
    }


def _spread(tokens: NDArray[np.int64]) -> dict[str, Any]:
    return {"min": int(tokens.min()), "median": float(np.median(tokens)), "max": int(tokens.max()), "zero": int((tokens == 0).sum())}


def gini(tokens: NDArray[np.int64]) -> float:
    """The Gini coefficient: 0 where all experts have the same number of tokens, towards 1 where one has them all."""
    values = np.sort(tokens.astype(np.float64))
    count, total = len(values), float(values.sum())
    if not total:
        return 0.0
    return float(2 * (np.arange(1, count + 1) * values).sum() / (count * total) - (count + 1) / count)


def write(folder: Path, ledger: ExpertTokens, minimum: int) -> dict[str, Any]:
    """expert_tokens.parquet, expert_calibration.parquet and expert_tokens.json; gives what the last one holds."""
    artifact.write_frame(folder / "expert_tokens.parquet", table(ledger))
    artifact.write_frame(folder / "expert_calibration.parquet", calibration_table(ledger))
    facts = summary(ledger, minimum)
    artifact.write_json(folder / "expert_tokens.json", facts)
    return facts
