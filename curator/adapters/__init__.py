"""Who reads rows: a module (or object) with ``resolve`` and ``rows``, registered as ``curator.adapters``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from curator.data import Resolved, Row, Sampling, Where


class Adapter(Protocol):
    """What a plan asks of an adapter. Both raise SourceError, and nothing else for the world's faults."""

    def resolve(self, where: Where, *, memo: MutableMapping[str, Any]) -> Resolved:
        """Find the source and what it is, without a row of it; ``memo`` holds answers to share within one run;
        those about a pinned commit, of plain JSON, under keys that begin with ``pinned:``, outlive it."""
        ...

    def rows(self, where: Where, resolved: Resolved, *, seed: str, sampling: Sampling) -> Iterator[Row]:
        """Its rows, lazily, in an order that depends on ``where``, ``resolved``, ``seed`` and ``sampling`` alone."""
        ...


class Digesting(Protocol):
    """What an adapter may have besides, for locks."""

    PINNED: bool  # whether `revision` names what can never change, so that a lock is believed without asking

    def digests(self, where: Where, resolved: Resolved) -> Mapping[str, str]:
        """Hashes of the files, as the source tells them. Raises SourceError."""
        ...
