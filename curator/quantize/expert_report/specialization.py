"""Which origins feed which experts: shares of an expert's tokens beside the share that the origin has of all tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from curator.quantize import ledger as ledgers

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 6  # origins of an expert, and experts of an origin
FAVOURED = 200  # tokens of an origin that an expert must have had to be named as one of its experts
UNNAMED = "no language"


def shares(tokens: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[origins, experts]: the share of each expert's tokens that each origin gave; [origins]: the same of the layer's."""
    of_layer = tokens.sum(axis=1) / max(int(tokens.sum()), 1)
    return tokens / np.maximum(tokens.sum(axis=0), 1), of_layer


def excess(ledger: ledgers.ExpertTokens, origin: str) -> dict[str, Any]:
    """{names, average, experts: for each layer and expert [name, tokens, name, tokens, ...]}: the origins with the most tokens
    above their share, the furthest above first; names by their place in ``names``."""
    names: list[str | None] = []
    average: list[float] = []
    experts = []
    for layer in ledger.layers:
        names, tokens = ledgers.by_origin(ledger, layer, origin)
        share, of_layer = shares(tokens)
        average = of_layer.round(5).tolist()
        order = np.argsort(of_layer[:, None] - share, axis=0, kind="stable")[:SHOWN]
        experts.append([_pairs(order[:, expert], tokens[:, expert]) for expert in range(tokens.shape[1])])
    return {"names": [name or UNNAMED for name in names], "average": average, "experts": experts}


def _pairs(order: NDArray[Any], tokens: NDArray[np.int64]) -> list[int]:
    return [value for at in order.tolist() if tokens[at] for value in (at, int(tokens[at]))]


def fed_by(ledger: ledgers.ExpertTokens, origin: str) -> list[dict[str, Any]]:
    """For each origin {name, share, experts: [{layer, expert, times}]}: the experts that it feeds most beyond its share,
    ``times`` its share of an expert's tokens over its share of all; by share, the largest first."""
    lines: dict[str, dict[str, Any]] = {}
    for layer in ledger.layers:
        names, tokens = ledgers.by_origin(ledger, layer, origin)
        share, of_layer = shares(tokens)
        times = np.where(tokens >= FAVOURED, share / np.maximum(of_layer, 1e-12)[:, None], 0)
        for at, name in enumerate(names):
            line = lines.setdefault(name or UNNAMED, {"name": name or UNNAMED, "share": float(of_layer[at]), "experts": []})
            best = np.argsort(-times[at], kind="stable")[:SHOWN]
            line["experts"] += [{"layer": layer.number, "expert": int(e), "times": float(times[at, e])} for e in best if times[at, e] > 1]
    for line in lines.values():
        line["experts"] = sorted(line["experts"], key=lambda e: -e["times"])[:SHOWN]
    return sorted(lines.values(), key=lambda line: (-line["share"], line["name"]))
