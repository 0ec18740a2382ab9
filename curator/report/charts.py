"""The pictures of a report as inline SVG: drawn by pygal, stripped of what a page without inline styles cannot take.

Colours come from the classes that pygal gives (``color-0``, …) and the page's stylesheet, so that they follow light and dark.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from statistics import median
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from curator.report import selfcontained

if TYPE_CHECKING:
    from pygal.graph.graph import Graph

Row = Mapping[str, Any]
Values = Sequence[float | None]
NARROW, WIDE = 596, 1216  # drawn as large as on a screen of 1280 × 800, so that letters keep their size and all four charts fit
TALL, LOW = 204, 186
LABEL, TURNED = 26, 18  # letters of a name, and of one that is turned; the whole is in the tooltip and in the table
STEEP = 40  # a scale of powers of ten where the largest bar is more than this many times the median


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart; ``series`` are the names of its colours in order; ``table`` is the anchor of its numbers."""

    title: str
    caption: str
    series: tuple[str, ...]
    table: str
    svg: Markup
    wide: bool


def of_coverage(coverage: Mapping[str, Any]) -> list[Chart]:
    """Categories, lengths, languages, sources: those that the tables have rows for."""
    drawn = (_categories(coverage), _lengths(coverage), _languages(coverage), _owed(coverage))
    return [chart for chart in drawn if chart is not None]


def of_comparison(comparison: Mapping[str, Any]) -> list[Chart]:
    """Shares of categories and tokens of languages, before and after."""
    charts = []
    if rows := comparison.get("categories"):
        shares = {name: _percents(rows, f"{side}_share") for name, side in (("before", "a"), ("after", "b"))}
        charts.append(_lying("Category shares", "Per cent of all tokens, before and after", "category", _names(rows), shares))
    if rows := [*(comparison.get("programming_languages") or ()), *(comparison.get("natural_languages") or ())]:
        tokens = {name: [row.get(f"{side}_tokens") or 0 for row in rows] for name, side in (("before", "a"), ("after", "b"))}
        charts.append(_standing("Languages", "Tokens, before and after", "programming", _names(rows), tokens))
    return charts


def _categories(coverage: Mapping[str, Any]) -> Chart | None:
    rows = coverage.get("by_category")
    if not rows:
        return None
    series = {"planned": _percents(rows, "planned_share"), "placed": _percents(rows, "share")}
    return _lying("Categories", "Per cent of all tokens, planned and placed", "category", _names(rows), series)


def _lengths(coverage: Mapping[str, Any]) -> Chart | None:
    rows = coverage.get("lengths")
    if not rows:
        return None
    counts = {"documents": [row.get("documents") or 0 for row in rows]}
    names = [re.split("[–\\s]", name)[0] for name in _names(rows)]  # the lower edge: 1,024–2,047 is 1,024
    return _standing("Length of documents", "Documents by length in tokens, from one label to the next", "lengths", names, counts, wide=False)


def _languages(coverage: Mapping[str, Any]) -> Chart | None:
    kinds = {"programming": coverage.get("programming_languages") or (), "natural": coverage.get("natural_languages") or ()}
    rows = [(kind, row) for kind, rows in kinds.items() for row in rows]
    if not rows:
        return None
    series: dict[str, Values] = {kind: [_met(row) if k == kind else None for k, row in rows] for kind in reversed(kinds)}
    series["below its gate"] = [row.get("tokens") or 0 if row.get("ok") is False else None for _, row in rows]
    names = _names([row for _, row in rows])
    return _standing("Languages", f"Tokens of each of {len(rows)} languages", "programming", names, series, stacked=True)


def _met(row: Row) -> float | None:
    return None if row.get("ok") is False else row.get("tokens") or 0


def _owed(coverage: Mapping[str, Any]) -> Chart | None:
    rows = coverage.get("owed")
    if not rows:
        return None
    series = {"owed": [row.get("owed") for row in rows], "placed": [row.get("samples") for row in rows]}
    return _standing("Owed and placed", "Samples that the mix asks of each source, and that it gave", "owed", _names(rows, "source"), series)


