"""Whether a folder that `curate dequantize` or `curate stitch` wrote is whole, and is what its config says. Reads headers and bytes
only, and shares with the writers no more than the reading of headers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator import paths
from curator.checkpoints.reading import CONFIG, INDEX, Checkpoint, Reader, Tensor, open_checkpoint, same_bytes
from curator.errors import CurateError, UsageError

DEQUANTIZED = "curate-dequantize.json"
MANIFESTS = (DEQUANTIZED, "curate-stitch.json")
CARD = "README.md"
SCALE_TYPES = ("F32", "BF16", "F16", "F8_E8M0")
SCALED = {"weight": "weight_scale", "weight_packed": "weight_scale"}


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What is read of a manifest."""

    files: Mapping[str, str]  # digests
    origins: Mapping[str, str] | None  # of a stitched folder, where each tensor comes from
    dtype: str | None  # of a dequantized folder


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
        return _faults(folder, name, source)
    except OSError as error:
        return [f"{error.filename}: cannot be read: {error.strerror}"]


def _faults(folder: Path, name: str, source: Path | None) -> list[str]:
    try:
        manifest = _manifest(folder, name)
        found = [*_files(folder, manifest.files, name)]
        checkpoint = open_checkpoint(folder)
    except CurateError as error:
        return str(error).splitlines()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"{name}: cannot be read: {error!r}"]
    try:
        found += _config(checkpoint) if manifest.origins is not None else _no_config(checkpoint)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, re.error) as error:
        found.append(f"{CONFIG}: quantization_config is not as compressed-tensors has it: {error!r}")
    if manifest.origins is not None:
        found += [f"{t}: not in {name}" for t in checkpoint.tensors if t not in manifest.origins]
        found += [f"{t}: in {name} only" for t in manifest.origins if t not in checkpoint.tensors]
    if source is not None:
        origin = open_checkpoint(source)
        found += _beside(manifest.files, origin)
        found += _settings(checkpoint, origin, manifest.dtype)
        found += _against(checkpoint, origin, manifest.origins)
        found += _dequantized(checkpoint, origin) if manifest.origins is None else _blocks(checkpoint, origin)
    return found


def _manifest(folder: Path, name: str) -> _Manifest:
    value = json.loads((folder / name).read_text(encoding="utf-8"))
    digests = {str(file): str(about["sha256"]) for file, about in value["files"].items()}
    if name == DEQUANTIZED:
        return _Manifest(digests, None, value["dtype"])
    return _Manifest(digests, {str(tensor): str(origin) for tensor, origin in value["tensors"].items()}, None)


def _files(folder: Path, noted: Mapping[str, str], manifest: str) -> Iterator[str]:
    """Every file as the manifest says, and none beside them but what a user puts there to publish a model."""
    for name, digest in noted.items():
        if not (folder / name).is_file():
            yield f"{name}: missing"
        elif paths.sha256(folder / name) != digest:
            yield f"{name}: changed since it was written"
    for path in sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file() or p.is_symlink()):
        hidden = any(part.startswith(".") for part in path.parts)
        if not hidden and path.as_posix() not in (*noted, manifest, CARD):
            yield f"{path.as_posix()}: not in {manifest}"


def _beside(noted: Mapping[str, str], origin: Checkpoint) -> Iterator[str]:
    """Tokenizer, template, licence and whatever else was copied: as the source has it."""
    for name, digest in noted.items():
        if name.endswith(".safetensors") or name in (CONFIG, INDEX):
            continue
        file = origin.folder / name
        if not file.is_file() or paths.sha256(file) != digest:
            yield f"{name}: not that of {origin.folder}"


def _settings(checkpoint: Checkpoint, origin: Checkpoint, dtype: str | None) -> Iterator[str]:
    """The source's config, but for ``quantization_config`` and, where weights were dequantized to it, the ``dtype``."""
    now, before = (_without_quantization(c.config, dtype) for c in (checkpoint, origin))
    for key in sorted({*now, *before}):
        if now.get(key) != before.get(key):
            yield f"{CONFIG}: {key} is {now.get(key)!r}, in the source {before.get(key)!r}"


