"""Rows to tokens, source by source: workers run ahead of the one consumer, and what they did does not depend on how far.

A stream's work is cut into batches; the counts of a batch travel with it and are added up only when it is consumed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curator import filters, languages, plugins, templates
from curator.data import Document, Drop, Origin, Resolved, Row, Tokens
from curator.errors import SourceError
from curator.formatters import Options
from curator.plan import Stream, instruction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Executor, Future

    from curator.tokens import Encoder

CHARACTERS_PER_TOKEN = 4  # a guess that only sizes batches
LEAST_BATCH, MOST_BATCH = 16_000, 400_000  # characters
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
class Batch:
    """Some documents of a stream, in order; ``last`` when there are no more."""

    tokens: Sequence[Tokens]
    counts: Counts
    last: bool


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
                batch = next(self._making, None)
                if batch is None:
                    return
                self._made.append(batch)
            yield self._made[position]
            position += 1


class Pull:
    """One stream, pulled in the background and consumed in order: at most one batch is on its way."""

    def __init__(self, stream: Stream, making: Iterator[Batch], *, executor: Executor, expected: int) -> None:
        self.stream = stream
        self.counts = Counts()
        self.error: SourceError | None = None
        self._batches = making
        self._executor = executor
        self._expected = expected
        self._seen = 0
        self._coming: Future[Batch | None] | None = None

    def start(self) -> None:
        """Have a worker make the next batch, if none is being made."""
        if self._coming is None:
            self._coming = self._executor.submit(next, self._batches, None)

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
        assert self._coming is not None
        try:
            batch = self._coming.result()
        except SourceError as error:
            self.error = SourceError(f"{self.stream.key}: {error}")
            return None
        finally:
            self._coming = None
        if batch is not None:
            self._seen += sum(map(len, batch.tokens))
            if not batch.last and self._seen < self._expected:
                self.start()
        return batch


def batches(stream: Stream, resolved: Resolved, *, encoder: Encoder, expected: int) -> Iterator[Batch]:
    """All batches of a stream; ``expected`` tokens only size them. Raises SourceError."""
    adapter = plugins.load("adapters", stream.source.card.adapter)
    rows = adapter.rows(stream.where, resolved, seed=stream.seed, sampling=stream.sampling)
    documents = _documents(stream, resolved, rows)
    produced, last = 0, False
    while not last:
        budget = min(max((expected - produced) * CHARACTERS_PER_TOKEN, LEAST_BATCH), MOST_BATCH)
        counts = Counts()
        group, last = _gather(stream, documents, budget, counts)
        tokens = list(_encoded(stream, encoder, group, counts))
        produced += sum(map(len, tokens))
        yield Batch(tokens, counts, last)


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


def _documents(stream: Stream, resolved: Resolved, rows: Iterator[Row]) -> Iterator[tuple[Row, Document | Drop]]:
    """Each row with the document that it becomes, or with why it does not."""
    card = stream.source.card
    formatter = plugins.load("formatters", card.formatter or "")
    options = Options(card.columns, instruction(card), stream.language, card.formatter_params)
    checks = [filters.encoding, *(plugins.load("filters", name) for name in card.filters)]
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
