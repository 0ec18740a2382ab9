"""FP8 checkpoint in, 16-bit checkpoint out: ``weight`` times ``weight_scale_inv``, all other tensors and files byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curator import __version__
from curator.checkpoints import fp8, writing
from curator.checkpoints.reading import CONFIG, Checkpoint, InOrder, Reader, Tensor, listed, open_checkpoint, refuse_changed
from curator.checkpoints.writing import Planned, Progress
from curator.errors import QuantizeError, UsageError

MANIFEST = "curate-dequantize.json"
FORMAT = "curate-dequantize/1"
SCALE = "weight_scale_inv"
SUFFIX = "_scale_inv"
AT_ONCE = 1 << 19  # elements: what is computed from one to the next then stays in a cache
SCALE_TYPES = ("F32", "BF16", "F16", "F8_E8M0")


@dataclass(frozen=True, slots=True)
class Scaled:
    """An FP8 weight [..., rows, columns] with its scales [..., blocks of rows, blocks of columns]."""

    weight: Tensor
    scale: Tensor
    block: tuple[int, int]


def dequantize(
    model: Path,
    target: Path,
    *,
    dtype: str = "bfloat16",
    device: str = "cpu",
    limit: int = writing.SHARD_BYTES,
    force: bool = False,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Write the 16-bit form of an FP8 checkpoint into ``target`` and give its manifest. Raises QuantizeError with all that
    cannot be dequantized, and UsageError for a target that is taken."""
    fp8.need_torch()
    check_device(device)
    writing.refuse_target(target, force=force, sources=(model,))
    source = open_checkpoint(model)
    scaled = find_scaled(source)
    if not scaled:
        raise QuantizeError(f"{model}: no FP8 weight with a {SCALE} there; nothing to dequantize")
    job = {"what": FORMAT, "source": source.stamp, "dtype": dtype, "limit": limit}
    with fp8.one_thread(), Reader() as reader, writing.work_folder(target, job, force=force) as work:
        planned = list(plan(source, scaled, reader, dtype=dtype, device=device))
        files = writing.write_checkpoint(work, writing.plan_shards(planned, limit=limit), progress=progress)
        refuse_changed(source)
        files[CONFIG] = writing.write_json(work.folder / CONFIG, config_16_bit(source.config, dtype))
        files |= writing.copy_companions(model, work.folder)
        manifest = {
            "format": FORMAT,
            "curate": __version__,
            "source": {"name": model.resolve().name, "fingerprint": source.fingerprint},
            "dtype": dtype,
            "dequantized": len(scaled),
            "copied": len(planned) - len(scaled),
            "files": files,
        }
        writing.write_json(work.folder / MANIFEST, manifest)
    return manifest


def check_device(device: str) -> None:
    """Raise UsageError where torch cannot compute on the device."""
    torch = fp8.need_torch()
    try:
        torch.ones(1, device=device).tolist()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"--device {device}: torch has no such device here; take cpu") from None


def find_scaled(source: Checkpoint) -> dict[str, Scaled]:
    """{name of the weight: it with its scales} for every FP8 weight. Raises QuantizeError with every one that does not fit."""
    weights = {n: t for n, t in source.tensors.items() if t.dtype.startswith("F8_E") and t.dtype != "F8_E8M0"}
    scales = {n: t for n, t in source.tensors.items() if n.endswith(SUFFIX)}
    if not weights and not scales:
        return {}
    block = block_size(source)
    faults, found = [], {}
    for name, weight in weights.items():
        scale = scales.get(scale_name(name))
        fault = _misfit(weight, scale, block)
        if fault or scale is None:
            faults.append(f"{name}: {fault}")
        else:
            found[name] = Scaled(weight, scale, block)
    owners = {scale_name(n) for n in weights}
    faults += [f"{n}: belongs to no FP8 weight" for n in scales if n not in owners]
    if faults:
        raise QuantizeError(listed(f"{source.folder} cannot be dequantized", faults))
    return found


def scale_name(weight: str) -> str:
    """``weight_scale_inv`` beside ``weight``, and likewise where stacked experts are called otherwise."""
    return f"{weight}{SUFFIX}"


def block_size(source: Checkpoint) -> tuple[int, int]:
    """Rows and columns that share a scale, from the config. Raises QuantizeError where it names none."""
    about = source.config.get("quantization_config")
    size = about.get("weight_block_size") if isinstance(about, dict) else None
    if not (isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and n > 0 for n in size)):
        got = about.get("quant_method") if isinstance(about, dict) else None
        raise QuantizeError(
            f"{source.folder / CONFIG}: FP8 weights there, but quantization_config.weight_block_size is {size!r} (quant_method {got!r});"
            " only FP8 with block scales can be dequantized"
        )
    return size[0], size[1]