def _without_quantization(config: Mapping[str, Any], dtype: str | None) -> dict[str, Any]:
    kept = {k: _without_quantization(v, dtype) if isinstance(v, dict) and dtype else v for k, v in config.items() if k != "quantization_config"}
    return {k: dtype if dtype and k in ("dtype", "torch_dtype") and v in ("bfloat16", "float16") else v for k, v in kept.items()}


def _no_config(checkpoint: Checkpoint) -> Iterator[str]:
    """What in a 16-bit folder speaks of quantization."""
    if checkpoint.config.get("quantization_config"):
        yield f"{CONFIG}: has a quantization_config, though no weight is quantized"
    yield from (
        f"{t.name}: {t.dtype}, in a model in 16 bit" for t in checkpoint.tensors.values() if t.dtype.startswith("F8_E4") or t.name.endswith("_scale_inv")
    )


def _blocks(checkpoint: Checkpoint, origin: Checkpoint) -> Iterator[str]:
    """Groups of FP8 whose blocks are not those of the source."""
    block = _block_size(origin)
    for name, group in _groups(checkpoint).items():
        weights = group.get("weights") if isinstance(group, dict) else None
        said = weights.get("block_structure") if isinstance(weights, dict) else None
        if said is not None and said != block:
            yield f"{CONFIG}: {name} has blocks of {said}, in the source {block}"


def _groups(checkpoint: Checkpoint) -> Mapping[str, Any]:
    about = checkpoint.config.get("quantization_config")
    groups = about.get("config_groups") if isinstance(about, dict) else None
    return groups if isinstance(groups, dict) else {}


def _block_size(source: Checkpoint) -> list[int] | None:
    """Rows and columns that share a scale, of an FP8 model."""
    about = source.config.get("quantization_config")
    block = about.get("weight_block_size") if isinstance(about, dict) else None
    return block if isinstance(block, list) and len(block) == 2 and all(isinstance(n, int) and n > 0 for n in block) else None


def _config(checkpoint: Checkpoint) -> Iterator[str]:
    """Tensors that are not stored as the config says."""
    about = checkpoint.config.get("quantization_config")
    groups = list(about["config_groups"].values()) if about else []
    formats = {g["format"] for g in groups}
    wanted = "mixed-precision" if len(formats) > 1 else next(iter(formats), None)
    if about and (about["quant_method"], about["format"]) != ("compressed-tensors", wanted):
        yield f"{CONFIG}: quant_method {about['quant_method']!r} and format {about['format']!r}, its groups are 'compressed-tensors' and {wanted!r}"
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


def _against(checkpoint: Checkpoint, source: Checkpoint, origins: Mapping[str, str] | None) -> Iterator[str]:
    """Tensors that should be the source's, byte for byte, and are not; of a dequantized folder (no ``origins``) all that were not FP8."""
    with Reader() as one, Reader() as other:
        for name, tensor in checkpoint.tensors.items():
            taken = f"{name}_scale_inv" not in source.tensors if origins is None else origins.get(name, "base").startswith("base")
            before, scales = source.tensors.get(name), source.tensors.get(f"{name}_inv")
            if not taken:
                continue
            if before is None and scales is None:
                yield f"{name}: not in {source.folder}"
            elif not (_is_as_before(tensor, before, (one, other)) if before else _are_scales(tensor, scales, one)):
                yield f"{name}: not as in {source.folder}"


def _is_as_before(now: Tensor, before: Tensor, readers: tuple[Reader, Reader]) -> bool:
    return now.dtype == before.dtype and now.shape == before.shape and same_bytes(now, before, readers=readers)


def _are_scales(now: Tensor, before: Tensor | None, reader: Reader) -> bool:
    """Whether block scales are the source's numbers, whatever type either has."""
    import numpy as np

    if before is None or now.shape != before.shape or now.dtype not in SCALE_TYPES or before.dtype not in SCALE_TYPES:
        return False
    one, other = (_numbers(reader.whole(t), t.dtype) for t in (now, before))
    return bool(np.array_equal(one, other, equal_nan=True))


def _dequantized(checkpoint: Checkpoint, source: Checkpoint) -> Iterator[str]:
    """Tensors of an FP8 source that are not there in 16 bit, or not its numbers: of each block a row is worked out in float64."""
    block = _block_size(source)
    if block is None:
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
