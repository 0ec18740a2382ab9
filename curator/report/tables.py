"""Which tables a report has, in which order and words, and which of the embedded documents stand behind a row.

The names of tables and columns are those of ``coverage.json``. A table or column that a build does not have is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, Any]
Kind = Literal["text", "code", "digest", "number", "percent", "flag"]  # of a digest, twelve letters are shown
Behind = Callable[[Row, Row], bool]  # row of a table, document


@dataclass(frozen=True, slots=True)
class Column:
    """A key of the rows, its heading, and how its cells are written and sorted."""

    key: str
    title: str
    kind: Kind = "number"

    @property
    def numeric(self) -> bool:
        return self.kind in ("number", "percent")


@dataclass(frozen=True, slots=True)
class Table:
    """How one list of ``coverage.json`` is shown; ``note`` says what its numbers mean. ``anchor`` names it in links."""

    key: str
    anchor: str
    title: str
    note: str
    columns: tuple[Column, ...]
    behind: Behind | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A row with its cells in the order of the columns, and the places of its documents among those embedded."""

    name: str
    cells: tuple[Any, ...]
    documents: tuple[int, ...]
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Filled:
    """A table with the rows and columns that a build really has."""

    table: Table
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def fill(coverage: Mapping[str, Any], documents: Sequence[Row]) -> list[Filled]:
    """The tables that have rows, in the order of the page."""
    return [filled for table in TABLES if (filled := fill_one(table, coverage.get(table.key) or (), documents))]


def fill_one(table: Table, rows: Sequence[Row], documents: Sequence[Row] = ()) -> Filled | None:
    """A table with its rows; None where there are none. Columns that no row has are left out."""
    columns = tuple(c for c in table.columns if any(row.get(c.key) is not None for row in rows))
    if not rows or not columns:
        return None
    return Filled(table, columns, tuple(_line(table, columns, row, documents) for row in rows))


def _line(table: Table, columns: Sequence[Column], row: Row, documents: Sequence[Row]) -> Line:
    behind = tuple(n for n, document in enumerate(documents) if table.behind and table.behind(row, document))
    return Line(str(row.get(columns[0].key, "")), tuple(row.get(c.key) for c in columns), behind, row.get("ok"))


def _same(key: str, *, of: str | None = None) -> Behind:
    """Documents whose ``key`` is the row's ``of``, or the row's value of the same key."""
    return lambda row, document: row.get(of or key) is not None and row.get(of or key) == document.get(key)


def _turn(key: str) -> Behind:
    return lambda row, document: any(turn.get(key) == row.get("name") for turn in document.get("turns") or ())


def _placed(row: Row, document: Row) -> bool:
    """The document at the row's place, or at the place of its twin."""
    place = (document.get("sample"), document.get("start"))
    return place in ((row.get("sample"), row.get("start")), (row.get("other_sample"), row.get("other_start")))


def _of_source_cut(row: Row, document: Row) -> bool:
    return bool(document.get("cut")) and document.get("source") == row.get("source")


def _recognised(row: Row, document: Row) -> bool:
    return document.get("language") == row.get("claimed") and document.get("language_detected") == row.get("detected")


def _as_long(row: Row, document: Row) -> bool:
    """Bins are named ``128–255`` or ``16,384 and more``; a document counts with what was cut off."""
    edges = [int(edge.replace(",", "")) for edge in re.findall(r"\d[\d,]*", str(row.get("name")))]
    length = (document.get("tokens") or 0) + (document.get("cut") or 0)
    return bool(edges) and edges[0] <= length <= (edges[1] if len(edges) > 1 else length)


def _has_piece(row: Row, document: Row) -> bool:
    return row.get("token") in (document.get("pieces") or ())


def _gated(row: Row, document: Row) -> bool:
    """Gates are named ``category: Finance (samples)`` or ``natural_languages: he (tokens)``."""
    match = re.fullmatch(r"(\w+): (.*) \(\w+\)", str(row.get("name")), re.S)
    return bool(match) and document.get("category" if match[1] == "category" else "language") == match[2] if match else False


_COUNTS = (Column("samples", "Samples"), Column("documents", "Documents"), Column("tokens", "Tokens"), Column("share", "Share", "percent"))
_LANGUAGES = (
    *_COUNTS,
    Column("required", "Required tokens"),
    Column("detected_tokens", "Recognised tokens"),
    Column("ok", "Gate met", "flag"),
)
_PLACE = (Column("sample", "Sample"), Column("start", "Start"))


def _named(title: str, *rest: Column) -> tuple[Column, ...]:
    return (Column("name", title, "text"), *rest)


