"""Pieces of bytes into a file and a digest, while the next pieces are being made. Hides threads and buffers.

Making the bytes, digesting them (about 0.9 s a GB on one core) and writing them each take about as long as the others, and
the disk longer than any. One after the other they add up; so three threads pass on blocks, and the time is that of the slowest. The pieces
are copied into blocks of our own (0.2 s a GB): then a piece need not outlive the next, memory is bounded, and threads wait
for one another once in 8 MB and not for each of the thousands of small tensors of a mixture of experts.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

BLOCK = 8 << 20  # bytes
BLOCKS = 4  # one being filled, one each being digested and written, one to spare

Bytes = memoryview | bytes | bytearray


class Output(Protocol):
    """Where bytes go."""

    def write(self, part: memoryview, /) -> int:
        """Write all of it."""


def write(pieces: Iterable[Bytes], stream: Output) -> dict[str, Any]:
    """Write the pieces one after the other; gives {sha256, bytes}. Each piece is good until the next is asked for."""
    digest, size = hashlib.sha256(), 0
    under_way: deque[tuple[memoryview, list[Future[Any]]]] = deque()

    def free() -> memoryview:
        return memoryview(bytearray(BLOCK)) if len(under_way) < BLOCKS - 1 else _done(under_way.popleft())

    with ThreadPoolExecutor(1) as digesting, ThreadPoolExecutor(1) as writing:
        for block, length in _blocks(pieces, free):
            part = block[:length]
            under_way.append((block, [digesting.submit(digest.update, part), writing.submit(stream.write, part)]))
            size += length
        for job in under_way:
            _done(job)
    return {"sha256": digest.hexdigest(), "bytes": size}


def _done(job: tuple[memoryview, list[Future[Any]]]) -> memoryview:
    """The block of a job that has ended, to be filled again. Raises what went wrong in it."""
    block, steps = job
    for step in steps:
        step.result()
    return block


def _blocks(pieces: Iterable[Bytes], free: Callable[[], memoryview]) -> Iterator[tuple[memoryview, int]]:
    """Blocks with how much of each is filled: all of it, but for the last."""
    block, filled = free(), 0
    for piece in pieces:
        left = memoryview(piece)
        while len(left):
            part = left[: BLOCK - filled]
            block[filled : filled + len(part)] = part
            filled, left = filled + len(part), left[len(part) :]
            if filled == BLOCK:
                yield block, filled
                block, filled = free(), 0
    if filled:
        yield block, filled
