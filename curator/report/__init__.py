"""The pages that people read: ``report.html`` and the page of a comparison (each one file, no request to anywhere),
``report.md`` for a pull request, and ``README.md`` (the dataset card). Hides templates, escaping and drawing.

What comes from a data set is text in every one of them: it cannot become markup, a script, a link or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from curator.report import charts, markdown, selfcontained, tables

Row = Mapping[str, Any]
COMMENT = 60_000  # characters of report.md: a comment on GitHub takes 65,536
UNSENDABLE = re.compile("[\x00\ud800-\udfff]")  # what no HTML page can hold


def page(coverage: Mapping[str, Any], facts: Mapping[str, Any], shown: Sequence[Row] = ()) -> str:
    """The HTML report.

    ``coverage`` is coverage.json; ``facts`` is the manifest but for files, times and versions (docs/reference/build-folder.md).
    ``shown`` are the documents to embed: {sample, start, tokens, cut, source, category, language, language_detected, license,
    origin, text, turns: [{role, kind, chars, tokens}], pieces: [token as text]}, and ``excerpt`` where text is only a beginning.
    Tables that are missing or empty are left out.
    """
    gates = sorted(coverage.get("gates") or (), key=lambda gate: bool(gate["ok"]))
    filled = [*tables.fill({**coverage, "gates": gates}, shown), tables.fill_one(tables.DOCUMENTS, shown, shown)]
    return _html(
        "report.html",
        data={"special": _special(coverage), "documents": [_embedded(document) for document in shown]},
        charts=charts.of_coverage(coverage),
        tables=[table for table in filled if table],
        failing=[gate for gate in gates if not gate["ok"]],
        gates=gates,
        coverage=coverage,
        facts=facts,
    )


def comparison_page(comparison: Mapping[str, Any]) -> str:
    """The HTML of ``curate diff``: {a, b, same, plan, sources, categories, programming_languages, natural_languages, gates, documents,
    gained, lost, mix_diff}, of which every list may be missing or empty."""
    return _html("comparison.html", data={}, charts=charts.of_comparison(comparison), tables=_changes(comparison), comparison=comparison)


def summary(coverage: Mapping[str, Any], facts: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> str:
    """``report.md``: gates, the main tables, and what changed since ``before`` (a comparison), below 60,000 characters."""
    gates = sorted(coverage.get("gates") or (), key=lambda gate: bool(gate["ok"]))
    filled = [t for t in tables.fill({**coverage, "gates": [g for g in gates if not g["ok"]]}, ()) if t.table.key in markdown.MAIN]
    template = _environment().get_template("summary.md")
    for most in (100, 40, 20, 10, 5, 2):
        text = template.render(coverage=coverage, facts=facts, tables=filled, before=before, changes=_changes(before or {}), most=most)
        if len(text) <= COMMENT:
            break
    return text[:COMMENT]


def card(coverage: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The dataset card, whose header makes ``load_dataset(BUILD)`` work."""
    return _environment().get_template("README.md").render(coverage=coverage, facts=facts)


def _changes(comparison: Mapping[str, Any]) -> list[tables.Filled]:
    filled = (tables.fill_one(table, comparison.get(table.key) or ()) for table in tables.COMPARED)
    return [table for table in filled if table]


def _html(template: str, *, data: Any, **context: Any) -> str:
    text = (
        _environment()
        .get_template(template)
        .render(
            data=selfcontained.data(data),
            style=Markup(selfcontained.source("curator.report", "report.css")),  # noqa: S704 - our own file
            script=Markup(selfcontained.source("curator.report", "report.js")),  # noqa: S704 - our own file
            **context,
        )
    )
    return UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _embedded(document: Row) -> dict[str, Any]:
    """A document as the page's script takes it: lengths of turns and tokens in UTF-16 units, as its strings have."""
    text = str(document.get("text") or "")
    turns, start = [], 0
    for turn in document.get("turns") or ():
        end = start + turn["chars"]
        turns.append([turn["role"], turn["kind"], _units(text[start:end]), turn["tokens"]])
        start = end
    origin = {key: value for key, value in (document.get("origin") or {}).items() if value is not None}
    kept = {key: document.get(key) for key in ("sample", "start", "tokens", "cut", "source", "category", "language", "license", "excerpt")}
    return kept | {"detected": document.get("language_detected"), "origin": origin, "text": text, "turns": turns, "pieces": _pieces(document, text)}


def _pieces(document: Row, text: str) -> list[str] | list[int]:
    """The tokens: their lengths where they are the beginning of the text, which is not embedded twice."""
    pieces = list(document.get("pieces") or ())
    return [_units(piece) for piece in pieces] if text.startswith("".join(pieces)) else pieces


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _special(coverage: Mapping[str, Any]) -> list[str]:
    return [row["token"] for row in coverage.get("special_tokens") or ()]


@cache
def _environment() -> jinja2.Environment:
    environment = selfcontained.environment("curator.report")
    environment.filters |= {
        "number": markdown.number,
        "percent": markdown.percent,
        "plain": str,
        "cell": markdown.literal,
        "rows": markdown.table,
    }
    return environment
