"""Recipes: which modules are quantized how. Shipped ones by name, files of llm-compressor, and files of its older form,
which are translated with a note of each translation.
"""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from curator import plain_yaml
from curator.errors import QuantizeError, UsageError
from curator.quantize import recipe_faults
from curator.quantize.data import Note
from curator.quantize.names import Naming, matches, patterns, shown
from curator.quantize.recipe_faults import QUANTIZING, SMOOTHING, TAKEN, Step, parts_of_mapping

FOLDER = Path(__file__).with_name("recipes")
FOR_EXPERTS, FOR_DENSE = "w4a16-awq", "w4a16-dense-awq"
SETTINGS_OF_QUANTIZATION = ("config_groups", "targets", "scheme", "ignore", "kv_cache_scheme", "bypass_divisibility_checks")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do with a model, step by step."""

    name: str
    text: str  # as it was read
    steps: tuple[Step, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Selection:
    """What a recipe quantizes in a given model."""

    modules: Mapping[str, str]  # name in memory -> what is done with it, for a reader
    left: tuple[str, ...]  # linear modules that stay as they are


def shipped() -> list[str]:
    """The names of the recipes that come with curate."""
    return sorted(p.stem for p in FOLDER.glob("*.yaml"))


def load(name: str) -> Recipe:
    """A recipe by its name or file. Raises UsageError."""
    file = FOLDER / f"{name}.yaml" if name in shipped() else Path(name)
    text = plain_yaml.text_of(file, name=f"recipe {name}", otherwise=f"name a file, or one of {', '.join(shipped())}")
    return parse(text, name=name if name in shipped() else file.name)


def parse(text: str, *, name: str) -> Recipe:
    """A recipe from the text of its file: stages of modifiers, or modifiers alone. Raises UsageError."""
    value = plain_yaml.load(text, name=f"recipe {name}")
    steps = tuple(_modifiers(value))
    faults = recipe_faults.faults(value, steps)
    if faults:
        raise UsageError("\n".join(f"recipe {name}: {fault}" for fault in faults))
    return Recipe(name, text, steps)


def _modifiers(value: Any) -> Iterator[Step]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        if str(key).endswith("Modifier") and isinstance(inner, dict | None):
            yield str(key), inner or {}
        else:
            yield from _modifiers(inner)


def translate(recipe: Recipe, model: Any, naming: Naming, note: Note) -> Recipe:
    """The recipe as llm-compressor takes it now, for the names that modules have in memory. Each change is told to ``note``."""
    recipe = _split(recipe, note)
    kinds = {name: type(module).__name__ for name, module in model.named_modules() if name}
    known: dict[str, list[str]] = {}

    def local(pattern: str) -> list[str]:
        if pattern not in known:
            known[pattern] = _local(pattern, kinds, naming)
            if known[pattern] != [pattern]:
                note(f"recipe {recipe.name}: {pattern} is a name of the checkpoint; in memory: {', '.join(known[pattern])}")
        return known[pattern]

    return replace(recipe, steps=tuple((kind, _renamed(settings, local)) for kind, settings in recipe.steps))


def _split(recipe: Recipe, note: Note) -> Recipe:
    """Older recipes say within AWQModifier what is quantized; now a quantizing modifier says it."""
    steps: list[Step] = []
    for kind, settings in recipe.steps:
        moved = {k: settings[k] for k in SETTINGS_OF_QUANTIZATION if k in settings} if kind == SMOOTHING else {}
        steps.append((kind, {k: v for k, v in settings.items() if k not in moved}))
        if not moved:
            continue
        if any(k in QUANTIZING for k, _ in recipe.steps):
            raise UsageError(f"recipe {recipe.name}: {', '.join(moved)} in AWQModifier, and a quantizing modifier beside it; say once what is quantized")
        note(f"recipe {recipe.name}: {', '.join(moved)} moved from AWQModifier to QuantizationModifier, where llm-compressor now looks for it")
        steps.append((QUANTIZING[0], moved))
    return replace(recipe, steps=tuple(steps))


def _local(pattern: str, kinds: Mapping[str, str], naming: Naming) -> list[str]:
    if any(matches(pattern, name, kind) for name, kind in kinds.items()):
        return [pattern]
    meant = [name for name, source in naming.in_source.items() if matches(pattern, source)]
    return patterns(meant, kinds) or [pattern]


def _renamed(settings: Mapping[str, Any], local: Callable[[str], list[str]]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(settings))
    for key in ("targets", "ignore"):
        if key in changed:
            changed[key] = _all(changed[key], local)
    for group in (changed.get("config_groups") or {}).values():
        group["targets"] = _all(group.get("targets", []), local)
    if isinstance(changed.get("scheme"), dict):
        changed["scheme"] = {k: _all(v, local) for k, v in changed["scheme"].items()}
    if changed.get("mappings"):
        changed["mappings"] = [
            {**parts, "smooth_layer": smooth, "balance_layers": _all(parts["balance_layers"], local)}
            for parts in filter(None, map(parts_of_mapping, changed["mappings"]))
            for smooth in local(parts["smooth_layer"])
        ]
    return changed


def _all(values: Any, local: Callable[[str], list[str]]) -> list[str]:
    listed = [values] if isinstance(values, str) else values
    return list(dict.fromkeys(new for value in listed for new in local(str(value))))


def modifiers(recipe: Recipe) -> list[Any]:
    """The modifiers of llm-compressor, made. Raises UsageError for a name or a setting that it does not know."""
    from llmcompressor.modifiers.factory import ModifierFactory
    from pydantic import ValidationError

    ModifierFactory.refresh()
    made = []
    for kind, settings in recipe.steps:
        try:
            modifier = ModifierFactory.create(kind, allow_registered=True, allow_experimental=True, **copy.deepcopy(dict(settings)))
            _refuse_orders(kind, modifier)
        except ValidationError as error:
            problems = "; ".join(dict.fromkeys(_problem(e, kind) for e in error.errors()))
            raise UsageError(f"recipe {recipe.name}: {kind}: {problems}") from None
        except (ValueError, TypeError, AttributeError, ImportError) as error:
            known = f"; known: {', '.join(TAKEN)}" if kind not in TAKEN else ""
            raise UsageError(f"recipe {recipe.name}: {kind}: {error}{known}") from None
        made.append(modifier)
    return made


def _refuse_orders(kind: str, modifier: Any) -> None:
    """Raise ValueError where GPTQ is to take columns in an order that llm-compressor refuses at the first layer, or in two."""
    config = getattr(modifier, "resolved_config", None)
    for scheme in (config.config_groups or {}).values() if config and kind == "GPTQModifier" else ():
        order = getattr(scheme.weights, "actorder", None)
        if order not in (None, "weight", "static"):
            raise ValueError(f"actorder: {getattr(order, 'value', order)!r} is no order of GPTQ; give weight, static or none")


def _problem(error: Mapping[str, Any], kind: str) -> str:
    """What pydantic says of a setting; of a scheme, which ones there are."""
    if error["loc"][:1] != ("scheme",):
        return f"{'.'.join(map(str, error['loc'])) or kind}: {error['msg']}"
    from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES

    return f"scheme: {error['input']!r} is neither a preset nor a table of presets with their targets; presets: {', '.join(PRESET_SCHEMES)}"


def select(recipe: Recipe, model: Any, made: Sequence[Any]) -> Selection:
    """What ``made`` (the recipe's modifiers) quantizes. Raises QuantizeError for no module at all, and for some experts
    only; UsageError for groups that do not fit."""
    import torch

    linear = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear | torch.nn.Embedding)}
    found: dict[str, Any] = {}
    for name, scheme in _targeted(model, made):
        if name in linear:
            found.setdefault(name, scheme)
    left = tuple(n for n, m in linear.items() if n not in found and isinstance(m, torch.nn.Linear))
    if not found:
        _refuse_nothing(recipe, [target for _, scheme in _schemes(made) for target in scheme.targets], left)
    _refuse_uneven(recipe, {name: (linear[name].weight.shape[-1], _group_size(scheme)) for name, scheme in found.items()})
    _refuse_some_experts(recipe, found, experts(model))
    return Selection({name: _said(scheme) for name, scheme in found.items()}, left)


def _targeted(model: Any, made: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """(name, scheme) of every module that a modifier would quantize; the first scheme of a module is the one that it gets."""
    from compressed_tensors.utils import match_named_modules

    for modifier, scheme in _schemes(made):
        for name, _ in match_named_modules(model, scheme.targets, modifier.ignore):
            yield name, scheme


def _schemes(made: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """(modifier, scheme) of what quantizes weights; of activations alone nothing is written."""
    for modifier in made:
        config = getattr(modifier, "resolved_config", None)
        for scheme in (config.config_groups or {}).values() if config else ():
            if scheme.weights is not None:
                yield modifier, scheme


def _refuse_nothing(recipe: Recipe, targets: Sequence[str], there: Sequence[str]) -> NoReturn:
    if not targets:
        raise QuantizeError(f"recipe {recipe.name}: quantizes no weights; give a modifier a scheme or config_groups")
    raise QuantizeError(f"recipe {recipe.name}: no module matches {', '.join(targets)}; this model has {shown(there)}")


def _refuse_uneven(recipe: Recipe, sizes: Mapping[str, tuple[int, int | None]]) -> None:
    """Raise UsageError where the rows of some modules are not whole groups; ``sizes`` is {module: (width, group size)}."""
    uneven: dict[tuple[int, int], list[str]] = defaultdict(list)
    for name, (width, size) in sizes.items():
        if size and width % size:
            uneven[width, size].append(name)
    if uneven:
        lines = "; ".join(f"{shown(names)}: rows of {width} are not a multiple of {size}" for (width, size), names in uneven.items())
        raise UsageError(
            f"recipe {recipe.name}: the group size does not fit {sum(map(len, uneven.values()))} of {len(sizes)} modules: {lines}; "
            "choose another group_size, or leave these modules out (ignore)"
        )


def _group_size(scheme: Any) -> int | None:
    """What the width of a weight must be a multiple of: the observers of llm-compressor split rows into whole groups, also where
    ``bypass_divisibility_checks`` lets others through until then. Blocks may be ragged."""
    size = scheme.weights.group_size if scheme.weights.strategy in ("group", "tensor_group") else None
    return size if size and size > 0 else None


def _refuse_some_experts(recipe: Recipe, found: Mapping[str, Any], among: Sequence[str]) -> None:
    missed = [n for n in among if n not in found]
    if missed and len(missed) < len(among):
        taken = [n for n in among if n in found]
        raise QuantizeError(
            f"recipe {recipe.name}: leaves out {len(missed)} of the {len(among)} linear layers of the experts: {shown(missed)}; "
            f"it matched {shown(taken)}. A server takes the experts of a layer all in one form; mend the targets"
        )


def experts(model: Any) -> list[str]:
    """The names of the linear layers of all routed experts."""
    import torch
    from llmcompressor.modeling.moe.linear_experts import LinearExperts2D

    inside = [f"{name}." for name, module in model.named_modules() if isinstance(module, LinearExperts2D)]
    return [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and any(n.startswith(p) for p in inside)] if inside else []


def default(model: Any) -> str:
    """The recipe for a model when nobody names one."""
    return FOR_EXPERTS if experts(model) else FOR_DENSE


def _said(scheme: Any) -> str:
    weights = scheme.weights
    group = f", groups of {weights.group_size}" if weights.group_size and weights.group_size > 0 else f", by {weights.strategy}"
    inputs = f", {scheme.input_activations.num_bits}-bit inputs" if scheme.input_activations else ""
    return f"{weights.num_bits}-bit {weights.type}{group}{'' if weights.symmetric else ', asymmetric'}{inputs}"
