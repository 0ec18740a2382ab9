"""Who reads what a module gives: found by watching one small batch go through the model, not from names.

Every tensor that carries the output of a watched module, channel for channel, is followed through the operations that only
move it or scale it. Where it is multiplied with a weight, the module that owns the weight is a reader. Any other use ends
the trace and is kept as such: nothing can be balanced there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MOVES = frozenset(
    {
        "alias",
        "as_strided",
        "clone",
        "contiguous",
        "copy",
        "detach",
        "expand",
        "expand_as",
        "flatten",
        "gather",
        "index",
        "index_copy",
        "index_put",
        "index_select",
        "lift_fresh",
        "masked_select",
        "permute",
        "repeat",
        "repeat_interleave",
        "reshape",
        "roll",
        "select",
        "squeeze",
        "stack",
        "t",
        "to",
        "_to_copy",
        "transpose",
        "unflatten",
        "unsafe_chunk",
        "unsqueeze",
        "view",
        "_unsafe_view",
        "_reshape_alias",
        "view_as",
    }
)
PARTS = frozenset({"split", "split_with_sizes", "chunk", "unbind", "slice", "narrow"})
SCALES = frozenset({"mul", "div", "neg"})
PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "matmul", "linear", "_scaled_mm", "_grouped_mm"})
BLANK = frozenset(
    {
        "empty_like",
        "zeros_like",
        "ones_like",
        "full_like",
        "rand_like",
        "randn_like",
        "new_empty",
        "new_zeros",
        "new_ones",
        "new_full",
        "new_empty_strided",
        "is_same_size",
        "sym_size",
        "sym_stride",
        "sym_numel",
        "_local_scalar_dense",
        "is_nonzero",
        "equal",
        "isnan",
        "isinf",
        "isfinite",
    }
)

Span = tuple[int, int] | None  # which channels of the last dimension, or None: all of it, in whatever shape
Trail = dict[str, Span]  # watched module -> where its output is in a tensor


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads the output of each watched module."""

    modules: Mapping[str, tuple[str, ...]]  # watched module -> names of the modules whose weight it is multiplied with
    others: Mapping[str, tuple[str, ...]]  # watched module -> other uses, as "operation in module"


@dataclass
class _Trace:
    watched: Collection[str]
    names: Mapping[Any, str]
    trails: Any  # WeakIdKeyDictionary of Trail
    written: dict[int, tuple[Any, Trail]] = field(default_factory=dict)  # memory that was written into, kept so that its place is not taken
    stack: list[Any] = field(default_factory=list)
    modules: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    others: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def here(self) -> str:
        return self.names.get(self.stack[-1], "") if self.stack else ""

    def follow(self, operation: str, arguments: tuple[Any, ...], options: Mapping[str, Any], result: Any) -> None:
        """Note what one operation did with tensors that are followed."""
        trails = [trail for trail in map(self.of, _tensors((arguments, options))) if trail]
        if not trails or operation in BLANK:
            return
        name = operation.rstrip("_") if not operation.startswith("_") else operation
        step = _step(name)
        if step is not None:
            step(self, name, arguments, result)
        elif any(_is_float(t) for t in _tensors(result)):
            self.end(name, trails)

    def of(self, tensor: Any) -> Trail | None:
        """What a tensor carries: its own trail, or that of the memory it looks into."""
        own: Trail | None = self.trails.get(tensor)
        if own or not self.written:
            return own
        return self.written.get(tensor.untyped_storage().data_ptr(), (None, None))[1]

    def write(self, tensor: Any, trail: Trail) -> None:
        """Something was copied into a tensor, perhaps a view: all that looks into its memory carries it."""
        storage = tensor.untyped_storage()
        kept = self.written.get(storage.data_ptr(), (None, {}))[1]
        self.written[storage.data_ptr()] = (storage, kept | dict.fromkeys(trail))

    def give(self, result: Any, trail: Trail) -> None:
        for tensor in _tensors(result):
            if trail:
                self.trails[tensor] = trail

    def end(self, operation: str, trails: list[Trail]) -> None:
        for name in {n for trail in trails for n in trail}:
            self.others[name][f"{operation} in {self.here() or 'the model itself'}"] = None

    def read(self, trails: list[Trail]) -> bool:
        """The innermost running module reads them with its weight, if it has one."""
        weight = getattr(self.stack[-1], "weight", None) if self.stack else None
        if weight is None or weight.dim() != 2:
            return False
        for name in {n for trail in trails for n in trail}:
            self.modules[name][self.here()] = None
        return True


Step = Callable[[_Trace, str, tuple[Any, ...], Any], None]


def _step(name: str) -> Step | None:
    for names, step in ((MOVES, _moved), (PARTS, _parted), (SCALES, _scaled), (PRODUCTS, _multiplied)):
        if name in names:
            return step
    if name in ("cat", "concat"):
        return _joined
    return _attended if name.startswith("_scaled_dot_product") or name == "scaled_dot_product_attention" else None


def _moved(trace: _Trace, name: str, arguments: tuple[Any, ...], result: Any) -> None:
    """The same values elsewhere. What is only a part of the last dimension must stay the last dimension as it is."""
    source = next((t for t in _tensors(arguments) if trace.of(t)), None)
    if source is None:
        return
    trail: Trail = trace.of(source) or {}
    if name in ("copy", "index_put", "index_copy"):  # in place, into the first argument
        trace.write(arguments[0], trail)
        return
    out = next(_tensors(result), None)
    if out is None:
        return
    kept = name not in ("permute", "transpose", "t", "as_strided") and out.dim() and out.shape[-1] == source.shape[-1]
    partial = [n for n, span in trail.items() if span is not None and not kept]
    if partial:
        trace.end(name, [{n: trail[n] for n in partial}])
    trace.give(result, {n: span for n, span in trail.items() if n not in partial})


