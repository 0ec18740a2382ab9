"""Whether two checkpoints hold the same weight: bit for bit, or up to the rounding that turned FP8 into 16 bit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from curator.checkpoints import dequantize, fp8
from curator.checkpoints.dequantize import Scaled
from curator.checkpoints.reading import TORCH, WIDTHS, InOrder, Reader, Tensor, same_bytes
from curator.errors import QuantizeError

FLOATS = ("BF16", "F16", "F32", "F64")


def same_values(base: Tensor, other: Tensor, *, readers: tuple[Reader, Reader]) -> bool:
    """Whether ``other`` is ``base``, possibly stored in another type of float: then what ``base`` rounds to in that type."""
    if base.dtype == other.dtype:
        return same_bytes(base, other, readers=readers)
    if base.dtype not in FLOATS or other.dtype not in FLOATS:
        return False
    wide = max(WIDTHS[base.dtype], WIDTHS[other.dtype])
    size = (1 << 20) // wide
    pairs = zip(_values(base, readers[0], size), _values(other, readers[1], size), strict=True)
    return all(bool((a.to(b.dtype) == b).all()) for a, b in pairs)


def same_dequantized(base: Scaled, other: Tensor, *, readers: tuple[Reader, Reader]) -> bool:
    """Whether ``other`` is the 16-bit form of an FP8 weight, each number no more than one step of its type away: other programs
    that dequantize round twice."""
    dtype = TORCH[other.dtype]
    if dtype not in fp8.TYPES:
        return False
    stored = InOrder(readers[1], other)
    return all(
        _within_one_step(strip, fp8.need_torch().frombuffer(stored.take(2 * strip.numel()), dtype=strip.dtype).reshape(strip.shape))
        for strip in dequantize.strips(base, readers[0], dtype=dtype)
    )


def finite(tensor: Tensor, reader: Reader) -> Iterator[memoryview]:
    """The bytes of a tensor of floats, in pieces as `Reader.chunks` gives them. Raises QuantizeError for numbers that are infinite or none."""
    torch = fp8.need_torch()
    for piece in reader.chunks(tensor):
        if not bool(torch.frombuffer(piece, dtype=getattr(torch, TORCH[tensor.dtype])).float().isfinite().all()):
            raise QuantizeError(f"{tensor.name}: has numbers that are infinite or none in {tensor.file.parent}; quantize again")
        yield piece


def _within_one_step(one: Any, other: Any) -> bool:
    torch = fp8.need_torch()
    a, b = one.view(torch.int16), other.view(torch.int16)
    if torch.equal(a, b):
        return True
    a, b = a.to(torch.int32), b.to(torch.int32)
    around_zero = (a & 0x7FFF) + (b & 0x7FFF) <= 1
    return bool((((a - b).abs() <= 1) | around_zero).all())


def _values(tensor: Tensor, reader: Reader, size: int) -> Iterator[Any]:
    """The elements as torch tensors of no more than ``size`` elements."""
    torch, width = fp8.need_torch(), WIDTHS[tensor.dtype]
    source = InOrder(reader, tensor)
    for start in range(0, tensor.nbytes, size * width):
        raw = source.take(min(size * width, tensor.nbytes - start))
        yield torch.frombuffer(raw, dtype=getattr(torch, TORCH[tensor.dtype]))