def _misfit(weight: Tensor, scale: Tensor | None, block: tuple[int, int]) -> str | None:
    if weight.dtype != "F8_E4M3":
        return f"{weight.dtype}, only F8_E4M3 can be dequantized"
    if scale is None:
        return f"{weight.dtype} without {SCALE}"
    if scale.dtype not in SCALE_TYPES:
        return f"its scales are {scale.dtype}, not one of {', '.join(SCALE_TYPES)}"
    if len(weight.shape) < 2:
        return f"has shape {list(weight.shape)}, which has no blocks"
    wanted = (*weight.shape[:-2], -(-weight.shape[-2] // block[0]), -(-weight.shape[-1] // block[1]))
    if scale.shape != wanted:
        return f"shape {list(weight.shape)} in blocks of {list(block)} has scales {list(wanted)}, not {list(scale.shape)}"
    return None


def plan(source: Checkpoint, scaled: Mapping[str, Scaled], reader: Reader, *, dtype: str, device: str) -> Iterator[Planned]:
    """Every tensor of the 16-bit checkpoint, in the order of the source."""
    scales = {s.scale.name for s in scaled.values()}
    for name, tensor in source.tensors.items():
        if name in scaled:
            yield in_16_bit(scaled[name], reader, dtype=dtype, device=device)
        elif name not in scales:
            yield writing.copied(tensor, reader)


def in_16_bit(scaled: Scaled, reader: Reader, *, dtype: str, device: str = "cpu") -> Planned:
    """The weight as it is written in 16 bit."""
    weight = scaled.weight

    def chunks() -> Iterator[memoryview]:
        for strip in strips(scaled, reader, dtype=dtype, device=device):
            yield memoryview(strip.view(fp8.need_torch().int16).numpy()).cast("B")

    return Planned(weight.name, fp8.TYPES[dtype], weight.shape, 2 * weight.nbytes, chunks)


def strips(scaled: Scaled, reader: Reader, *, dtype: str, device: str = "cpu", most: int = AT_ONCE) -> Iterator[Any]:
    """The dequantized weight as tensors [rows, columns] on the CPU, whole rows in order, each of about ``most`` elements, and
    good until the next is asked for.

    Raises QuantizeError for numbers that float16 cannot hold.
    """
    torch = fp8.need_torch()
    weight = scaled.weight
    if not weight.nbytes:
        return
    rows, columns = weight.shape[-2:]
    height, width = min(scaled.block[0], rows), min(scaled.block[1], columns)
    scales = fp8.scales_of(reader.whole(scaled.scale), scaled.scale.dtype, scaled.scale.shape).reshape(-1, *scaled.scale.shape[-2:])
    at_once = max(1, most // columns)
    at_once = at_once // height * height or at_once
    source, within = InOrder(reader, weight), fp8.room(at_once * columns, getattr(torch, dtype), device=device)
    for matrix in scales:
        by = fp8.factors(matrix, (height, width), columns, getattr(torch, dtype), device=device)
        for first, last in _row_ranges(rows, height, at_once):
            raw = source.take((last - first) * columns)
            codes = torch.frombuffer(raw, dtype=torch.uint8).reshape(-1, columns).to(device)
            strip = fp8.dequantize(codes, by, first // height, within)
            if not by.finite or fp8.has_nan(raw):
                fp8.put_nan(strip, codes)
            strip = strip.cpu()
            if dtype == "float16" and bool(strip.isinf().any()):
                raise QuantizeError(f"{weight.name}: has numbers that float16 cannot hold; take --dtype bfloat16")
            yield strip


def _row_ranges(rows: int, height: int, at_once: int) -> Iterator[tuple[int, int]]:
    """Ranges of no more than ``at_once`` rows: of whole blocks, or within one block where that is higher."""
    step = max(height, at_once // height * height)
    for start in range(0, rows, step):
        end = min(rows, start + step)
        for first in range(start, end, at_once):
            yield first, min(end, first + at_once)


def config_16_bit(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """The config without ``quantization_config``; where it names a 16-bit type, the new one."""
    kept = {k: (config_16_bit(v, dtype) if isinstance(v, dict) else v) for k, v in config.items() if k != "quantization_config"}
    return {k: (dtype if k in ("dtype", "torch_dtype") and v in tuple(fp8.TYPES) else v) for k, v in kept.items()}
