"""How a build goes about the world outside: what it takes from a lock and what it keeps, and for how long it bears with a source that fails."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from curator import lock as locks
from curator import network
from curator import plan as planning
from curator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from curator.cache import Cache
    from curator.data import Resolved
    from curator.lock import Lock
    from curator.plan import Plan, Source, Stream

ALL, TOKENIZER = "*", "tokenizer"  # what ``update`` may name beside sources


@dataclass(frozen=True)
class Care:
    """What holds for all sources of a build."""

    cache: Cache | None = None
    note: Callable[[str], None] | None = None
    lock: Lock | None = None
    frozen: bool = False  # nothing but what the lock says will do
    update: frozenset[str] = frozenset()  # sources to find anew whatever the lock says
    retry_budget: float = field(default_factory=network.allowed)  # seconds that each source may lose to failures
    budgets: dict[str, network.Budget] = field(default_factory=dict)

    def with_lock(self, place: Path | None, *, frozen: bool, update: Sequence[str]) -> Care:
        """The same with the lock of a mix, where there is one. Raises UsageError where one is demanded and there is none."""
        if frozen and update:
            raise UsageError("--frozen and --update exclude each other; leave one out")
        found = locks.read(place) if place is not None and place.exists() else None
        if frozen and found is None:
            raise UsageError(f"{place}: no such lock, and --frozen demands it; write it with `curate lock`")
        return replace(self, lock=found, frozen=frozen, update=frozenset(update))

    def refuse_unknown(self, sources: Sequence[Source], *, mix: str) -> None:
        """Raise UsageError where ``update`` names what is no source of the mix."""
        known = {n for s in sources for n in (s.name, s.card.name, *(stream.key for stream in planning.streams(s, seed=0)))} | {ALL, TOKENIZER}
        for name in sorted(self.update - known):
            close = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(dict.fromkeys(s.name for s in sources))}"
            raise UsageError(f"--update {name}: {mix} has no such source; {hint}")

    def budget(self, source: str) -> network.Budget:
        """The one budget of a source, whatever it is asked for."""
        return self.budgets.setdefault(source, network.Budget(source, self.retry_budget, tell=self.note))

    def locked(self, stream: Stream) -> Resolved | None:
        """What the lock says of a stream; None where it says nothing, or the stream is to be found anew."""
        renewed = self.update & {ALL, stream.source.name, stream.source.card.name, stream.key}
        return self.lock.resolved(stream) if self.lock and not renewed else None

    def locked_tokenizer(self, name: str) -> str | None:
        """The commit of the tokenizer that the lock says; None where it says none, or the tokenizer is to be found anew."""
        known = self.lock.tokenizer if self.lock and not self.update & {ALL, TOKENIZER} else {}
        return known.get("revision") if known.get("id") == name else None

    def beside_lock(self, plan: Plan) -> Iterator[str]:
        """What a plan takes that the lock does not say."""
        for key, stream in () if plan.offline else plan.streams.items():
            if self.lock and not self.update and _licensed(self.locked(stream), stream) != _licensed(plan.resolved[key], stream):
                known = key in self.lock.sources
                yield f"{key}: {'not as locked' if known else 'not in the lock'}, taken as it is now; `curate lock` renews the lock"

    def lost(self) -> str | None:
        """What failures cost, for a note; None where there were none."""
        failed = sum(sum(b.failures.values()) for b in self.budgets.values())
        seconds = sum(b.lost for b in self.budgets.values())
        return f"{failed} requests failed and were sent again; {seconds:.1f} s went into that, over all sources" if failed else None


def _licensed(resolved: Resolved | None, stream: Stream) -> Resolved | None:
    """With the licence of the card where the source states none, as a lock says it."""
    return resolved and replace(resolved, license=resolved.license or stream.source.card.license)
