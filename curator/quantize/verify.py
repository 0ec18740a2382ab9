"""Is a quantized folder what it says it is? Found from the bytes of both folders alone, knowing nothing of how it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import repr as shortened
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from curator import paths
from curator.checkpoints.reading import CONFIG, Checkpoint, Reader, Tensor, open_checkpoint, same_bytes
from curator.errors import QuantizeError, UsageError

MANIFEST = "curate-quantize.json"
PACKED = "weight_packed"
STANDS_FOR_A_WEIGHT = (PACKED, "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx", "weight_global_scale")
OF_INPUTS = ("input_scale", "input_zero_point", "input_global_scale")  # of activations that are quantized with fixed scales
# Formats that keep a weight's name and shape, and its type there (compressed_tensors.compressors.naive_quantized and mxfp8).
NAMED_AS_BEFORE = {"float-quantized": ("F8_E4M3",), "mxfp8-quantized": ("F8_E4M3",), "int-quantized": ("I8",), "naive-quantized": ("F8_E4M3", "I8")}
TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")
BESIDE = (*TOKENIZER, "tiktoken.model", "chat_template.jinja", "chat_template.json", "generation_config.json")


def _good_pattern(target: str) -> str:
    if target.startswith("re:"):
        try:
            re.compile(target[3:])
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
    return target


Target = Annotated[str, AfterValidator(_good_pattern)]
Kind = TypeVar("Kind", bound=BaseModel)


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Weights(_Read):
    """How the weights of a group are stored."""

    num_bits: int = 4
    group_size: int | None = None
    strategy: str | None = None
    symmetric: bool = True


class Group(_Read):
    """One of the ``config_groups``."""

    targets: list[Target]
    weights: Weights | None = None
    format: str | None = None


class Quantization(_Read):
    """What is read of ``quantization_config``."""

    config_groups: dict[str, Group] = Field(default_factory=dict)
    ignore: list[Target] = Field(default_factory=list)


class File(_Read):
    """A file as the manifest has it."""

    sha256: str


class Tensors(_Read):
    """What was done to tensors, as the manifest has it."""

    smoothed: list[str] = Field(default_factory=list)
    quantized: dict[str, Any] = Field(default_factory=dict)


class Manifest(_Read):
    """What is read of the manifest."""

    files: dict[str, File]
    tensors: Tensors


def verify(out: Path, source: Path) -> list[str]:
    """Everything that is wrong with ``out``, a quantized copy of ``source``; empty where nothing is. Raises UsageError for a
    folder that is no such thing, and for a source that ``out`` cannot have been made of."""
    for folder in (out, source):
        if not (folder / CONFIG).is_file():
            raise UsageError(f"{folder}: no {CONFIG} there; name the folder of a model")
    if not (out / MANIFEST).is_file():
        raise UsageError(f"{out}: no {MANIFEST}, curate-dequantize.json or curate-stitch.json there; name a folder that one of these wrote")
    if out.resolve() == source.resolve():
        raise UsageError(f"{source}: is {out} itself, which proves nothing; give --source the model that it was made of")
    try:
        made, origin = open_checkpoint(out), open_checkpoint(source)
        _refuse_quantized(origin)
        manifest = _read(Manifest, _json(out / MANIFEST), MANIFEST)
        return [*_files(out, manifest.files), *_tensors(made, origin, manifest.tensors), *_beside(out, source), *_config(made.config, origin.config)]
    except (QuantizeError, _Misread) as error:
        return str(error).splitlines()
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]


class _Misread(Exception):
    """Something that was written and is not as its readers want it; a line for each fault."""


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Misread(f"{file.name}: not JSON: {error}") from None


def _read(kind: type[Kind], value: Any, where: str) -> Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        lines = (f"{'.'.join([where, *map(str, e['loc'])])}: {e['msg'].removeprefix('Value error, ')}, it is {shortened(e['input'])}" for e in error.errors())
        raise _Misread("\n".join(lines)) from None


def _refuse_quantized(origin: Checkpoint) -> None:
    about = origin.config.get("quantization_config")
    if isinstance(about, dict) and about.get("quant_method") == "compressed-tensors":
        raise UsageError(f"{origin.folder}: is itself quantized (compressed-tensors); give --source the model in 16 bit that was quantized")


def _tensors(made: Checkpoint, origin: Checkpoint, noted: Tensors) -> Iterator[str]:
    """The tensors by their names, where the config tells which should be quantized, and by their values."""
    try:
        about = _read(Quantization, made.config.get("quantization_config") or {}, f"{CONFIG}: quantization_config")
        yield from _names(made.tensors, origin.tensors, about)
    except _Misread as error:
        yield from str(error).splitlines()
    yield from _values(made.tensors, origin.tensors, noted)


def _files(out: Path, noted: Mapping[str, File]) -> Iterator[str]:
    """Every file as the manifest says."""
    for name, facts in noted.items():
        if not (out / name).is_file():
            yield f"{name}: missing"
        elif paths.sha256(out / name) != facts.sha256:
            yield f"{name}: changed since it was written"
    for file in sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()):
        if file not in noted and file != MANIFEST:
            yield f"{file}: not in {MANIFEST}"


def _names(now: Mapping[str, Tensor], before: Mapping[str, Tensor], about: Quantization) -> Iterator[str]:
    """The tensors of the source, each as itself or packed, and nothing else; packed ones targeted, others not."""
    for stored in before.values():
        yield from _name(stored, now, about)
    for name in now:
        owner, _, leaf = name.rpartition(".")
        quantized = f"{owner}.weight" in before and _stand_ins(owner, now)
        if name not in before and not (quantized and leaf in (*STANDS_FOR_A_WEIGHT, *OF_INPUTS)):
            yield f"{name}: not a tensor of the source"


def _name(stored: Tensor, now: Mapping[str, Tensor], about: Quantization) -> Iterator[str]:
    """One tensor of the source: as itself, in another type, or packed."""
    name, (owner, _, leaf) = stored.name, stored.name.rpartition(".")
    packed = _stand_ins(owner, now) if leaf == "weight" else []
    group = _group(owner, about) if packed else None
    if name in now and group is not None and group.format in NAMED_AS_BEFORE:
        yield from _renumbered(now, name, stored, group.format)
    elif name in now and packed:
        yield f"{name}: there as itself and quantized"
    elif name in now:
        yield from _as_it_was(now[name], stored)
        if _is_targeted(stored, about):
            yield f"{owner}: targeted by quantization_config and not quantized"
    elif packed:
        yield from _packed(owner, stored, now, group)
    else:
        yield f"{name}: missing"


def _is_targeted(stored: Tensor, about: Quantization) -> bool:
    """Whether the configuration means this matrix to be quantized, by a pattern: of a class of modules, bytes do not tell."""
    owner, _, leaf = stored.name.rpartition(".")
    by_name = any(t.startswith("re:") for g in about.config_groups.values() for t in g.targets)
    return by_name and leaf == "weight" and len(stored.shape) == 2 and _group(owner, about) is not None


def _renumbered(now: Mapping[str, Tensor], name: str, old: Tensor, form: str) -> Iterator[str]:
    """A weight in another type under its own name, with scales beside it."""
    new, types = now[name], NAMED_AS_BEFORE[form]
    if new.dtype not in types:
        yield f"{name}: {new.dtype}; quantized as {form} it is {' or '.join(types)}"
    if new.shape != old.shape:
        yield f"{name}: {list(new.shape)}, in the source {list(old.shape)}"
    if f"{name}_scale" not in now:
        yield f"{name}_scale: missing"


def _stand_ins(owner: str, now: Mapping[str, Tensor]) -> list[str]:
    return [f"{owner}.{leaf}" for leaf in STANDS_FOR_A_WEIGHT if f"{owner}.{leaf}" in now]


def _as_it_was(new: Tensor, old: Tensor) -> Iterator[str]:
    if new.dtype != old.dtype:
        yield f"{new.name}: {new.dtype}, in the source {old.dtype}"
    if new.shape != old.shape:
        yield f"{new.name}: {list(new.shape)}, in the source {list(old.shape)}"


def _group(owner: str, about: Quantization) -> Group | None:
    """The group of ``quantization_config`` that a module of this name is in."""
    if any(_means(pattern, owner) for pattern in about.ignore):
        return None
    return next((g for g in about.config_groups.values() if any(_means(t, owner) or t == "Linear" for t in g.targets)), None)


def _means(pattern: str, name: str) -> bool:
    return re.match(pattern[3:], name) is not None if pattern.startswith("re:") else pattern == name


def _packed(owner: str, old: Tensor, now: Mapping[str, Tensor], group: Group | None) -> Iterator[str]:
    """Packed integers, their scales and their shape fit the weight that they stand for."""
    if group is None:
        yield f"{owner}: quantized and not targeted by quantization_config"
        return
    weights = group.weights or Weights()
    packed, scale, shape = (now.get(f"{owner}.{leaf}") for leaf in (PACKED, "weight_scale", "weight_shape"))
    if group.format != "pack-quantized" or len(old.shape) != 2:
        return
    if packed is None or scale is None or shape is None:
        yield f"{owner}: {', '.join(n for n, t in ((PACKED, packed), ('weight_scale', scale), ('weight_shape', shape)) if t is None)} missing"
        return
    if weights.symmetric == (f"{owner}.weight_zero_point" in now):
        yield f"{owner}.weight_zero_point: {'there, and the weights are symmetric' if weights.symmetric else 'missing, and the weights are asymmetric'}"
    rows, columns = old.shape
    bits, group_size = weights.num_bits, weights.group_size or columns
    wanted_packed = (rows, -(-columns * bits // 32))
    if packed.dtype != "I32" or packed.shape != wanted_packed:
        yield f"{packed.name}: {packed.dtype} {list(packed.shape)}; {list(old.shape)} in {bits} bits is I32 {list(wanted_packed)}"
    if weights.strategy == "group" and scale.shape != (rows, -(-columns // group_size)):
        yield f"{scale.name}: {list(scale.shape)}; groups of {group_size} over {list(old.shape)} are {[rows, -(-columns // group_size)]}"
    with Reader() as reader:
        raw = reader.whole(shape)
    said = tuple(int.from_bytes(raw[n : n + 8], "little") for n in range(0, shape.nbytes, 8))
    if said != old.shape:
        yield f"{shape.name}: says {list(said)}, in the source {list(old.shape)}"


def _values(now: Mapping[str, Tensor], before: Mapping[str, Tensor], noted: Tensors) -> Iterator[str]:
    """What was neither quantized nor listed as smoothed has the bytes of the source."""
    smoothed = set(noted.smoothed)
    for name in sorted(smoothed.difference(before)):
        yield f"{name}: listed as smoothed and no tensor of the source"
    with Reader() as one, Reader() as other:
        for name, stored in before.items():
            new = now.get(name)
            if new is not None and name not in smoothed and new.nbytes == stored.nbytes and not same_bytes(new, stored, readers=(one, other)):
                yield f"{name}: differs from the source, and is not listed as smoothed"
    for owner in noted.quantized:
        if not _stand_ins(owner, now):
            yield f"{owner}: listed as quantized and is not"


def _beside(out: Path, source: Path) -> Iterator[str]:
    """Tokenizer, template and generation config are those of the source."""
    for name in BESIDE:
        if (source / name).is_file() and not ((out / name).is_file() and (out / name).read_bytes() == (source / name).read_bytes()):
            yield f"{name}: not that of the source"


def _config(now: Mapping[str, Any], before: Mapping[str, Any]) -> Iterator[str]:
    """The source's configuration with ``quantization_config`` and nothing else new."""
    if not now.get("quantization_config"):
        yield f"{CONFIG}: no quantization_config"
    for key in sorted({*now, *before} - {"quantization_config"}):
        if now.get(key) != before.get(key):
            yield f"{CONFIG}: {key} is {now.get(key)!r}, in the source {before.get(key)!r}"
