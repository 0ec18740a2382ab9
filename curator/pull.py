"""Rows to tokens, source by source: workers run ahead of the one consumer, and what they did does not depend on how far.

A stream's work is cut into batches at places that depend on the stream alone. The counts of a batch travel with it and are
added up only when it is consumed; its mark says where the stream stands after it, so that another run can go on from there.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Any

from curator import filters, languages, network, plugins, templates
from curator.data import Document, Drop, Origin, Resolved, Row, Tokens
from curator.errors import SourceError
from curator.formatters import Options
from curator.plan import Stream, instruction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor

    from curator.adapters import Adapter
    from curator.formatters import Formatter
    from curator.slots import Slot
    from curator.tokens import Encoder

LEAST_BATCH, MOST_BATCH = 64_000, 400_000  # characters; the first batches are small, for sources that owe little
DRY_SPELL = 4096  # rows in a row that give nothing: then the batch ends, so that the consumer hears of it


@dataclass(slots=True)
class Counts:
    """What became of the rows of one stream."""

    rows_read: int = 0
    bytes_read: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    quarantine: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Add what another batch counted."""
        self.rows_read += other.rows_read
        self.bytes_read += other.bytes_read
        self.kept += other.kept
        self.dropped += other.dropped
        self.repairs += other.repairs
        self.quarantine += other.quarantine

    def drop(self, stream: Stream, key: str, why: Drop) -> None:
        """Count a row that does not become a document, and note it for the quarantine."""
        self.dropped[why.reason] += 1
        self.quarantine.append({"source": stream.key, "row": key, "reason": why.reason, "detail": why.detail[:200]})


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a stream stands: batches made, rows read and instructions written so far."""

    batches: int = 0
    rows: int = 0
    instructions: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Some documents of a stream, in order; ``last`` when there are no more; ``mark`` is where the next batch starts."""

    tokens: Sequence[Tokens]
    counts: Counts
    last: bool
    mark: Mark


class Recording:
    """Batches that can be consumed again without being made again, for a corpus that fits in memory."""

    def __init__(self, making: Iterator[Batch]) -> None:
        self._making = making
        self._made: list[Batch] = []

    def replay(self) -> Iterator[Batch]:
        """All batches from the first; those that nobody has asked for yet are made now."""
        position = 0
        while True:
            if position == len(self._made):
                with network.spending(network.Budget()):  # never closed: a batch once begun is finished, or the next replay would end there
                    batch = next(self._making, None)
                if batch is None:
                    return
                self._made.append(batch)
            yield self._made[position]
            position += 1


class Pull:
    """One stream, pulled in the background and consumed in order. A worker runs ahead until ``expected`` tokens are there, while it
    has its slot."""

    def __init__(self, stream: Stream, making: Iterator[Batch], *, executor: Executor, slot: Slot, expected: int, budget: network.Budget | None = None) -> None:
        self.stream = stream
        self.counts = Counts()
        self.error: SourceError | None = None
        self._making = making
        self._executor = executor
        self._slot = slot
        self._expected = expected
        self._budget = budget or network.Budget(stream.key)
        self._made: SimpleQueue[Batch | BaseException | None] = SimpleQueue()  # None: the worker has stopped
        self._working = False
        self._closed = Event()

    def start(self) -> None:
        """Have a worker make at least one more batch, if none is at it."""
        if not self._working and not self._closed.is_set():
            self._working = True
            self._executor.submit(self._work)

    def close(self) -> None:
        """Have the worker stop at its next row, and give up waiting for the network."""
        self._closed.set()
        self._budget.close()

    def documents(self, seen: set[bytes]) -> Iterator[Tokens]:
        """The documents in order, each text once in a build: ``seen`` holds digests of all that came before."""
        while batch := self._take():
            self.counts.add(batch.counts)
            for tokens in batch.tokens:
                digest = hashlib.sha256(tokens.text.encode("utf-8", "surrogatepass")).digest()
                if digest in seen:
                    self.counts.kept -= 1
                    self.counts.drop(self.stream, tokens.document.origin.row, Drop("duplicate"))
                    continue
                seen.add(digest)
                yield tokens
            if batch.last:
                return

    def _take(self) -> Batch | None:
        self.start()
        while (made := self._made.get()) is None:
            self._working = False
            self.start()
        if isinstance(made, Batch):
            return made
        if not isinstance(made, SourceError):
            raise made
        self.error = SourceError(f"{self.stream.key}: {made}")
        return None

    def _work(self) -> None:
        try:
            with self._slot.taken():
                for batch in self._ahead():
                    self._made.put(batch)
        except BaseException as error:  # noqa: BLE001 - it belongs to the consumer, who raises it
            self._made.put(error)
        self._made.put(None)

    def _ahead(self) -> Iterator[Batch]:
        while not self._closed.is_set():
            with network.spending(self._budget):
                batch = next(self._making)
            self._expected -= sum(map(len, batch.tokens))
            yield batch
            if batch.last or self._expected <= 0:
                return