def _parted(trace: _Trace, name: str, arguments: tuple[Any, ...], result: Any) -> None:
    """Pieces along one dimension: along the last one, each piece has its own channels. Every second channel is no piece."""
    source = arguments[0]
    trail: Trail = trace.of(source) or {}
    place = 2 if name in ("split", "split_with_sizes", "chunk") else 1
    along = arguments[place] if len(arguments) > place else 0
    if name == "unbind" or along % source.dim() != source.dim() - 1:
        trace.give(result, trail)
        return
    if name == "slice" and arguments[4:] not in ((), (1,)):
        trace.end(name, [trail])
        return
    start = (arguments[2] if name in ("slice", "narrow") and len(arguments) > 2 else None) or 0
    start += source.shape[-1] if start < 0 else 0
    for piece in _tensors(result):
        trace.give(piece, _within(trail, start, start + piece.shape[-1], source.shape[-1]))
        start += piece.shape[-1]


def _within(trail: Trail, start: int, end: int, width: int) -> Trail:
    found: Trail = {}
    for name, span in trail.items():
        low, high = span or (0, width)
        low, high = max(low, start), min(high, end)
        if low < high:
            found[name] = None if (low, high) == (start, end) else (low - start, high - start)
    return found


def _joined(trace: _Trace, _: str, arguments: tuple[Any, ...], result: Any) -> None:
    """Tensors side by side: along the last dimension, each keeps to its own channels."""
    pieces = list(arguments[0])
    along = arguments[1] if len(arguments) > 1 else 0
    last = pieces[0].dim() - 1
    trail: Trail = {}
    start = 0
    for piece in pieces:
        width = piece.shape[-1] if piece.dim() else 0
        for source, span in (trace.of(piece) or {}).items():
            low, high = span or (0, width)
            trail[source] = span if along % (last + 1) != last else (start + low, start + high)
        start += width
    trace.give(result, trail)


def _scaled(trace: _Trace, name: str, arguments: tuple[Any, ...], result: Any) -> None:
    """Times or over something else, element by element: a factor on a channel goes through it unchanged."""
    trails = [trace.of(a) if _is_tensor(a) else None for a in arguments[:2]]
    below = name == "div" and len(trails) > 1 and trails[1]
    if below or (len(trails) > 1 and trails[0] and trails[1] and set(trails[0]) & set(trails[1])):
        trace.end(name, [t for t in trails if t])
        return
    trace.give(result, {n: span for t in trails if t for n, span in t.items()})


def _multiplied(trace: _Trace, name: str, arguments: tuple[Any, ...], result: Any) -> None:
    """A product of matrices: with a weight it is a reading; a mixture of rows, as attention makes of its values, keeps the channels."""
    operands = [trace.of(a) for a in arguments if _is_tensor(a)][-2:]
    trails = [t for t in operands if t]
    if trails and not trace.read(trails):
        values = None if operands[0] else operands[-1]
        if values:
            trace.give(result, values)
        else:
            trace.end(name, trails)


def _attended(trace: _Trace, name: str, arguments: tuple[Any, ...], result: Any) -> None:
    query, key, value = (trace.of(a) for a in arguments[:3])
    if query or key:
        trace.end(name, [t for t in (query, key) if t])
    elif value:
        trace.give(next(_tensors(result)), value)


def find(model: Any, watched: Collection[str], run: Callable[[], Any]) -> Readers:
    """The readers of the modules named in ``watched``, seen while ``run`` sends one batch through ``model``. Every module that
    can read must run in it: all experts, not only those that the batch is routed to."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.weak import WeakIdKeyDictionary

    trace = _Trace(watched, {m: n for n, m in model.named_modules()}, WeakIdKeyDictionary())

    class Follow(TorchDispatchMode):  # type: ignore[misc]
        def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            result = operation(*arguments, **(options or {}))
            trace.follow(operation.overloadpacket.__name__, arguments, options or {}, result)
            return result

    with torch.no_grad(), _running(trace), Follow():
        run()
    return Readers({n: tuple(trace.modules[n]) for n in watched}, {n: tuple(trace.others[n]) for n in watched})


@contextmanager
def _running(trace: _Trace) -> Iterator[None]:
    """Keep the stack of running modules, and start a trail at the output of every watched one."""
    from torch.nn.modules import module as hooks

    watched = set(trace.watched)

    def enter(module: Any, _: Any) -> None:
        trace.stack.append(module)

    def leave(module: Any, _: Any, output: Any) -> None:
        trace.stack.pop()
        name = trace.names.get(module, "")
        if name in watched:
            trace.trails[next(_tensors(output))] = {name: None}

    handles = (hooks.register_module_forward_pre_hook(enter), hooks.register_module_forward_hook(leave, always_call=False))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _is_float(value: Any) -> bool:
    return _is_tensor(value) and bool(value.is_floating_point())


def _tensors(value: Any) -> Iterator[Any]:
    """Every tensor in nested tuples, lists and mappings."""
    if _is_tensor(value):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
