"""What coverage.json must be for whoever reads it: tables by name, rows of plain values, and numbers where numbers are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = ("name", "samples", "documents", "tokens", "share")
NEEDED = {  # the columns of the tables that every build has and other commands than `report` read
    **dict.fromkeys(("by_category", "programming_languages", "natural_languages"), GROUP),
    "named_languages": ("name", "kind", "tokens", "real"),
    "gates": ("name", "required", "got", "ok"),
}
NUMBERS = frozenset(
    {
        *GROUP[1:],
        *("planned_samples", "planned_share", "detected_tokens", "documents_naming", "required", "got", "owed", "rows_read", "documents_made"),
        *("dropped", "rows", "documents_cut", "tokens_cut", "size", "occurring", "special", "special_occurring", "id", "occurrences", "similarity"),
        *("sample", "start", "other_sample", "other_start", "items", "items_overlapping", "documents_overlapping", "ngram", "ngrams", "matched"),
    }
)


def misshapen(value: Any) -> list[str]:
    """What is wrong with the value of a coverage.json, a line for each table; nothing where it can be read."""
    if not isinstance(value, dict):
        return ["it is no object of tables"]
    faults = [f"no table {name}" for name in NEEDED if name not in value]
    return faults + [f"{name}: {fault}" for name, rows in value.items() for fault in _of_table(name, rows)]


def _of_table(name: str, rows: Any) -> Iterator[str]:
    """The first thing that is wrong with a table."""
    if not isinstance(rows, list):
        yield "is no list of rows"
        return
    for number, row in enumerate(rows):
        if fault := _of_row(name, row):
            yield f"row {number}: {fault}"
            return


def _of_row(name: str, row: Any) -> str | None:
    if not isinstance(row, dict):
        return "is no object"
    if absent := [column for column in NEEDED.get(name, ()) if row.get(column) is None]:
        return f"no {absent[0]}"
    wrong = [column for column, value in row.items() if not _is_right(column, value)]
    return f"{wrong[0]} is {row[wrong[0]]!r:.40}" if wrong else None


def _is_right(column: str, value: Any) -> bool:
    if column in NUMBERS:
        return _is_number(value)
    return isinstance(value, str if column == "name" else str | int | float | None)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 63)
