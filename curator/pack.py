"""What goes into the next free space of which sample: mixing and packing are one decision. Pure.

Best fit from a bounded pool, in the manner of best-fit packing (Ding et al. 2024, arXiv:2404.10830): a sample starts with the
document that has waited longest, takes the longest one that still fits, and ends with one document cut at its end.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from curator.data import Piece, Sample, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

POOL = 64  # documents that wait for a place, for each source


@dataclass
class Pool:
    """Documents of one source (in one language) that wait for a place.

    It is refilled from ``stream`` until it holds POOL documents, or ``reserve`` tokens: enough to choose from, and little
    that was made in vain.
    """

    stream: Iterator[Tokens]
    language: str | None = None
    reserve: int = 1 << 30
    placed: int = 0  # tokens so far
    dry: bool = False
    waiting: int = 0  # tokens of the documents in the pool
    _arrived: int = 0
    _returned: int = 0
    _by_length: list[tuple[int, int, Tokens]] = field(default_factory=list)

    def refill(self) -> None:
        """Take documents from the stream until there are enough or the stream ends."""
        while not self.dry and len(self._by_length) < POOL and self.waiting < self.reserve:
            document = next(self.stream, None)
            if document is None:
                self.dry = True
                return
            self._add(self._arrived, document)
            self._arrived += 1

    def _add(self, order: int, document: Tokens) -> None:
        bisect.insort(self._by_length, (len(document), order, document), key=_length_and_order)
        self.waiting += len(document)

    def _pop(self, position: int) -> Tokens:
        document = self._by_length.pop(position)[2]
        self.waiting -= len(document)
        return document

    def put_back(self, document: Tokens) -> None:
        """Return a document whose sample did not come about; it goes in front, also of those returned before."""
        self._returned += 1
        self._add(-self._returned, document)

    def __len__(self) -> int:
        return len(self._by_length)

    def oldest(self) -> Tokens:
        """Take the document that has waited longest."""
        position = min(range(len(self._by_length)), key=lambda i: self._by_length[i][1])
        return self._pop(position)

    def fitting(self, space: int) -> Tokens | None:
        """Take the longest document of at most ``space`` tokens; among equals the one that has waited longest."""
        end = bisect.bisect_right(self._by_length, space, key=lambda item: item[0])
        if end == 0:
            return None
        length = self._by_length[end - 1][0]
        first = bisect.bisect_left(self._by_length, length, key=lambda item: item[0])
        return self._pop(first)

    def exceeding(self, space: int) -> Tokens | None:
        """Take the shortest document of more than ``space`` tokens: the one that loses least by a cut."""
        position = bisect.bisect_right(self._by_length, space, key=lambda item: item[0])
        return self._pop(position) if position < len(self._by_length) else None


def _length_and_order(item: tuple[int, int, Tokens]) -> tuple[int, int]:
    return item[0], item[1]


def fill(pools: Sequence[Pool], *, size: int, source: str, category: str) -> Sample | None:
    """The next sample of exactly ``size`` tokens, or None when what is left cannot fill one.

    Where a sample draws on several pools (the languages of a source), the one with the fewest tokens placed goes first.
    """
    space, pieces, taken = size, list[Piece](), list[tuple[Pool, Tokens]]()
    while space:
        for pool in pools:
            pool.refill()
        order = sorted((p for p in pools if len(p)), key=lambda p: p.placed)
        choice = _choose(order, space, first=not pieces)
        if choice is None:
            for pool, document in reversed(taken):
                pool.placed -= len(document)
                pool.put_back(document)
            return None
        pool, document = choice
        length = min(space, len(document))
        pieces.append(Piece(document, length))
        taken.append((pool, document))
        pool.placed += length
        space -= length
    return Sample(source, category, tuple(pieces))


def _choose(pools: Sequence[Pool], space: int, *, first: bool) -> tuple[Pool, Tokens] | None:
    """From the neediest pool that has something: the oldest document to begin with, then one that fits, then one to cut."""
    if first and pools:
        return pools[0], pools[0].oldest()
    takes: tuple[Callable[[Pool], Tokens | None], ...] = (lambda p: p.fitting(space), lambda p: p.exceeding(space))
    for take in takes:
        for pool in pools:
            document = take(pool)
            if document is not None:
                return pool, document
    return None


def truncate(pools: Sequence[Pool], *, size: int, source: str, category: str) -> Sample | None:
    """The next document as a sample of its own, cut at ``size``."""
    for pool in sorted(pools, key=lambda p: p.placed):
        pool.refill()
        if len(pool):
            document = pool.oldest()
            length = min(size, len(document))
            pool.placed += length
            return Sample(source, category, (Piece(document, length),))
    return None


def shares(missing: int, weights: Sequence[int]) -> list[int]:
    """Split ``missing`` whole samples in proportion to ``weights`` (largest remainder; ties to the earlier)."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    exact = [missing * w / total for w in weights]
    whole = [int(e) for e in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: (whole[i] - exact[i], i))
    for i in by_remainder[: missing - sum(whole)]:
        whole[i] += 1
    return whole
