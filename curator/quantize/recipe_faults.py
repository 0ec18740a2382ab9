"""What is wrong with a recipe as it is written, all of it at once and before a model is loaded. llm-compressor says one thing at a time,
some of it when a calibration is over."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

SMOOTHING = "AWQModifier"
QUANTIZING = ("QuantizationModifier", "GPTQModifier")
TAKEN = (SMOOTHING, *QUANTIZING)
PRUNING = ("ConstantPruningModifier", "MagnitudePruningModifier", "REAPPruningModifier", "SparseGPTModifier", "WandaPruningModifier")
# AutoRound, too: with llm-compressor 0.14 the attention beside the experts it was to quantize came out as other numbers.
CHANGES_MORE = ("SmoothQuantModifier", "LogarithmicEqualizationModifier", "SpinQuantModifier", "QuIPModifier", "AutoRoundModifier", *PRUNING)

Step = tuple[str, Mapping[str, Any]]  # a modifier's class name and its settings


def faults(value: Any, steps: Sequence[Step]) -> list[str]:
    """A line for each fault of a recipe's YAML; ``steps`` are the modifiers found in it."""
    found = [*_misspelt(value), *(line for kind, settings in steps for line in _of_step(kind, settings))]
    if not steps and not found:
        there = f"found {', '.join(map(str, value))}" if isinstance(value, dict) else "it is empty" if value is None else f"it is {_kind(value)}"
        found = [f"no modifier in it ({there}); a recipe of llm-compressor is wanted, with one of {', '.join(TAKEN)}"]
    return list(dict.fromkeys(found))


def _misspelt(value: Any) -> Iterator[str]:
    """Keys outside of modifiers that are nearly the name of one, and would be passed over (stages are not in capitals); modifiers
    without settings to read."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if str(key).endswith("Modifier"):
            if not isinstance(inner, dict | None):
                yield f"{key}: its settings are {_kind(inner)}; a table is wanted"
            continue
        near = difflib.get_close_matches(str(key), (*TAKEN, *CHANGES_MORE), n=1, cutoff=0.85)
        if near and str(key)[:1].isupper():
            yield f"{key}: no modifier is called so, {near[0]} may be meant; known: {', '.join(TAKEN)}"
        else:
            yield from _misspelt(inner)


def _of_step(kind: str, settings: Mapping[str, Any]) -> Iterator[str]:
    if kind in CHANGES_MORE:
        yield f"{kind}: changes more than is quantized, which curate can neither prove nor write; leave it out, or run llm-compressor itself"
        return
    yield from (f"{kind}: {fault}" for fault in _misshapen(kind, settings))
    yield from (f"{pattern}: not a regular expression: {fault}" for pattern, fault in _bad_patterns(dict(settings)))


def _misshapen(kind: str, settings: Mapping[str, Any]) -> Iterator[str]:
    """Settings that are read here, and are of another kind than they have to be."""
    for key in ("targets", "ignore"):
        if key in settings:
            yield from _names(key, settings[key])
    groups = settings.get("config_groups") or {}
    if not isinstance(groups, dict):
        yield f"config_groups: it is {_kind(groups)}; a table of groups is wanted"
    for name, group in groups.items() if isinstance(groups, dict) else ():
        where = f"config_groups.{name}"
        yield from _names(f"{where}.targets", group.get("targets")) if isinstance(group, dict) else (f"{where}: it is {_kind(group)}; a table is wanted",)
    for scheme, targets in settings["scheme"].items() if isinstance(settings.get("scheme"), dict) else ():
        yield from _names(f"scheme.{scheme}", targets)
    if settings.get("kv_cache_scheme") is not None:
        yield "kv_cache_scheme: curate writes weights and their scales, and none of the cache; leave it out"
    if kind == SMOOTHING:
        yield from _mappings(settings.get("mappings") or [])


def _mappings(mappings: Any) -> Iterator[str]:
    if not isinstance(mappings, list):
        yield f"mappings: it is {_kind(mappings)}; a list is wanted"
        return
    for number, mapping in enumerate(mappings):
        parts = parts_of_mapping(mapping)
        if parts is None:
            yield f"mappings.{number}: {shortened(mapping)} is not a mapping; give it smooth_layer, a name, and balance_layers, names"
        else:
            yield from _names(f"mappings.{number}.balance_layers", parts["balance_layers"])


def parts_of_mapping(mapping: Any) -> dict[str, Any] | None:
    """One mapping of AWQ, which may be written as a table or, of old, as a pair; None for something else."""
    if isinstance(mapping, list | tuple) and len(mapping) == 2:
        mapping = {"smooth_layer": mapping[0], "balance_layers": mapping[1]}
    told = isinstance(mapping, dict) and isinstance(mapping.get("smooth_layer"), str) and "balance_layers" in mapping
    return mapping if told else None


def _names(where: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str) and not (isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)):
        yield f"{where}: it is {_kind(value)}; a name or a list of names is wanted"


def _kind(value: Any) -> str:
    """What YAML calls it, and what it says where that is short."""
    if value is None:
        return "empty"
    named = next((name for kind, name in ((dict, "a table"), (list, "a list"), (str, "text")) if isinstance(value, kind)), type(value).__name__)
    return f"{named} ({shortened(value)})"


def _bad_patterns(value: Any) -> Iterator[tuple[str, str]]:
    """The ``re:`` patterns within that are not regular expressions, and why."""
    if isinstance(value, str) and value.startswith("re:"):
        try:
            re.compile(value.removeprefix("re:"))
        except re.error as error:
            yield value, str(error)
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _bad_patterns(pair)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _bad_patterns(inner)
