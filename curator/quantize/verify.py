"""Is a quantized folder what it says it is? Found from the bytes of both folders alone, knowing nothing of how it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curator.checkpoints.reading import CONFIG, Reader, Tensor, open_checkpoint, same_bytes, sha256
from curator.errors import QuantizeError, UsageError

MANIFEST = "curate-quantize.json"
PACKED = "weight_packed"
STANDS_FOR_A_WEIGHT = (PACKED, "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx", "weight_global_scale")
TOKENIZER = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")
BESIDE = (*TOKENIZER, "tiktoken.model", "chat_template.jinja", "chat_template.json", "generation_config.json")


def verify(out: Path, source: Path) -> list[str]:
    """Everything that is wrong with ``out``, a quantized copy of ``source``; empty where nothing is. Raises UsageError for a
    folder that is no such thing."""
    for folder in (out, source):
        if not (folder / CONFIG).is_file():
            raise UsageError(f"{folder}: no {CONFIG} there; name the folder of a model")
    if not (out / MANIFEST).is_file():
        raise UsageError(f"{out}: no {MANIFEST} there; name a folder that `curate quantize` wrote and finished")
    try:
        made, origin = open_checkpoint(out), open_checkpoint(source)
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (QuantizeError, ValueError) as error:
        return str(error).splitlines()
    except OSError as error:
        return [f"{error.filename}: {error.strerror}"]
    return [
        *_files(out, manifest),
        *_names(made.tensors, origin.tensors, made.config),
        *_values(made.tensors, origin.tensors, manifest.get("tensors", {})),
        *_beside(out, source),
        *_config(made.config, origin.config),
    ]


def _files(out: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Every file as the manifest says."""
    noted = manifest.get("files", {})
    for name, facts in noted.items():
        if not (out / name).is_file():
            yield f"{name}: missing"
        elif sha256(out / name) != facts["sha256"]:
            yield f"{name}: changed since it was written"
    for file in sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()):
        if file not in noted and file != MANIFEST:
            yield f"{file}: not in {MANIFEST}"


def _names(now: Mapping[str, Tensor], before: Mapping[str, Tensor], config: Mapping[str, Any]) -> Iterator[str]:
    """The tensors of the source, each as itself or packed, and nothing else; packed ones targeted, others not."""
    groups = (config.get("quantization_config") or {}).get("config_groups", {})
    ignore = (config.get("quantization_config") or {}).get("ignore", [])
    for name, stored in before.items():
        owner, _, leaf = name.rpartition(".")
        packed = _stand_ins(owner, now) if leaf == "weight" else []
        if name in now and packed:
            yield f"{name}: there as itself and quantized"
        elif name in now:
            yield from _as_it_was(now[name], stored)
            if leaf == "weight" and len(stored.shape) == 2 and _group(owner, groups, ignore) is not None and any(t.startswith("re:") for t in _targets(groups)):
                yield f"{owner}: targeted by quantization_config and not quantized"
        elif packed:
            yield from _packed(owner, stored, now, _group(owner, groups, ignore))
        else:
            yield f"{name}: missing"
    for name in now:
        owner, _, leaf = name.rpartition(".")
        if name not in before and not (leaf in STANDS_FOR_A_WEIGHT and f"{owner}.weight" in before):
            yield f"{name}: not a tensor of the source"


def _targets(groups: Mapping[str, Any]) -> list[str]:
    return [t for g in groups.values() for t in g.get("targets", [])]


def _stand_ins(owner: str, now: Mapping[str, Tensor]) -> list[str]:
    return [f"{owner}.{leaf}" for leaf in STANDS_FOR_A_WEIGHT if f"{owner}.{leaf}" in now]


def _as_it_was(new: Tensor, old: Tensor) -> Iterator[str]:
    if new.dtype != old.dtype:
        yield f"{new.name}: {new.dtype}, in the source {old.dtype}"
    if new.shape != old.shape:
        yield f"{new.name}: {list(new.shape)}, in the source {list(old.shape)}"


def _group(owner: str, groups: Mapping[str, Any], ignore: Sequence[str]) -> Mapping[str, Any] | None:
    """The group of ``quantization_config`` that a module of this name is in."""
    if any(_means(pattern, owner) for pattern in ignore):
        return None
    return next((g for g in groups.values() if any(_means(t, owner) or t == "Linear" for t in g.get("targets", []))), None)


def _means(pattern: str, name: str) -> bool:
    return re.match(pattern[3:], name) is not None if pattern.startswith("re:") else pattern == name


def _packed(owner: str, old: Tensor, now: Mapping[str, Tensor], group: Mapping[str, Any] | None) -> Iterator[str]:
    """Packed integers, their scales and their shape fit the weight that they stand for."""
    if group is None:
        yield f"{owner}: quantized and not targeted by quantization_config"
        return
    weights = group.get("weights") or {}
    packed, scale, shape = (now.get(f"{owner}.{leaf}") for leaf in (PACKED, "weight_scale", "weight_shape"))
    if group.get("format") != "pack-quantized" or len(old.shape) != 2:
        return
    if packed is None or scale is None or shape is None:
        yield f"{owner}: {', '.join(n for n, t in ((PACKED, packed), ('weight_scale', scale), ('weight_shape', shape)) if t is None)} missing"
        return
    rows, columns = old.shape
    bits, group_size = weights.get("num_bits", 4), weights.get("group_size") or columns
    wanted_packed = (rows, -(-columns * bits // 32))
    if packed.dtype != "I32" or packed.shape != wanted_packed:
        yield f"{packed.name}: {packed.dtype} {list(packed.shape)}; {list(old.shape)} in {bits} bits is I32 {list(wanted_packed)}"
    if weights.get("strategy") == "group" and scale.shape != (rows, -(-columns // group_size)):
        yield f"{scale.name}: {list(scale.shape)}; groups of {group_size} over {list(old.shape)} are {[rows, -(-columns // group_size)]}"
    with Reader() as reader:
        raw = reader.whole(shape)
    said = tuple(int.from_bytes(raw[n : n + 8], "little") for n in range(0, shape.nbytes, 8))
    if said != old.shape:
        yield f"{shape.name}: says {list(said)}, in the source {list(old.shape)}"


def _values(now: Mapping[str, Tensor], before: Mapping[str, Tensor], tensors: Mapping[str, Any]) -> Iterator[str]:
    """What was neither quantized nor listed as smoothed has the bytes of the source."""
    smoothed = set(tensors.get("smoothed", ()))
    for name in sorted(smoothed.difference(before)):
        yield f"{name}: listed as smoothed and no tensor of the source"
    with Reader() as one, Reader() as other:
        for name, stored in before.items():
            new = now.get(name)
            if new is not None and name not in smoothed and new.nbytes == stored.nbytes and not same_bytes(new, stored, readers=(one, other)):
                yield f"{name}: differs from the source, and is not listed as smoothed"
    for owner in tensors.get("quantized", {}):
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
