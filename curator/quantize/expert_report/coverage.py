"""How many samples it took: the share of experts that had enough tokens after each sample, drawn by pygal as inline SVG.

Colours come from the classes that pygal gives and the page's stylesheet, so that they follow light and dark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from curator.quantize import ledger as ledgers
from curator.report import selfcontained

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = (1, 100, 1000, 10_000)
PARTS = (0.5, 0.9, 0.99, 1.0)
POINTS = 120
WIDTH, HEIGHT = 1216, 260


def of(ledger: ledgers.ExpertTokens, minimum: int) -> dict[str, Any]:
    """{svg, parts, lines: [{tokens, reached, samples: [count or None for each part]}]}; no lines for a dense model."""
    wanted = sorted({n for n in STEPS if not minimum / 2 < n < minimum * 2} | {minimum} - {0})
    if not ledger.layers:
        return {"svg": "", "parts": PARTS, "lines": []}
    needed = {n: np.concatenate([ledgers.samples_until(ledger, layer, n) for layer in ledger.layers]) for n in wanted}
    lines = [_line(n, needed[n], len(ledger.samples), minimum) for n in wanted]
    return {"svg": _drawn(needed, len(ledger.samples)), "parts": PARTS, "lines": lines}


def _line(tokens: int, needed: NDArray[np.int64], samples: int, minimum: int) -> dict[str, Any]:
    ranked = np.sort(needed)
    counts = [int(ranked[int(np.ceil(part * len(ranked))) - 1]) for part in PARTS]
    reached = float((needed <= samples).mean())
    return {"tokens": tokens, "required": tokens == minimum, "reached": reached, "samples": [c if c <= samples else None for c in counts]}


def _drawn(needed: dict[int, NDArray[np.int64]], samples: int) -> Markup:
    from pygal import XY

    percent, number = "{:,.10g} %".format, "{:,.10g}".format
    chart = selfcontained.chart(
        XY, "coverage", width=WIDTH, height=HEIGHT, show_dots=False, range=(0, 100), xrange=(0, samples), value_formatter=percent, x_value_formatter=number
    )
    points = sorted({0, samples, *(int(p) for p in np.linspace(0, samples, POINTS)), *range(min(samples, 20) + 1)})
    for tokens, until in needed.items():
        chart.add(f"{tokens:,}", [(p, round(100 * float((until <= p).mean()), 2)) for p in points])
    root = selfcontained.drawn(chart)
    selfcontained.strip(root, lambda element: element.tag == "desc" or "tooltip" in element.get("class", ""))
    return selfcontained.inline(root, "Share of experts with enough tokens, by samples given; the numbers are in the table below")
