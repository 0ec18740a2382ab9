"""The ``quantization_config`` of a stitched checkpoint, derived from what was quantized how. Hides the words of compressed-tensors.

Format: https://github.com/vllm-project/compressed-tensors (QuantizationConfig, QuantizationScheme).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from curator.checkpoints.families import Family
from curator.errors import QuantizeError

PACKED = "pack-quantized"
MIXED = "mixed-precision"
HEAD = "lm_head"


def groups_of(config: Mapping[str, Any], *, where: Path) -> list[dict[str, Any]]:
    """The groups of a compressed-tensors model that pack integers, each with its format. Raises QuantizeError for another format."""
    about = config.get("quantization_config")
    if not isinstance(about, dict) or about.get("quant_method") != "compressed-tensors" or not are_groups(about.get("config_groups")):
        raise QuantizeError(f"{where}: no quantization_config of compressed-tensors there, or its config_groups have no targets")
    groups = [{**g, "format": g.get("format") or about.get("format")} for g in about["config_groups"].values()]
    packed = [g for g in groups if g["format"] == PACKED]
    if not packed:
        raise QuantizeError(f"{where}: its formats are {[g['format'] for g in groups]}; only {PACKED} can be stitched")
    return packed


def are_groups(value: Any) -> TypeGuard[dict[str, dict[str, Any]]]:
    """Whether a config's ``config_groups`` can be used: at least one, each with weights and targets, the patterns among them good ones."""
    return isinstance(value, dict) and bool(value) and all(_is_group(group) for group in value.values())


def _is_group(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("weights") or {}, dict):
        return False
    return isinstance(value.get("format"), str | None) and _are_targets(value.get("targets"))


def _are_targets(value: Any) -> bool:
    try:
        return isinstance(value, list) and all(isinstance(t, str) and (not t.startswith("re:") or re.compile(t[3:])) for t in value)
    except re.error:
        return False


def group_for(module: str, groups: Sequence[dict[str, Any]], family: Family) -> dict[str, Any] | None:
    """The group that quantized a module, by name or in memory's words; by class where only one group names classes."""
    names = family.wordings(module)
    by_name = [g for g in groups if any(_matches(n, t) for n in names for t in g["targets"])]
    by_class = [g for g in groups if any(t == "Linear" for t in g["targets"])]
    return next(iter(by_name or by_class), None)


def _matches(name: str, target: str) -> bool:
    return re.match(target[3:], name) is not None if target.startswith("re:") else name == target


def fp8_group(block: tuple[int, int]) -> dict[str, Any]:
    """FP8 weights in blocks; activations are quantized as they come, each token with a scale of its own."""
    eight = {"num_bits": 8, "type": "float", "symmetric": True}
    return {
        "targets": ["Linear"],
        "weights": {**eight, "strategy": "block", "block_structure": list(block), "dynamic": False},
        "input_activations": {**eight, "strategy": "token", "dynamic": True},
        "output_activations": None,
        "format": "float-quantized",
    }


def quantization_config(
    *, fp8: tuple[int, int] | None, packed: Sequence[tuple[dict[str, Any], Sequence[str]]], plain: Sequence[str], others: Sequence[str], family: Family
) -> dict[str, Any]:
    """The config of a checkpoint with ``packed`` modules (by their group), FP8 ones in blocks of ``fp8`` if any, and ``plain``
    ones in 16 bit; ``others`` are all modules that are not packed."""
    groups = [fp8_group(fp8)] if fp8 else []
    for group, modules in packed:
        wanted = set(modules)
        outside = [*others, *(m for _, more in packed for m in more if m not in wanted)]
        kept = {k: v for k, v in group.items() if k != "targets"}
        groups.append({**kept, "targets": _in_all_words(modules, outside, family), "format": PACKED})
    left = [*plain, *([] if HEAD in others else [HEAD])]  # a tied head has no tensor, and is a linear layer all the same
    ignore = _in_all_words(left, [m for m in others if m not in set(plain)], family)
    return {
        "quant_method": "compressed-tensors",
        "format": MIXED if fp8 else PACKED,
        "quantization_status": "compressed",
        "config_groups": {f"group_{n}": g for n, g in enumerate(groups)},
        "ignore": ignore,
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def _in_all_words(modules: Iterable[str], outside: Iterable[str], family: Family) -> list[str]:
    """Targets in the words of the checkpoint, and of programs where those differ."""
    inside, without = [family.wordings(m) for m in modules], [family.wordings(m) for m in outside]
    return list(dict.fromkeys(t for n in range(3) for t in targets([w[n] for w in inside], [w[n] for w in without])))


def targets(modules: Sequence[str], outside: Sequence[str]) -> list[str]:
    """Names and expressions that match all ``modules`` and nothing of ``outside``, as few as numbers allow: any number in a
    name's places if that fits, certain layers and any number behind if that does, else every name."""
    found: list[str] = []
    left = list(modules)
    for pattern_of in (_any_numbers, _same_layer):
        patterns = _grouped(left, pattern_of)
        wrong = {p for p in map(pattern_of, outside) if p}
        fit = {p: names for p, names in patterns.items() if p and p not in wrong}
        found += [_shortest(long, outside) for long in _joined(fit)]
        left = [n for p, names in patterns.items() if p not in fit for n in names]
    return [*found, *left]


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups


def _any_numbers(name: str) -> str:
    """An expression for the name with any number in place of each; empty where it has none."""
    return re.sub(r"(?<![^.])\d+(?![^.])", r"\\d+", re.escape(name).replace(r"\.", ".")).replace(".", r"\.") if re.search(r"\.\d+\.", name) else ""


def _same_layer(name: str) -> str:
    """The same with the first number kept."""
    first = re.search(r"\.(\d+)\.", name)
    return _any_numbers(name).replace(r"\d+", first[1], 1) if first else ""


def _joined(patterns: Iterable[str]) -> list[str]:
    """Expressions that differ in their last part only made one, and then those that differ in the layer."""
    by_stem = _grouped(patterns, lambda p: p.rpartition(r"\.")[0])
    tails = {stem: sorted(p.rpartition(r"\.")[2] for p in every) for stem, every in by_stem.items()}
    by_shape: dict[tuple[str, str], list[str]] = {}
    for stem, ends in tails.items():
        last = ends[0] if len(ends) == 1 else f"({'|'.join(ends)})"
        layer = re.search(r"layers\\\.(\d+)\\\.", stem)
        shape = stem.replace(layer[0], "layers\\.{}\\.", 1) if layer else stem
        by_shape.setdefault((shape, last), []).append(layer[1] if layer else "")
    return [f"{_layers(shape, layers)}\\.{last}" for (shape, last), layers in by_shape.items()]


def _layers(shape: str, layers: Sequence[str]) -> str:
    return shape.replace("{}", layers[0] if len(layers) == 1 else f"({'|'.join(sorted(layers, key=int))})", 1) if layers[0] else shape


def _shortest(pattern: str, outside: Iterable[str]) -> str:
    """The target without what stands before the parts of a layer, as recipes have it, unless that would match more."""
    short = re.sub(r"^.*layers\\\.\\d\+\\\.", "", pattern)
    loose = re.compile(f".*{short}$")
    return f"re:{pattern}$" if any(loose.match(name) for name in outside) else f"re:.*{short}$"
