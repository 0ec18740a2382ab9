"""What a module is called in the checkpoint and in memory, and patterns that say many such names at once.

transformers renames tensors when it loads them. Its own conversions are asked, so that no family of models is listed here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curator.checkpoints.reading import Tensor
from curator.errors import QuantizeError

NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")
WEIGHT = ".weight"
SHOWN = 6  # kinds of names in a message


@dataclass(frozen=True, slots=True)
class Naming:
    """Tensors and modules of one model under both names."""

    in_memory: Mapping[str, str]  # name of a tensor in the checkpoint -> its name in memory; what is not loaded is absent
    in_source: Mapping[str, str]  # name of a module with a weight in memory -> its name in the checkpoint

    def source_of(self, module: str) -> str:
        """A module's name in the checkpoint. Raises QuantizeError."""
        try:
            return self.in_source[module]
        except KeyError:
            raise QuantizeError(
                f"{module}: its weight is no tensor of its own in the checkpoint, so it cannot be written back under a name that servers know; "
                "leave it out of the recipe, or take a checkpoint that keeps every expert by itself"
            ) from None


def naming(model: Any, stored: Mapping[str, Tensor]) -> Naming:
    """Both names of everything: ``model`` as loaded for calibration, ``stored`` the tensors of the checkpoint."""
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    conversions = getattr(model, "_weight_conversions", None) or []
    renamings = [c for c in conversions if isinstance(c, WeightRenaming)]
    converters = [c for c in conversions if isinstance(c, WeightConverter)]
    here = {name: tuple(tensor.shape) for name, tensor in _tensors(model)}
    prefix = getattr(model, "base_model_prefix", None)
    found: dict[str, str] = {}
    for name, tensor in stored.items():
        renamed, pattern = rename_source_key(name, renamings, converters, prefix, here)
        if pattern is not None:
            renamed = _of_one_expert(name, renamed, pattern, converters)
        if here.get(renamed) == tensor.shape:
            found[name] = renamed
    modules = {memory.removesuffix(WEIGHT): source.removesuffix(WEIGHT) for source, memory in found.items() if memory.endswith(WEIGHT)}
    return Naming(found, modules)


def _of_one_expert(name: str, fused: str, pattern: str, converters: Sequence[Any]) -> str:
    """What one expert's tensor is called once the experts stand apart. ``fused`` is where transformers would put it: as one
    slice of ``…experts.gate_up_proj`` (the halves in the order in which they are joined) or of ``…experts.down_proj``."""
    converter = next(c for c in converters if pattern in c.source_patterns)
    parent, _, leaf = fused.rpartition(".")
    number = NUMBER.findall(name)[len(NUMBER.findall(fused)) :]
    halves = [f"{half}_proj" for half in leaf.removesuffix("_proj").split("_")]
    if len(number) != 1 or len(halves) != len(converter.source_patterns):
        return fused
    return f"{parent}.{number[0]}.{halves[converter.source_patterns.index(pattern)]}{WEIGHT}"


def _tensors(model: Any) -> Iterable[tuple[str, Any]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def numberless(name: str) -> str:
    """A name with every number in it made the pattern for one; the rest is escaped."""
    return r"\d+".join(map(re.escape, NUMBER.split(name))).replace(r"\-", "-")


def patterns(names: Collection[str], others: Iterable[str]) -> list[str]:
    """The fewest ``re:`` patterns that match all of ``names`` and none of ``others``: numbers left open where that says
    no more than is meant, only the first number spelled out where that suffices, and whole names else."""
    wanted = set(names)
    rest = set(others) - wanted
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(wanted, key=natural):
        groups[numberless(name)].append(name)
    crowd: dict[str, set[str]] = defaultdict(set)
    for name in rest:
        crowd[numberless(name)].add(name)
    return [pattern for shape, group in groups.items() for pattern in _tight(shape, group, crowd[shape])]


def _tight(shape: str, group: list[str], rest: set[str]) -> list[str]:
    if not rest:
        return [f"re:^{shape}$"]
    firsts = sorted({first_number(n) for n in group}, key=int)
    layered = shape.replace(r"\d+", firsts[0] if len(firsts) == 1 else f"({'|'.join(firsts)})", 1)
    if not any(re.fullmatch(layered, other) for other in rest):
        return [f"re:^{layered}$"]
    return group


def gaps(names: Collection[str]) -> list[str]:
    """What is missing where the tensors of a layer's experts are numbered: names that are there for other experts of the layer."""
    numbered = [(NUMBER.split(n), NUMBER.findall(n)) for n in names]
    made: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)  # what stands between the numbers -> the numbers
    experts: dict[tuple[str, str], set[str]] = defaultdict(set)  # (what stands before the experts' numbers, the layer) -> experts
    for parts, numbers in numbered:
        if len(numbers) == 2:
            made[tuple(parts)].add(tuple(numbers))
            experts["\0".join(parts[:2]), numbers[0]].add(numbers[1])
    missing = [
        f"{parts[0]}{layer}{parts[1]}{expert}{parts[2]}"
        for parts, there in made.items()
        for layer in {numbers[0] for numbers in there}
        for expert in experts["\0".join(parts[:2]), layer]
        if (layer, expert) not in there
    ]
    return sorted(missing, key=natural)


def first_number(name: str) -> str:
    """The first number in a name: its layer. Names without one have ``0``."""
    found = NUMBER.search(name)
    return found[0] if found else "0"


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts layer 10 after layer 9."""
    return [(int(p), "") if p.isdigit() else (-1, p) for p in name.split(".")]


def matches(pattern: str, name: str, kind: str = "") -> bool:
    """Whether a target of a recipe means a module: ``re:`` patterns match from the start of the name, anything else is the
    name or the class."""
    if pattern.startswith("re:"):
        return re.match(pattern.removeprefix("re:"), name) is not None
    return pattern in (name, kind)


def shown(names: Iterable[str]) -> str:
    """Names for a message: layers and experts in a row as one line, the first few of many."""
    groups: dict[str, int] = defaultdict(int)
    for name in names:
        groups[NUMBER.sub("N", name)] += 1
    lines = [f"{name} ({count})" if count > 1 else name for name, count in groups.items()]
    return ", ".join(lines[:SHOWN]) + (f", and {len(lines) - SHOWN} kinds more" if len(lines) > SHOWN else "")
