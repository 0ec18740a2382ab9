"""How a page in one file is made: templates beside their package, data in a script element that nothing in them can end, drawings
inline, and the digests by which a Content-Security-Policy knows the page's own style and script."""

from __future__ import annotations

import base64
import hashlib
import json
import xml.etree.ElementTree as ET
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Callable

    from pygal.graph.graph import Graph

LETTER = 10.5  # size of the labels of charts
IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def source(package: str, name: str) -> str:
    """A file of a package: a template, a style, a script."""
    return (files(package) / name).read_text(encoding="utf-8")


@cache
def environment(package: str) -> jinja2.Environment:
    """The templates of a package; ``digest`` is a filter in all of them, others are the package's to add."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: source(package, name)),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["digest"] = digest
    return made


def data(value: Any) -> Markup:
    """A value as JSON that can stand in a script element."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(IN_SCRIPT))  # noqa: S704 - nothing in it can end the element


def digest(text: str) -> Markup:
    """A source expression of a Content-Security-Policy (https://www.w3.org/TR/CSP3/#hash-source): this inline text and no other."""
    return Markup("'sha256-{}'").format(base64.b64encode(hashlib.sha256(text.encode()).digest()).decode())


def chart(make: Any, name: str, **options: Any) -> Graph:
    """An empty chart of a class of pygal, in the style of our pages. ``name`` is its id, which is otherwise random: two pages of one
    content would differ."""
    from pygal.style import Style

    style = Style(label_font_size=LETTER, major_label_font_size=LETTER, font_family="system-ui, sans-serif")
    numbers = {"value_formatter": lambda value: f"{value:,.10g}"}
    made: Graph = make(style=style, js=(), css=(), margin=6, spacing=6, show_legend=False, max_scale=6, **(numbers | options))
    made.uuid = name
    return made


def drawn(chart: Graph) -> ET.Element:
    """The tree of a chart. pygal takes lxml for it wherever that happens to be installed, whose elements are others; here it is the
    standard library's everywhere."""
    from pygal.etree import etree

    with_lxml = etree.lxml
    etree.to_etree()
    try:
        root: ET.Element = chart.render_tree()
    finally:
        if with_lxml:
            etree.to_lxml()
    return root


def strip(root: ET.Element, useless: Callable[[ET.Element], bool]) -> None:
    """Take out of a drawing what the policy of the page forbids, comments (one has a callable for a tag), and what else is useless."""
    for parent in list(root.iter()):
        for child in list(parent):
            if callable(child.tag) or child.tag in ("defs", "style", "script", "title") or useless(child):
                parent.remove(child)
    for element in root.iter():
        element.attrib.pop("style", None)


def inline(root: ET.Element, label: str) -> Markup:
    """A drawing as it stands in the page; ``label`` is what is read aloud in its place."""
    root.attrib |= {"role": "img", "aria-label": label}
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree has escaped every text