def _names(rows: Iterable[Row], key: str = "name") -> list[str]:
    return [str(row.get(key, "")) for row in rows]


def _percents(rows: Iterable[Row], key: str) -> list[float | None]:
    return [None if row.get(key) is None else round(100 * row[key], 2) for row in rows]


def _lying(title: str, caption: str, table: str, names: Sequence[str], series: Mapping[str, Values]) -> Chart:
    """Horizontal bars: for names that are long."""
    from pygal import HorizontalBar

    chart = _prepared(HorizontalBar, table, height=max(TALL, 30 + 12 * len(names)), width=NARROW)
    drawn = _add(chart, [_short(name, LABEL) for name in names[::-1]], names[::-1], {name: values[::-1] for name, values in series.items()})
    return Chart(title, caption, drawn, table, _svg(chart, title, caption), wide=False)


def _standing(title: str, caption: str, table: str, names: Sequence[str], series: Mapping[str, Values], *, wide: bool = True, stacked: bool = False) -> Chart:
    """Vertical bars: for many names. Steep ones get a scale of powers of ten, and the caption says so."""
    from pygal import Bar, StackedBar

    values = [v for vs in series.values() for v in vs if v]
    steep = bool(values) and max(values) > STEEP * median(values)
    scale = {"logarithmic": True, "range": (min(values) / 2, max(values)), "zero": min(values) / 2} if steep else {}
    width, height, turned = (WIDE, LOW, 55) if wide else (NARROW, TALL, 0)
    chart = _prepared(StackedBar if stacked else Bar, table, width=width, height=height, x_label_rotation=turned, **scale)
    if steep:
        chart.y_labels = [10**power for power in range(int(log10(max(values))) + 1) if min(values) / 2 <= 10**power <= max(values)]
    drawn = _add(chart, [_short(name, TURNED) for name in names], names, series)
    told = f"{caption} (each line ten times the one below)" if steep else caption
    return Chart(title, told, drawn, table, _svg(chart, title, told), wide=wide)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _add(chart: Graph, labels: Sequence[str], names: Sequence[str], series: Mapping[str, Values]) -> tuple[str, ...]:
    """Put the series in. Returns the names of those that have values, in the places of their colours."""
    chart.x_labels = labels
    for title, values in series.items():
        chart.add(title, [None if v is None else {"value": v, "label": f"{name}, {title}"} for name, v in zip(names, values, strict=True)])
    return tuple(title if any(v is not None for v in values) else "" for title, values in series.items())


def _prepared(make: Any, name: str, **options: Any) -> Graph:
    return selfcontained.chart(make, name, show_y_guides=True, min_scale=2, **options)


def _svg(chart: Graph, title: str, caption: str) -> Markup:
    """The drawing without styles, scripts and the date; its numbers as native tooltips."""
    root = selfcontained.drawn(chart)
    selfcontained.strip(root, _useless)
    for element in root.iter():
        _tell(element)
    return selfcontained.inline(root, f"{title}: {caption}. The numbers are in the table below.")


def _useless(element: ET.Element) -> bool:
    """Tooltips that a script would show, and bars of nothing."""
    bar = element.find("rect") if element.get("class") == "bar" else None
    return "tooltip-overlay" in element.get("class", "") or (bar is not None and not float(bar.get("height", 0)) * float(bar.get("width", 0)))


def _tell(element: ET.Element) -> None:
    """pygal's descriptions of a bar become the title that browsers show."""
    found = {desc.get("class"): desc.text or "" for desc in element.findall("desc")}
    for desc in element.findall("desc"):
        element.remove(desc)
    if "value" in found:
        title = ET.Element("title")
        title.text = f"{found.get('label', '')}: {found['value']}"
        element.insert(0, title)
