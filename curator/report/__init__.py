"""The pages that people read: ``report.html`` (one file, no request to anywhere) and ``README.md`` (the dataset card)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def _environment() -> jinja2.Environment:
    def source(name: str) -> str:
        return (files("curator.report") / name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    environment.filters["cell"] = lambda value: str(value).replace("|", "\\|").replace("\n", " ")
    return environment


def page(coverage: Mapping[str, Any], facts: Mapping[str, Any], shown: Any) -> str:
    """The HTML report. ``coverage`` is coverage.json; ``facts`` is the manifest but for files, times and versions."""
    return _environment().get_template("report.html").render(coverage=coverage, facts=facts)


def card(coverage: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """The dataset card, whose header makes ``load_dataset(BUILD)`` work."""
    return _environment().get_template("README.md").render(coverage=coverage, facts=facts)


def summary(coverage: Mapping[str, Any], facts: Mapping[str, Any], before: Any = None) -> str:
    return ""


def comparison_page(comparison: Mapping[str, Any]) -> str:
    return ""