TABLES: tuple[Table, ...] = (
    Table(
        "gates",
        "gates",
        "Gates",
        "What the mix requires, and what was placed. One gate that is not met is enough not to use the set.",
        _named("Gate", Column("required", "Required"), Column("got", "Got"), Column("ok", "Met", "flag")),
        _gated,
    ),
    Table(
        "by_category",
        "category",
        "Categories",
        "Shares are of all tokens. Planned is what the mix asks for; the two differ where sources ran dry.",
        _named("Category", *_COUNTS, Column("planned_samples", "Planned samples"), Column("planned_share", "Planned share", "percent")),
        _same("category", of="name"),
    ),
    Table(
        "programming_languages",
        "programming",
        "Programming languages",
        "Tokens of documents that claim the language and are not recognised as another. Recognised tokens are those that a detector for code also takes "
        "for this language; a dash means that it does not know it.",
        _named("Language", *_LANGUAGES),
        _same("language", of="name"),
    ),
    Table(
        "natural_languages",
        "natural",
        "Natural languages",
        "Tokens of documents that claim the language and are not recognised as another. Recognised tokens are those of documents in which it was detected.",
        _named("Language", *_LANGUAGES),
        _same("language", of="name"),
    ),
    Table(
        "named_languages",
        "named",
        "Languages asked for, and languages there",
        "A language can be named in an instruction and still not be there. Tokens are of text and code that really is in it, claimed or not; "
        "from 1,024 on it is there.",
        _named(
            "Language",
            Column("kind", "Kind", "text"),
            Column("documents_naming", "Documents that name it"),
            Column("tokens", "Tokens"),
            Column("real", "There", "flag"),
        ),
        _same("language", of="name"),
    ),
    Table(
        "code_blocks",
        "blocks",
        "Code blocks in conversations",
        "By the language that the fence names, in documents whose source claims no programming language.",
        _named("Language", *_COUNTS),
        lambda row, document: any(t.get("kind") == "code" and (t.get("language") or "not named") == row.get("name") for t in document.get("turns") or ()),
    ),
    Table(
        "disagreements",
        "disagreements",
        "Claimed and recognised languages that differ",
        "Every document whose text was recognised as another language than its source says. Short or mixed texts are often mistaken; whole sources are not.",
        (
            Column("source", "Source", "text"),
            Column("claimed", "Claimed", "text"),
            Column("detected", "Recognised", "text"),
            Column("kind", "Kind", "text"),
            Column("tokens", "Tokens"),
            *_PLACE,
        ),
        _placed,
    ),
    Table(
        "languages_detected",
        "recognised",
        "Claimed against recognised languages",
        "Documents and tokens by the language that their source claims and the one that was recognised.",
        (
            Column("claimed", "Claimed", "text"),
            Column("detected", "Recognised", "text"),
            Column("kind", "Kind", "text"),
            Column("documents", "Documents"),
            Column("tokens", "Tokens"),
        ),
        _recognised,
    ),
    Table(
        "owed",
        "owed",
        "Owed and placed, by source",
        "Owed is what the mix asks of a source, in samples; samples are what it gave. Less means that it ran dry, more that it stood in for another.",
        (
            Column("source", "Source", "text"),
            Column("category", "Category", "text"),
            Column("owed", "Owed"),
            Column("samples", "Placed"),
            Column("tokens", "Tokens"),
        ),
        _same("source"),
    ),
    Table("by_source", "source", "Tokens by source", "Every source that has text in the set.", _named("Source", *_COUNTS), _same("source", of="name")),
    Table(
        "by_license",
        "license",
        "Licences",
        "As the datasets state them, and the cards of those that do not. Text keeps the licence of its source; “not stated” means that someone has to look.",
        _named("Licence", *_COUNTS),
        _same("license", of="name"),
    ),
    Table(
        "by_role",
        "role",
        "Roles",
        "Who speaks, by token; “template” is what the chat template adds.",
        _named("Role", *_COUNTS),
        _turn("role"),
    ),
    Table(
        "by_kind", "kind", "Kinds of text", "What the tokens are: plain text, code, reasoning, tool calls, tool lists.", _named("Kind", *_COUNTS), _turn("kind")
    ),
    Table(
        "rows",
        "rows",
        "Sources: where the text is from",
        "Rows read, documents made of them, and documents placed. Evaluation material is what models are tested on.",
        (
            Column("source", "Source", "text"),
            Column("dataset", "Dataset", "text"),
            Column("revision", "Revision", "digest"),
            Column("license", "Licence", "text"),
            Column("evaluation", "Evaluation material", "flag"),
            Column("rows_read", "Rows read"),
            Column("documents_made", "Made"),
            Column("documents", "Placed"),
            Column("dropped", "Dropped"),
        ),
        _same("source"),
    ),
    Table(
        "dropped",
        "dropped",
        "Rows dropped",
        "Rows that were read and not used, by reason. Each one is in quarantine.jsonl.",
        (Column("source", "Source", "text"), Column("reason", "Reason", "text"), Column("rows", "Rows")),
    ),
    Table(
        "repairs",
        "repairs",
        "Repairs",
        "Conversations changed so that the chat template takes them, by what was done.",
        (Column("source", "Source", "text"), Column("repair", "Repair", "text"), Column("documents", "Documents")),
        _same("source"),
    ),
    Table(
        "lengths",
        "lengths",
        "Length of documents",
        "In tokens, before any cut.",
        _named("Tokens", Column("documents", "Documents")),
        _as_long,
    ),
    Table("length_quantiles", "quantiles", "Length of documents, in order", "", _named("Quantile", Column("tokens", "Tokens"))),
    Table(
        "cut",
        "cut",
        "Cut documents",
        "A sample is full to the last token, so its last document may be cut at its end. A source with most of its tokens cut is known by its openings only.",
        (
            Column("source", "Source", "text"),
            Column("documents", "Documents"),
            Column("documents_cut", "Documents cut"),
            Column("tokens", "Tokens"),
            Column("tokens_cut", "Tokens cut"),
        ),
        _of_source_cut,
    ),
    Table(
        "duplicates",
        "duplicates",
        "Duplicates",
        "Pairs of documents that say the same. Similarity is of their sequences of tokens; the kind “exact” is the same text.",
        (
            Column("kind", "Kind", "text"),
            Column("similarity", "Similarity", "percent"),
            Column("source", "Source", "text"),
            *_PLACE,
            Column("other_source", "Other source", "text"),
            Column("other_sample", "Other sample"),
            Column("other_start", "Other start"),
            Column("tokens", "Tokens"),
        ),
        _placed,
    ),
    Table(
        "evaluation",
        "evaluation",
        "Evaluation material",
        "Sources that are benchmarks, or made of them. What a model is calibrated on should not be what it is then measured on.",
        (
            Column("source", "Source", "text"),
            Column("dataset", "Dataset", "text"),
            Column("documents", "Documents"),
            Column("samples", "Samples"),
            Column("tokens", "Tokens"),
            Column("share", "Share", "percent"),
        ),
        _same("source"),
    ),
    Table(
        "overlap_benchmarks",
        "benchmarks",
        "Benchmarks compared",
        "Items of each benchmark that share sequences of words with the set.",
        (
            Column("benchmark", "Benchmark", "text"),
            Column("items", "Items"),
            Column("items_overlapping", "Items overlapping"),
            Column("documents_overlapping", "Documents overlapping"),
            Column("ngram", "Words in a sequence"),
        ),
    ),
    Table(
        "overlap",
        "overlap",
        "Overlap with benchmarks",
        "Share is how much of a benchmark's item is in the document. Nothing is dropped for it.",
        (
            Column("benchmark", "Benchmark", "text"),
            Column("item", "Item", "text"),
            Column("share", "Share", "percent"),
            Column("matched", "Matched"),
            Column("ngrams", "Sequences"),
            Column("source", "Source", "text"),
            *_PLACE,
        ),
        _placed,
    ),
    Table(
        "vocabulary",
        "vocabulary",
        "Vocabulary",
        "How much of the tokenizer's vocabulary occurs at all.",
        (
            Column("size", "Tokens known"),
            Column("occurring", "Occurring"),
            Column("share", "Share", "percent"),
            Column("special", "Special tokens"),
            Column("special_occurring", "Special tokens occurring"),
        ),
    ),
    Table(
        "special_tokens",
        "special",
        "Special tokens",
        "Tokens with a meaning of their own. One that never occurs is never seen by the quantizer.",
        (Column("token", "Token", "code"), Column("id", "Id"), Column("occurrences", "Occurrences")),
        _has_piece,
    ),
)

