"""Markdown that a stranger's text cannot break: every value is a literal, in a table or in a line.

Held against GitHub's dialect: pipes, line ends, code marks, HTML, links, mentions and issue numbers stay text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curator.report.tables import Column, Filled

MAIN = frozenset(
    {
        *("gates", "by_category", "programming_languages", "natural_languages", "code_blocks", "owed", "by_license", "by_kind", "dropped", "repairs"),
        *("cut", "evaluation", "overlap_benchmarks", "vocabulary"),
    }
)
HARMLESS = re.compile(r"[\w .,:;=!?'()+%/–-]*", re.ASCII)
LONGEST = 200  # letters of a cell


def number(value: float | str | None) -> str:
    """``12,345``; what is no number is left as it is."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)


def percent(value: float) -> str:
    """``4.20 %`` of a share."""
    return f"{100 * value:.2f} %"


def literal(value: Any) -> str:
    """A value as code, in which Markdown sees no markup.

    Harmless text goes between back quotes. Anything else is written as character references inside ``<code>``: these are read after
    tables and links are found, so they can be neither. A word joiner after ``@`` keeps a mention from being one.
    """
    text = " ".join(str(value).split())
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    if not text:
        return ""
    return f"`{text}`" if HARMLESS.fullmatch(text) else f"<code>{''.join(map(_reference, text))}</code>"


def _reference(character: str) -> str:
    if character == "@":
        return "&#64;&#8288;"
    if character.isalnum() or character == " ":
        return character
    return f"&#{ord(character) if character.isprintable() else 0xFFFD};"


def table(filled: Filled, most: int) -> str:
    """A table of at most ``most`` rows, and a line that says how many are left out."""
    head = [f"| {' | '.join(column.title for column in filled.columns)} |", f"|{'|'.join('---:' if c.numeric else '---' for c in filled.columns)}|"]
    body = [f"| {' | '.join(_cell(c, v) for c, v in zip(filled.columns, line.cells, strict=True))} |" for line in filled.lines[:most]]
    left = len(filled.lines) - most
    return "\n".join([*head, *body, *([f"\n{left:,} more in report.html."] if left > 0 else [])])


def _cell(column: Column, value: Any) -> str:
    if value is None:
        return "–"
    write: Mapping[str, Any] = {"number": number, "percent": percent, "flag": _flag, "digest": lambda digest: literal(str(digest)[:12])}
    return str(write.get(column.kind, literal)(value))


def _flag(met: bool) -> str:
    return "yes" if met else "**no**"
