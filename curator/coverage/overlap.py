"""Overlap of a set with benchmarks: runs of words that a document shares with an item (13 of them, as Brown et al. 2020,
arXiv:2005.14165, appendix C). It is counted and shown; what follows from it is the reader's to say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from curator.coverage import runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl

NGRAM = 13  # words
SHORTEST = 8  # words; an item below that has nothing of its own to find
MOST_ROWS = 2000  # of the table of pairs, those that share most
# A letter of a script that puts no spaces between words counts as a word.
WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|\w+")


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a benchmark: its name, the row's key, and all its text."""

    benchmark: str
    key: str
    text: str


@dataclass
class _Index:
    """The runs of words of all items, by their length in words."""

    words: dict[str, int] = field(default_factory=dict)
    items: list[tuple[Item, int]] = field(default_factory=list)  # with how many runs each has
    owners: dict[int, dict[int, list[int]]] = field(default_factory=dict)  # length -> hash of a run -> items

    def add(self, item: Item) -> None:
        found = [self.words.setdefault(w, len(self.words) + 1) for w in _words(item.text)]
        length = min(NGRAM, len(found))
        hashes = runs.hashed(found, length).tolist() if length >= SHORTEST else ()
        for value in hashes:
            self.owners.setdefault(length, {}).setdefault(value, []).append(len(self.items))
        self.items.append((item, len(hashes)))

    def matches(self, text: str) -> Mapping[int, int]:
        """{item: runs shared} of a document."""
        found = [self.words.get(w, 0) for w in _words(text)]
        shared: dict[int, int] = {}
        for length, owners in self.owners.items():
            for value in runs.hashed(found, length).tolist():
                for item in owners.get(value, ()):
                    shared[item] = shared.get(item, 0) + 1
        return shared


def find(documents: pl.DataFrame, items: Iterable[Item]) -> dict[str, list[dict[str, Any]]]:
    """``overlap``: [{benchmark, item, ngrams, matched, share, sample, start, source}], ``share`` of the item's runs that the
    document holds; ``overlap_benchmarks``: [{benchmark, items, items_overlapping, documents_overlapping, ngram}]."""
    index = _Index()
    for item in items:
        index.add(item)
    pairs = list(_pairs(documents, index))
    return {
        "overlap": sorted(pairs, key=lambda p: (-p["share"], p["benchmark"], p["item"], p["sample"], p["start"]))[:MOST_ROWS],
        "overlap_benchmarks": [_summary(name, index, pairs) for name in dict.fromkeys(i.benchmark for i, _ in index.items)],
    }


def _pairs(documents: pl.DataFrame, index: _Index) -> Iterator[dict[str, Any]]:
    for row in documents.select("sample", "start", "source", "text").iter_rows(named=True):
        for number, matched in index.matches(row["text"]).items():
            item, ngrams = index.items[number]
            yield {
                "benchmark": item.benchmark,
                "item": item.key,
                "ngrams": ngrams,
                "matched": matched,
                "share": matched / ngrams,
                "sample": row["sample"],
                "start": row["start"],
                "source": row["source"],
            }


def _summary(name: str, index: _Index, pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    own = [p for p in pairs if p["benchmark"] == name]
    return {
        "benchmark": name,
        "items": sum(1 for item, _ in index.items if item.benchmark == name),
        "items_overlapping": len({p["item"] for p in own}),
        "documents_overlapping": len({(p["sample"], p["start"]) for p in own}),
        "ngram": NGRAM,
    }


def _words(text: str) -> list[str]:
    return WORD.findall(text.lower())
