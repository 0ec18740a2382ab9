"""FP8 numbers with block scales as 16-bit numbers, each correctly rounded once. The only module here that needs torch.

A weight is an E4M3 number (https://arxiv.org/abs/2209.05433: sign, four bits of exponent with bias 7, three of mantissa, one
NaN, no infinity) times the scale of its block. The product of four significant bits and a scale's 24 has up to 28. float32
rounds it to 24 and the second rounding, to 16 bit, can then go the wrong way. A block holds no more than 127 magnitudes, so
both ways of rounding are compared on those, once for a matrix, and the few elements for which they differ are put right.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from curator.checkpoints.reading import TORCH
from curator.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

TYPES = {"bfloat16": "BF16", "float16": "F16"}  # what can be written, by torch's name: the name in a header
MAGNITUDES = 127  # E4M3 codes without sign and NaN
KEPT = -(1 << 15) | (0x7F << 4)  # of a bfloat16: the sign, four bits of exponent, three of mantissa
SHIFTED = 2.0**120  # what ``shifted`` leaves out


class Misrounded(NamedTuple):
    """A magnitude of a block (by its place among the blocks) that float32 in between would round the wrong way."""

    row: int
    column: int
    code: int
    right: float


@dataclass(frozen=True, slots=True)
class Factors:
    """What the codes of a matrix are multiplied with, worked out once for all of its strips."""

    block: tuple[int, int]
    by_column: torch.Tensor  # float32, [rows of blocks, columns]: the scales, times 2 ** 120 unless that is more than float32 holds
    shifted: bool  # whether they are times 2 ** 120
    wrong: list[Misrounded]
    finite: bool


def need_torch() -> Any:
    """torch, or MissingExtra."""
    try:
        import torch
    except ImportError:
        raise MissingExtra("this command needs torch: pip install 'curate-calibration[awq]'") from None
    return torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one core meanwhile: steps as small as these wait longer for a second core, when it is busy, than it saves."""
    torch = need_torch()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def factors(scales: torch.Tensor, block: tuple[int, int], columns: int, dtype: torch.dtype, *, device: str = "cpu") -> Factors:
    """``scales`` (float32, on the CPU, one for each ``block`` of rows and columns) of a matrix with so many columns, the blocks
    at its edges ragged, for numbers of ``dtype``."""
    scaled = scales * SHIFTED  # exact, and one pass over the weights fewer than to undo the shift by itself
    fits = bool((scaled.isinf() == scales.isinf()).all())
    by_column = (scaled if fits else scales).repeat_interleave(block[1], dim=1)[:, :columns].to(device)
    return Factors(block, by_column, fits, misrounded(scales, dtype), bool(scales.isfinite().all()))


def room(elements: int, dtype: torch.dtype, *, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What ``dequantize`` computes in. Taken once: memory that is new each time costs more than what is computed in it."""
    torch = need_torch()
    return torch.empty(elements, dtype=torch.int16, device=device), torch.empty(elements, device=device), torch.empty(elements, dtype=dtype, device=device)


def dequantize(codes: torch.Tensor, by: Factors, top: int, within: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """``codes`` (uint8, [rows, columns], the first row in the row of blocks ``top``: at its start, or all rows in it) times
    their factors, rounded to nearest even. NaN codes: see ``put_nan``. The result lies ``within`` the ``room``."""
    height, width = by.block
    bits, values, rounded = (part[: codes.numel()].view(codes.shape) for part in within)
    values.copy_(shifted(codes, bits))
    if not by.shifted:
        values.mul_(SHIFTED)
    bottom = top - (-codes.shape[0] // height)
    for number in range(top, bottom):
        values[(number - top) * height : (number - top + 1) * height].mul_(by.by_column[number])
    rounded.copy_(values)
    for row, column, code, right in by.wrong:
        if top <= row < bottom:
            place = slice((row - top) * height, (row - top + 1) * height), slice(column * width, (column + 1) * width)
            rounded[place].masked_fill_(codes[place] == code, right)
            rounded[place].masked_fill_(codes[place] == code + 128, -right)
    return rounded


def has_nan(codes: memoryview) -> bool:
    """Whether one of the codes is NaN; hardly ever one is, and a search in bytes takes no time."""
    searched = bytes(codes)
    return b"\x7f" in searched or b"\xff" in searched


def put_nan(rounded: torch.Tensor, codes: torch.Tensor) -> None:
    """NaN for the NaN codes, and one and the same NaN for what a scale that is no number gave."""
    rounded.masked_fill_(((codes & 0x7F) == 0x7F) | rounded.isnan(), float("nan"))


def shifted(codes: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """E4M3 codes (uint8) as bfloat16, exactly, times 2 ** -120; the NaN codes come out as 480, the value their bits would have.
    The result lies in ``bits`` (int16).

    The bits of a code in the place of a bfloat16's lowest exponents and highest mantissa mean just that: a tenth of the time
    that a conversion element by element takes.
    """
    torch = need_torch()
    bits.copy_(codes.view(torch.int8))  # the sign is extended, and so ends in its place
    return bits.mul_(16).bitwise_and_(KEPT).view(torch.bfloat16)  # four bits up, in a third of the time of a shift


def decode(codes: torch.Tensor) -> torch.Tensor:
    """E4M3 codes (uint8) as float32, exactly; NaN codes as ``shifted`` has them."""
    torch = need_torch()
    return shifted(codes, torch.empty_like(codes, dtype=torch.int16)).to(torch.float32).mul_(SHIFTED)


def misrounded(scales: torch.Tensor, dtype: torch.dtype) -> list[Misrounded]:
    """What ``dequantize`` has to put right for these scales ([blocks of rows, blocks of columns])."""
    torch = need_torch()
    magnitudes = decode(torch.arange(MAGNITUDES, dtype=torch.uint8, device=scales.device))
    once = round_once(magnitudes.double() * scales.double()[..., None], dtype)
    twice = (magnitudes * scales[..., None]).to(dtype)
    found = (once.view(torch.int16) != twice.view(torch.int16)) & ~once.isnan()
    return [Misrounded(row, column, code, right) for (row, column, code), right in zip(found.nonzero().tolist(), once[found].tolist(), strict=True)]


def round_once(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """float64 to a 16-bit type, rounded to nearest even once. (torch's own conversion goes by way of float32, and rounds twice.)

    By way of float32 too, but rounded to odd there: a method of Boldo and Melquiond (https://doi.org/10.1109/TC.2007.70819),
    right because float32 has more than two bits more than either type.
    """
    torch = need_torch()
    near = values.to(torch.float32)
    bits = near.view(torch.int32)
    towards_zero = torch.where(near.double().abs() > values.abs(), bits - 1, bits)
    odd = torch.where(near.double() == values, bits, towards_zero | 1)
    return torch.where(values.isnan(), near, odd.view(torch.float32)).to(dtype)


def scales_of(raw: bytearray, dtype: str, shape: tuple[int, ...]) -> Any:
    """Scales as float32: stored as such, in 16 bit, or as powers of two (E8M0)."""
    torch = need_torch()
    return torch.frombuffer(raw, dtype=getattr(torch, TORCH[dtype])).reshape(shape).to(torch.float32)
