"""The pages as text: what they hold, that a stranger's words cannot break them, and that missing tables do not."""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import json
import re
from typing import Any

import html5lib
import pytest
from markdown_it import MarkdownIt

from curator import report
from curator.report import charts, markdown, tables
from tests import reports

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
HOSTILE = [
    *reports.HOSTILE,
    reports.HOSTILE_NAME,
    "a|b",
    "a\\|b",
    "\\",
    "`",
    "``|``",
    "*x* _y_ ~~z~~",
    "# x",
    "- x",
    "[a](http://b.example)",
    "www.example.com",
]
HOSTILE += [
    "![x](y)",
    "<!-- ",
    "https://example.com/x",
    "@octocat",
    "x@example.com",
    "org/repo#12",
    "&lt;b&gt;",
    "  \n\n| a |\n|---|\n",
    "\ttab",
    "ends in \\",
    "'\"",
    "x" * 900,
]


def rendered(text: str) -> Any:
    return html5lib.parse(MARKDOWN.render(text), treebuilder="etree", namespaceHTMLElements=False)


def said(element: Any) -> str:
    return "".join(element.itertext())


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_cell_is_one_cell_of_text(value: str) -> None:
    tree = rendered(f"| a | b |\n|---|---|\n| {markdown.literal(value)} | end |\n\nafter")
    cells = tree.findall(".//td")
    assert [said(cell) for cell in cells][1:] == ["end"]
    assert {e.tag for cell in cells for e in cell.iter()} <= {"td", "code"}
    assert len(tree.findall(".//tbody/tr")) == 1
    expected = " ".join(value.split())
    told = said(cells[0]).replace("@\u2060", "@")
    assert told == expected or told[:150] == expected[:150] or "\N{REPLACEMENT CHARACTER}" in told
    assert not re.search(r"@\w", said(cells[0])), "no mention"


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_name_in_a_heading_stays_there(value: str) -> None:
    tree = rendered(f"## {markdown.literal(value)}: fine\n\nafter")
    assert {e.tag for e in tree.find(".//body").iter()} <= {"body", "h2", "p", "code"}
    assert said(tree.find(".//h2")).endswith(": fine")


def test_the_summary_of_a_hostile_set() -> None:
    coverage, facts, _ = reports.example()
    text = report.summary(coverage, facts, reports.comparison())
    tree = rendered(text)
    tags = {e.tag for e in tree.find(".//body").iter()}
    assert tags <= {"body", "h2", "h3", "h4", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "code", "strong"}
    for table in tree.findall(".//table"):
        widths = {len(row) for row in table.iter("tr")}
        assert len(widths) == 1
    titles = [said(h) for h in tree.iter("h3")]
    assert titles[0] == "Gates"
    assert titles[-1] == "What changed"
    assert "400 documents are in both, 11 were gained, 3 lost." in text
    assert "**no**" in text
    assert len(text) < report.COMMENT


def test_a_summary_fits_a_comment_however_much_there_is() -> None:
    coverage, facts, _ = reports.example()
    coverage["dropped"] = [{"source": f"source_{n}" + "<" * 190, "reason": "@" * 190, "rows": n} for n in range(5000)]
    text = report.summary(coverage, facts, reports.comparison())
    assert len(text) < report.COMMENT
    assert re.search(r"4,9\d\d more in report.html", text)


def test_a_summary_without_a_before() -> None:
    coverage, facts, _ = reports.example(hostile=False)
    assert "What changed" not in report.summary(coverage, facts)
    assert "the same set" in report.summary(coverage, facts, {"a": "x", "b": "y", "same": True})


def test_the_card_of_a_hostile_set() -> None:
    coverage, facts, _ = reports.example()
    text = report.card(coverage, facts)
    assert text.startswith("---\nconfigs:\n")
    tree = rendered(text.split("---\n", 2)[2])
    assert tree.findall(".//script") == []
    assert tree.findall(".//a") == []
    assert all(len({len(row) for row in table.iter("tr")}) == 1 for table in tree.findall(".//table"))


def test_what_the_page_holds() -> None:
    coverage, facts, shown = reports.example()
    text = report.page(coverage, facts, shown)
    tree = html5lib.parse(text, treebuilder="etree", namespaceHTMLElements=False)
    sections = {section.get("id"): section for section in tree.iter("section")}
    for table in tables.TABLES:
        rows = sections[table.anchor].findall(".//tbody/tr")
        assert len(rows) == len(coverage[table.key]), table.key
    cells = [said(td) for td in sections["category"].findall(".//tbody/tr")[0]]
    assert cells == ["Code / Programming / Software Engineering / Devops", "330", "3,007", "2,706,636", "56.00 %", "330", "57.12 %"]
    assert [said(td) for td in sections["gates"].findall(".//tbody/tr")[0]] == ["natural_languages: tr (tokens)", "8,192", "5,000", "no"], "failing first"


