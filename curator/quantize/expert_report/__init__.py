"""``expert_report.html``: one file that shows which experts saw what, without a request to anywhere. Hides what is embedded for
the page's script, how it is escaped, and the templates.

Names of sources, categories and languages come from data sets, and are text in every view.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from curator.quantize import ledger as ledgers
from curator.quantize.expert_report import coverage, specialization
from curator.report import selfcontained

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

LEAST_FED = 50
SHADES = 9  # the middle one is an even share; each step is twice the one before


def page(ledger: ledgers.ExpertTokens, minimum: int) -> str:
    """The report of a ledger; experts below ``minimum`` tokens are marked."""
    facts = ledgers.summary(ledger, minimum)
    poor = ledgers.below(ledger, minimum)
    style, script = (Markup(selfcontained.source("curator.quantize.expert_report", name)) for name in ("page.css", "page.js"))  # noqa: S704 - our own files
    return (
        _environment()
        .get_template("page.html")
        .render(
            facts=facts,
            poor=poor,
            experts=sum(layer.tokens.shape[1] for layer in ledger.layers),
            rows=[_map_row(layer, minimum) for layer in ledger.layers],
            widest=max((layer.tokens.shape[1] for layer in ledger.layers), default=0),
            layers=_layer_lines(facts),
            least=_least_fed(ledger, minimum),
            fed=[(origin, specialization.fed_by(ledger, origin)) for origin in ("source", "category", "language")],
            coverage=coverage.of(ledger, minimum),
            data=selfcontained.data(_embedded(ledger, minimum)),
            style=style,
            script=script,
        )
    )


def _map_row(layer: ledgers.Layer, minimum: int) -> dict[str, Any]:
    totals = layer.totals
    cells = [(f"h{shade}{' low' if tokens < minimum else ''}", int(tokens)) for shade, tokens in zip(_shades(totals), totals, strict=True)]
    return {"layer": layer.number, "cells": cells}


def _shades(totals: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for no token, else 1 to SHADES, by powers of two around the even share."""
    import numpy as np

    even = totals.sum() / len(totals)
    with np.errstate(divide="ignore"):
        steps = np.round(np.log2(np.maximum(totals, 1) / max(even, 1e-9))) + SHADES // 2 + 1
    shades: NDArray[np.int64] = np.where(totals == 0, 0, np.clip(steps, 1, SHADES)).astype(np.int64)
    return shades


def _layer_lines(facts: dict[str, Any]) -> list[dict[str, Any]]:
    seen = {line["layer"]: line for line in facts["calibration"]}
    return [{**line, "calibrated": seen.get(line["layer"])} for line in facts["per_layer"]]


def _least_fed(ledger: ledgers.ExpertTokens, minimum: int) -> list[dict[str, Any]]:
    """The experts with the fewest tokens, and the source and the language that gave each the most."""
    import numpy as np

    every = [(int(total), at, expert) for at, layer in enumerate(ledger.layers) for expert, total in enumerate(layer.totals)]
    lines = []
    for total, at, expert in sorted(every)[:LEAST_FED]:
        layer = ledger.layers[at]
        line: dict[str, Any] = {"layer": layer.number, "expert": expert, "tokens": total, "low": total < minimum}
        for origin in ("source", "language"):
            names, tokens = ledgers.by_origin(ledger, layer, origin)
            best = int(np.argmax(tokens[:, expert]))
            line[origin] = f"{names[best] or 'no language'} ({tokens[best, expert] / total:.0%})" if total else "–"
        line["until"] = int(ledgers.samples_until(ledger, layer, minimum)[expert])
        lines.append(line)
    return lines


def _embedded(ledger: ledgers.ExpertTokens, minimum: int) -> dict[str, Any]:
    """What the script needs to tell of any expert."""
    return {
        "minimum": minimum,
        "samples": len(ledger.samples),
        "layers": [
            {
                "layer": layer.number,
                "tokens": layer.totals.tolist(),
                "calibrated": None if layer.calibrated is None else layer.calibrated.tolist(),
                "until": ledgers.samples_until(ledger, layer, minimum).tolist(),
            }
            for layer in ledger.layers
        ],
        "origins": {origin: specialization.excess(ledger, origin) for origin in ("source", "category", "language")},
    }


@cache
def _environment() -> jinja2.Environment:
    environment = selfcontained.environment("curator.quantize.expert_report")
    environment.filters["number"] = lambda value: f"{value:,.10g}"
    environment.filters["percent"] = lambda value: f"{100 * value:.1f} %"
    return environment


def write(file: Path, ledger: ledgers.ExpertTokens, minimum: int) -> None:
    """The page into a file."""
    file.write_text(page(ledger, minimum), encoding="utf-8")