DOCUMENTS = Table(
    "documents",
    "documents",
    "Documents to read",
    "Embedded in this page, a choice of those placed; all of them are in documents.parquet.",
    (
        Column("source", "Source", "text"),
        Column("category", "Category", "text"),
        Column("language", "Language", "text"),
        Column("language_detected", "Recognised", "text"),
        Column("tokens", "Tokens"),
        Column("cut", "Tokens cut"),
        *_PLACE,
    ),
    lambda row, document: row is document,
)


def _compared(title: str) -> tuple[Column, ...]:
    return (
        Column(title.lower() if title == "Source" else "name", title, "text"),
        Column("a_tokens", "Tokens before"),
        Column("b_tokens", "Tokens after"),
        Column("a_share", "Share before", "percent"),
        Column("b_share", "Share after", "percent"),
    )


_MOVED = (
    Column("source", "Source", "text"),
    Column("language", "Language", "text"),
    Column("tokens", "Tokens"),
    Column("head", "Beginning", "text"),
    Column("text_sha256", "SHA-256 of the text", "digest"),
)

COMPARED: tuple[Table, ...] = (
    Table("gates", "gates", "Gates", "Whether each is met, before and after.", _named("Gate", Column("a", "Before", "flag"), Column("b", "After", "flag"))),
    Table(
        "plan",
        "plan",
        "Plan",
        "What was asked for differently.",
        (Column("field", "Field", "code"), Column("a", "Before", "text"), Column("b", "After", "text")),
    ),
    Table("categories", "category", "Categories", "", _compared("Category")),
    Table("programming_languages", "programming", "Programming languages", "", _compared("Language")),
    Table("natural_languages", "natural", "Natural languages", "", _compared("Language")),
    Table(
        "sources",
        "source",
        "Sources",
        "",
        (*_compared("Source"), Column("a_revision", "Revision before", "digest"), Column("b_revision", "Revision after", "digest")),
    ),
    Table("gained", "gained", "Documents gained", "At most the first 200.", _MOVED),
    Table("lost", "lost", "Documents lost", "At most the first 200.", _MOVED),
)