def test_scripts_and_styles_are_those_that_the_policy_names() -> None:
    text = report.page(*reports.example())
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (inline,) = re.findall(f"<{element}>(.*?)</{element}>", text, re.S)
        named = re.search(rf"{directive} 'sha256-([^']+)'", text)
        assert named
        assert named[1] == base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()


def test_the_data_come_back_as_they_were() -> None:
    coverage, facts, shown = reports.example()
    text = report.page(coverage, facts, shown)
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert not re.search("[<>&\u2028\u2029\x00]", data)
    entries = json.loads(data)["documents"]
    assert [entry["text"] for entry in entries] == [document["text"] for document in shown]
    for entry, document in zip(entries, shown, strict=True):
        assert sum(turn[2] for turn in entry["turns"]) == len(document["text"].encode("utf-16-le")) // 2


def test_a_lone_surrogate_can_be_written() -> None:
    coverage, facts, shown = reports.example(hostile=False, documents=2)
    shown[0] |= {"text": "a\ud800b", "turns": [], "source": "c\udfffd"}
    text = report.page(coverage, facts, shown)
    assert "a\N{REPLACEMENT CHARACTER}b" in text
    text.encode("utf-8")


def test_a_page_is_the_same_each_time() -> None:
    assert report.page(*reports.example()) == report.page(*reports.example())


@pytest.mark.parametrize("missing", [*(table.key for table in tables.TABLES), None])
def test_tables_may_be_missing_or_empty(missing: str | None) -> None:
    coverage, facts, shown = reports.example(hostile=False, documents=3)
    keys = list(coverage) if missing is None else [missing]
    for empty in (False, True):
        fewer = {k: v for k, v in coverage.items() if k not in keys} | ({k: [] for k in keys} if empty else {})
        assert "<!doctype html>" in report.page(fewer, facts, shown)
        assert report.summary(fewer, facts).startswith("## ")


def test_a_column_that_no_row_has_is_left_out() -> None:
    coverage, facts, _ = reports.example(hostile=False)
    coverage = copy.deepcopy(coverage)
    for row in coverage["natural_languages"]:
        row["detected_tokens"] = None
        del row["required"], row["ok"]
    text = report.page(coverage, facts)
    section = text[text.index('id="natural"') : text.index('id="named"')]
    assert "Recognised tokens<" not in section
    assert "Gate met" not in section
    assert "Tokens<" in section


def test_charts_tell_every_value() -> None:
    coverage, _, _ = reports.example()
    drawn = {chart.table: chart for chart in charts.of_coverage(coverage)}
    assert list(drawn) == ["category", "lengths", "programming", "owed"]
    told = [html.unescape(title) for title in re.findall("<title>(.*?)</title>", drawn["programming"].svg)]
    rows = [*coverage["programming_languages"], *coverage["natural_languages"]]
    assert sorted(int(t.rsplit(": ", 1)[1].replace(",", "")) for t in told) == sorted(row["tokens"] for row in rows)
    assert sum("below its gate" in t for t in told) == 1
    owed = re.findall("<title>(.*?)</title>", drawn["owed"].svg, re.S)
    assert len(owed) == 2 * len(coverage["owed"])
    assert "<script>window" not in drawn["owed"].svg
    assert "20" + "26-" not in drawn["owed"].svg, "no date, or two reports of one build would differ"


@pytest.mark.parametrize("tokens", [[0, 0], [5], [1, 10**9], [0, 10**7, 1], []])
def test_charts_of_odd_numbers(tokens: list[int]) -> None:
    rows = [{"name": f"l{n}", "tokens": t, "share": 0.0} for n, t in enumerate(tokens)]
    drawn = charts.of_coverage({"programming_languages": rows, "by_category": rows})
    assert len(drawn) == (2 if tokens else 0)
    assert all(sum(t > 0 for t in tokens) == len(re.findall("<title>l", c.svg)) for c in drawn if c.table == "programming")


def test_the_page_of_a_comparison() -> None:
    text = report.comparison_page(reports.comparison())
    tree = html5lib.parse(text, treebuilder="etree", namespaceHTMLElements=False)
    assert [s.get("id") for s in tree.iter("section")] == [*(table.anchor for table in tables.COMPARED), "mix"]
    assert "The sets differ" in text
    assert "window.pwned = 8" in said(next(iter(tree.iter("pre"))))
    assert "<script>window" not in text
    assert "The same set" in report.comparison_page({"a": "x", "b": "y", "same": True})


def test_a_page_is_the_same_whether_lxml_is_there_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """pygal draws with lxml wherever it is installed, and its elements are not those of the standard library."""
    from pygal.etree import etree

    pytest.importorskip("lxml")
    monkeypatch.setattr(etree, "_etree", etree._etree)
    monkeypatch.setattr(etree, "lxml", etree.lxml)
    coverage, facts, shown = reports.example()
    pages = []
    for choose in (etree.to_lxml, etree.to_etree):
        choose()
        pages.append(report.page(coverage, facts, shown))
    assert pages[0] == pages[1]
    assert "<svg" in pages[0]