def batches(stream: Stream, resolved: Resolved, *, encoder: Encoder, after: Mark = Mark()) -> Iterator[Batch]:
    """The batches of a stream from a mark on. The rows before it are read again, and nothing is done with them. Raises SourceError."""
    adapter: Adapter = plugins.load("adapters", stream.source.card.adapter)
    rows = adapter.rows(stream.where, resolved, seed=stream.seed, sampling=stream.sampling)
    prefix = instruction(stream.source.card)
    if prefix is not None:
        prefix.count = after.instructions
    documents = _documents(stream, resolved, islice(_wanted(rows), after.rows, None), prefix)
    mark, last = after, False
    while not last:
        counts = Counts()
        group, last = _gather(stream, documents, min(LEAST_BATCH << min(mark.batches // 4, 8), MOST_BATCH), counts)
        mark = Mark(mark.batches + 1, mark.rows + counts.rows_read, prefix.count if prefix else 0)
        tokens = list(_encoded(stream, encoder, group, counts))
        yield Batch(tokens, counts, last, mark)


def _wanted(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, for as long as anybody waits for them. Raises GaveUp."""
    for row in rows:
        network.go_on()
        yield row


def _gather(stream: Stream, documents: Iterator[tuple[Row, Document | Drop]], budget: int, counts: Counts) -> tuple[list[Document], bool]:
    """The next documents, of ``budget`` characters or a little more; and whether they are the last."""
    group: list[Document] = []
    idle = 0
    for row, result in documents:
        counts.rows_read += 1
        counts.bytes_read += row.size
        if isinstance(result, Drop):
            counts.drop(stream, row.key, result)
            idle += 1
            if idle >= DRY_SPELL:
                return group, False
            continue
        group.append(result)
        idle = 0
        budget -= len(filters.whole_text(result))
        if budget <= 0:
            return group, False
    return group, True


def _encoded(stream: Stream, encoder: Encoder, group: Sequence[Document], counts: Counts) -> Iterator[Tokens]:
    for document, result in zip(group, encoder.encode(group), strict=True):
        if isinstance(result, Drop):
            counts.drop(stream, document.origin.row, result)
        else:
            counts.kept += 1
            counts.repairs.update(result.repairs)
            yield result


def _documents(stream: Stream, resolved: Resolved, rows: Iterator[Row], prefix: templates.Instruction | None) -> Iterator[tuple[Row, Document | Drop]]:
    """Each row with the document that it becomes, or with why it does not."""
    card = stream.source.card
    formatter: Formatter = plugins.load("formatters", card.formatter or "")
    options = Options(card.columns, prefix, stream.language, card.formatter_params)
    checks: list[filters.Filter] = [filters.encoding, *(plugins.load("filters", name) for name in card.filters)]
    for row in rows:
        if row.broken is not None:
            yield row, Drop("unreadable", row.broken)
            continue
        claimed = stream.language or _row_language(row)
        try:
            result = formatter(row.values, options if claimed == stream.language else _speaking(options, claimed))
        except templates.BadTemplate as error:
            raise SourceError(f"the template of formatter_params.prefix fails on row {row.key}: {error}") from None
        if isinstance(result, Drop):
            yield row, result
            continue
        document = Document(result, Origin(card.place, resolved.revision, card.split, row.key), card.name, card.category, claimed)
        yield row, next((d for check in checks if (d := check(document))), document)


def _row_language(row: Row) -> str | None:
    """The language that a row of a source tree or of the embedded corpus claims for itself."""
    value = row.values.get("language")
    found = languages.find(value) if isinstance(value, str) and "path" in row.values else None
    return found.id if found else None


def _speaking(options: Options, language: str | None) -> Options:
    return Options(options.columns, options.prefix, language, options.params)
