"""Whether a folder that `curate dequantize` or `curate stitch` wrote is whole, and is what its config says. Reads headers and bytes
only, and shares with the writers no more than the reading of headers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curator.checkpoints.reading import CONFIG, Checkpoint, Reader, Tensor, open_checkpoint, same_bytes, sha256
from curator.errors import CurateError, UsageError

MANIFESTS = ("curate-dequantize.json", "curate-stitch.json")
SCALED = {"weight": "weight_scale", "weight_packed": "weight_scale"}


def is_ours(folder: Path) -> bool:
    """Whether the folder has a manifest that this module can hold it against."""
    return any((folder / name).is_file() for name in MANIFESTS)


def faults(folder: Path, *, source: Path | None = None) -> list[str]:
    """All that is wrong with a dequantized or stitched folder; with ``source``, the model that its tensors "as they were" come
    from, these too. Raises UsageError for a folder of another kind."""
    name = next((n for n in MANIFESTS if (folder / n).is_file()), None)
    if name is None:
        raise UsageError(f"{folder}: neither {' nor '.join(MANIFESTS)} there; name a folder that `curate dequantize` or `curate stitch` wrote")
    try:
        manifest = json.loads((folder / name).read_text(encoding="utf-8"))
        found = [*_files(folder, manifest["files"])]
        checkpoint = open_checkpoint(folder)
    except CurateError as error:
        return str(error).splitlines()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{name}: cannot be read: {error!r}"]
    found += _config(checkpoint)
    if "tensors" in manifest:
        found += [f"{t}: not in {name}" for t in checkpoint.tensors if t not in manifest["tensors"]]
        found += [f"{t}: in {name} only" for t in manifest["tensors"] if t not in checkpoint.tensors]
    if source is not None:
        found += _against(checkpoint, open_checkpoint(source), manifest)
    return found


def _files(folder: Path, noted: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, about in noted.items():
        file = folder / name
        if not file.is_file():
            yield f"{name}: missing"
        elif file.stat().st_size != about["bytes"] or sha256(file) != about["sha256"]:
            yield f"{name}: changed since it was written"


def _config(checkpoint: Checkpoint) -> Iterator[str]:
    """Tensors that are not stored as the config says."""
    about = checkpoint.config.get("quantization_config")
    groups = list(about["config_groups"].values()) if about else []
    ignore = about["ignore"] if about else []
    for name, tensor in checkpoint.tensors.items():
        module, _, part = name.rpartition(".")
        if part == "weight_scale_inv":
            yield f"{name}: a block scale under its old name"
        if part in SCALED and (part == "weight_packed" or tensor.dtype.startswith("F8_")):
            yield from _quantized(checkpoint, module, tensor, groups, ignore)
        elif part == "weight" and groups and len(tensor.shape) == 2 and "embed" not in name and not _matches(module, ignore):
            yield f"{name}: {tensor.dtype}, and {CONFIG} does not say that it is left as it is"


def _quantized(checkpoint: Checkpoint, module: str, tensor: Tensor, groups: list[dict[str, Any]], ignore: list[str]) -> Iterator[str]:
    """What is wrong with a quantized weight: no group, no scale, or a scale of another shape."""
    by_name = [g for g in groups if _matches(module, g["targets"])]
    group = next(iter(by_name or [g for g in groups if "Linear" in g["targets"]]), None)
    if group is None or _matches(module, ignore):
        yield f"{tensor.name}: quantized, and {CONFIG} has no group for it"
        return
    packed = tensor.name.endswith("_packed")
    if packed != (group["format"] == "pack-quantized"):
        yield f"{tensor.name}: not of the format {group['format']} of its group"
        return
    scale = checkpoint.tensors.get(f"{module}.weight_scale")
    wanted = _scale_shape(tensor, group["weights"], packed=packed)
    if scale is None or scale.shape != wanted:
        yield f"{tensor.name}: its scale is {'missing' if scale is None else f'of shape {list(scale.shape)}'}, it should have shape {list(wanted)}"


def _scale_shape(tensor: Tensor, weights: Mapping[str, Any], *, packed: bool) -> tuple[int, ...]:
    rows, columns = tensor.shape[-2:]
    if weights["strategy"] == "block":
        height, width = weights["block_structure"]
        return (*tensor.shape[:-2], -(-rows // height), -(-columns // width))
    values = columns * 32 // weights["num_bits"] if packed else columns
    return (*tensor.shape[:-1], -(-values // weights["group_size"]) if weights.get("group_size") else 1)


def _matches(module: str, targets: list[str]) -> bool:
    return any(re.match(t[3:], module) if t.startswith("re:") else t == module for t in targets)


def _against(checkpoint: Checkpoint, source: Checkpoint, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Tensors that should be the source's, byte for byte, and are not."""
    with Reader() as one, Reader() as other:
        for name, tensor in checkpoint.tensors.items():
            if not str(manifest.get("tensors", {}).get(name, "base")).startswith("base"):
                continue
            before = source.tensors.get(name) or source.tensors.get(f"{name}_inv")
            if before is None:
                yield f"{name}: not in {source.folder}"
            elif before.dtype == tensor.dtype and not (before.shape == tensor.shape and same_bytes(tensor, before, readers=(one, other))):
                yield f"{name}: not as in {source.folder}"
