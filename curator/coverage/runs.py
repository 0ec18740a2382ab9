"""Runs of numbers (token ids, or words by number) as hashes, for what compares texts by the runs that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def hashed(numbers: ArrayLike, length: int) -> NDArray[Any]:
    """The distinct hashes of all runs of ``length`` numbers in a row; uint64, sorted, empty where there are fewer numbers."""
    import numpy as np

    values = np.asarray(numbers, dtype=np.uint64)
    count = max(0, len(values) - length + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(length):
            hashes = (hashes ^ values[offset : offset + count]) * np.uint64(0x9E3779B97F4A7C15)
            hashes ^= hashes >> np.uint64(32)
    return np.unique(hashes)
