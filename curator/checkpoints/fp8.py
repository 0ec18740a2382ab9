"""FP8 numbers with block scales as 16-bit numbers, each correctly rounded once. The only module here that needs torch.

A weight is an E4M3 number (https://arxiv.org/abs/2209.05433: sign, four bits of exponent with bias 7, three of mantissa, one
NaN, no infinity) times the scale of its block. The product of four significant bits and a scale's 24 has up to 28. float32
rounds it to 24 and the second rounding, to 16 bit, can then go the wrong way. A block holds no more than 127 magnitudes, so
both ways of rounding are compared on those, and the few elements for which they differ are put right.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from curator.checkpoints.reading import TORCH
from curator.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

TYPES = {"bfloat16": "BF16", "float16": "F16"}  # what can be written, by torch's name: the name in a header
MAGNITUDES = 127  # E4M3 codes without sign and NaN
KEPT = -(1 << 31) | (0x7F << 20)  # of a float32: the sign, four bits of exponent, three of mantissa


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


def dequantize(codes: torch.Tensor, scales: torch.Tensor, block: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """``codes`` (uint8, [rows, columns], starting at the first row of a block) times ``scales`` (float32, one for each
    ``block`` of rows and columns, those at the edges ragged), rounded to nearest even in ``dtype``. NaN codes: see ``put_nan``."""
    height, width = block
    values = decode(codes)
    by_column = scales.repeat_interleave(width, dim=1)[:, : codes.shape[1]]
    for number, row in enumerate(range(0, codes.shape[0], height)):
        values[row : row + height] *= by_column[number]
    rounded = values.to(dtype)
    _mend(rounded, codes, scales, block)
    return rounded


def has_nan(codes: bytearray, end: int) -> bool:
    """Whether one of the first ``end`` codes is NaN; hardly ever one is, and a search in bytes takes no time."""
    return codes.find(0x7F, 0, end) >= 0 or codes.find(0xFF, 0, end) >= 0


def put_nan(rounded: torch.Tensor, codes: torch.Tensor) -> None:
    rounded[(codes & 0x7F) == 0x7F] = float("nan")


def decode(codes: torch.Tensor) -> torch.Tensor:
    """E4M3 codes (uint8) as float32, exactly; the NaN codes come out as 480, the value their bits would have.

    Shifted to the exponent of a float32 the bits mean the same number times 2 ** -120: a tenth of the time that a conversion
    element by element takes.
    """
    torch = need_torch()
    bits = codes.view(torch.int8).to(torch.int32)  # the sign is extended, so that the shift leaves it in its place
    bits.bitwise_left_shift_(20).bitwise_and_(KEPT)
    return bits.view(torch.float32).mul_(2.0**120)


def _mend(rounded: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor, block: tuple[int, int]) -> None:
    """Put right what was rounded the wrong way."""
    torch = need_torch()
    magnitudes = decode(torch.arange(MAGNITUDES, dtype=torch.uint8, device=codes.device))
    once = round_once(magnitudes.double() * scales.double()[..., None], rounded.dtype)
    twice = (magnitudes * scales[..., None]).to(rounded.dtype)
    height, width = block
    for i, j, code in (once.view(torch.int16) != twice.view(torch.int16)).nonzero().tolist():
        place = slice(i * height, (i + 1) * height), slice(j * width, (j + 1) * width)
        found = codes[place]
        for sign in (0, 128):
            right = once[i, j, code] if sign == 0 else -once[i, j, code]
            rounded[place] = torch.where(found == code + sign, right, rounded[place])


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
