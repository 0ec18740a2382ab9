"""Documents that repeat another within a set: exact ones by digest, near ones by MinHash (Broder 1997) over shingles of tokens.

Candidates come from locality-sensitive hashing; each is then compared exactly, so what is listed has the similarity that is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curator.coverage import runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl
    from numpy.typing import NDArray

SHINGLE = 5  # tokens, in the same way for code and for scripts that put no spaces between words
SIMILAR = 0.8  # Jaccard similarity of the sets of shingles, the usual threshold for text (Lee et al. 2022, arXiv:2107.06499)
PERMUTATIONS, BANDS = 128, 32  # 32 bands of 4 rows: a pair at 0.8 escapes with probability 5e-8
LEAST = 32  # tokens; shorter texts are alike by chance


def find(documents: pl.DataFrame, samples: pl.DataFrame, ids: NDArray[Any]) -> list[dict[str, Any]]:
    """Pairs {kind, similarity, sample, start, other_sample, other_start, source, other_source, tokens}: each repeated document
    with the first one that it repeats. ``ids`` are the tokens of all samples, one after the other."""
    offsets = samples["tokens"].cum_sum().shift(1, fill_value=0).to_list()
    places = documents.select("sample", "start", "source", "tokens", "text_sha256").to_dicts()
    long = [n for n, p in enumerate(places) if p["tokens"] >= LEAST]
    exact = list(_exact(long, places))
    repeated = {other for _, other in exact}
    rest = [n for n in long if n not in repeated]
    shingles = [runs.hashed(ids[offsets[p["sample"]] + p["start"] :][: p["tokens"]], SHINGLE) for p in (places[n] for n in rest)]
    near = [(rest[a], rest[b], similarity) for a, b, similarity in _near(shingles)]
    pairs = [("exact", a, b, 1.0) for a, b in exact] + [("near", a, b, s) for a, b, s in near]
    return [_pair(kind, similarity, places[a], places[b]) for kind, a, b, similarity in sorted(pairs, key=lambda p: (p[0], -p[3], p[1], p[2]))]


def _pair(kind: str, similarity: float, first: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": kind,
        "similarity": similarity,
        "sample": again["sample"],
        "start": again["start"],
        "other_sample": first["sample"],
        "other_start": first["start"],
        "source": again["source"],
        "other_source": first["source"],
        "tokens": again["tokens"],
    }


def _exact(numbers: Sequence[int], places: Sequence[dict[str, Any]]) -> Iterator[tuple[int, int]]:
    first: dict[str, int] = {}
    for number in numbers:
        known = first.setdefault(places[number]["text_sha256"], number)
        if known != number:
            yield known, number


def _near(shingles: Sequence[NDArray[Any]]) -> Iterator[tuple[int, int, float]]:
    """(first, again, similarity): each document that is like an earlier one, with the one that it is most like."""
    import rensa

    index = rensa.RMinHashLSH(SIMILAR, PERMUTATIONS, BANDS)
    for number, own in enumerate(shingles):
        sketch = rensa.RMinHash(PERMUTATIONS, 1)
        sketch.update(own.view("V8").tolist())
        alike = [(_jaccard(own, shingles[other]), -other) for other in index.query(sketch)]
        index.insert(number, sketch)
        best = max(alike, default=(0.0, 0))
        if best[0] >= SIMILAR:
            yield -best[1], number, round(best[0], 4)


def _jaccard(one: NDArray[Any], other: NDArray[Any]) -> float:
    import numpy as np

    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
