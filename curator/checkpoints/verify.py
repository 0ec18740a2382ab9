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
    from, these too. Raises UsageError for a folder of another kind, and for a source that is the folder itself."""
    name = next((n for n in MANIFESTS if (folder / n).is_file()), None)
    if name is None:
        raise UsageError(f"{folder}: neither {' nor '.join(MANIFESTS)} there; name a folder that `curate dequantize` or `curate stitch` wrote")
    if source is not None and source.resolve() == folder.resolve():
        raise UsageError(f"{source}: is {folder} itself, which proves nothing; give --source the model that it was made of")
    try:
        manifest = json.loads((folder / name).read_text(encoding="utf-8"))
        found = [*_files(folder, manifest["files"])]
        checkpoint = open_checkpoint(folder)
    except CurateError as error:
        return str(error).splitlines()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{name}: cannot be read: {error!r}"]
    try:
        found += _config(checkpoint)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, re.error) as error:
        found.append(f"{CONFIG}: quantization_config is not as compressed-tensors has it: {error!r}")
    if "tensors" in manifest:
        found += [f"{t}: not in {name}" for t in checkpoint.tensors if t not in manifest["tensors"]]
        found += [f"{t}: in {name} only" for t in manifest["tensors"] if t not in checkpoint.tensors]
    if source is not None:
        origin = open_checkpoint(source)
        found += _against(checkpoint, origin, manifest)
        found += _dequantized(checkpoint, origin) if "tensors" not in manifest else ()
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


def _dequantized(checkpoint: Checkpoint, source: Checkpoint) -> Iterator[str]:
    """Tensors of an FP8 source that are not there in 16 bit, or not its numbers: of each block a row is worked out in float64."""
    about = source.config.get("quantization_config")
    block = about.get("weight_block_size") if isinstance(about, dict) else None
    if not (isinstance(block, list) and len(block) == 2 and all(isinstance(n, int) and n > 0 for n in block)):
        yield f"{source.folder}: not the FP8 model, its {CONFIG} has no weight_block_size"
        return
    with Reader() as reader:
        for name, tensor in source.tensors.items():
            made, scale = checkpoint.tensors.get(name), source.tensors.get(f"{name}_scale_inv")
            if made is None and not name.endswith("_scale_inv"):
                yield f"{name}: not there, though it is in {source.folder}"
            elif made is not None and scale is not None and not _are_products(made, tensor, scale, (block[0], block[1]), reader):
                yield f"{name}: not the numbers of {source.folder}"


def _are_products(made: Tensor, weight: Tensor, scale: Tensor, block: tuple[int, int], reader: Reader) -> bool:
    """Whether each number of a row of each block is no further from code times scale than rounding to 16 bit takes it."""
    import numpy as np

    blocks = tuple(-(-length // size) for length, size in zip(weight.shape[-2:], block, strict=True))
    if made.shape != weight.shape or made.dtype not in ("BF16", "F16") or scale.shape != (*weight.shape[:-2], *blocks):
        return False
    if not weight.nbytes:
        return True
    (rows, columns), scales = weight.shape[-2:], _numbers(reader.whole(scale), scale.dtype).reshape(scale.shape)
    for number, row_of_blocks in enumerate(scales.reshape(-1, scale.shape[-1])):
        matrix, down = divmod(number, scale.shape[-2])
        row = matrix * rows + min(rows - 1, down * block[0] + number % block[0])
        codes, stored = bytearray(columns), bytearray(2 * columns)
        reader.into(memoryview(codes), weight, row * columns)
        reader.into(memoryview(stored), made, row * 2 * columns)
        with np.errstate(invalid="ignore"):  # zero times infinity
            right = _numbers(codes, "F8_E4M3") * row_of_blocks.repeat(min(block[1], columns))[:columns]
        if not _is_rounded(_numbers(stored, made.dtype), right, made.dtype):
            return False
    return True


def _is_rounded(stored: Any, right: Any, dtype: str) -> bool:
    """Whether stored numbers are the right ones, each rounded to its type: no number where that is none, infinite where that is too large."""
    import numpy as np

    bits, least, most = (8, -133, 128) if dtype == "BF16" else (11, -24, 16)
    half_step = np.ldexp(0.5, np.maximum(np.frexp(right)[1] - bits, least))
    too_large = np.abs(right) >= np.ldexp(1 - 2.0 ** -(bits + 1), most)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        near = np.where(too_large, stored == np.copysign(np.inf, right), np.abs(stored - right) <= half_step)
    return bool(np.where(np.isnan(right), np.isnan(stored), near).all())


def _numbers(raw: bytearray, dtype: str) -> Any:
    """Stored numbers as float64."""
    import numpy as np

    if dtype == "BF16":
        return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if dtype == "F8_E8M0":
        return np.ldexp(1.0, np.frombuffer(raw, np.uint8).astype(np.int32) - 127)
    if dtype == "F8_E4M3":
        codes = np.frombuffer(raw, np.uint8).astype(np.int32)
        exponent, mantissa = (codes >> 3) & 15, codes & 7
        size = np.where(exponent == 0, np.ldexp(mantissa / 8, -6), np.ldexp(1 + mantissa / 8, exponent - 7))
        return np.where(codes & 127 == 127, np.nan, np.where(codes & 128, -size, size))
    return np.frombuffer(raw, {"F16": np.float16, "F32": np.float32}[dtype]).astype(np.float64)
