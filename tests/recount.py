"""The tables of coverage.json counted a second time, row by row in plain Python, from the files of a build folder alone."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curator import languages
from curator.detect import LABELS

CODE = {language.id for language in languages.PROGRAMMING}
TALK = {language.id for language in languages.NATURAL}
Rows = list[dict[str, Any]]


class Recount:
    """What a folder holds, read with pyarrow."""

    def __init__(self, folder: Path) -> None:
        self.documents: Rows = pq.read_table(folder / "documents.parquet").to_pylist()
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.license = {s["source"]: s["license"] or "not stated" for s in self.manifest["sources"]}
        data = [pq.read_table(f) for f in sorted((folder / "data").glob("*.parquet"))]
        self.samples: list[list[int]] = [ids for table in data for ids in table["input_ids"].to_pylist()]
        self.ids = Counter(i for sample in self.samples for i in sample)
        self.total = sum(map(len, self.samples))

    def groups(self, named: Iterable[tuple[str, dict[str, Any], int]]) -> Rows:
        """{name, samples, documents, tokens, share} of (name, document, tokens), the largest first."""
        tokens: Counter[str] = Counter()
        documents, samples = defaultdict(set), defaultdict(set)
        for name, document, count in named:
            tokens[name] += count
            samples[name].add(document["sample"])
            documents[name].add((document["sample"], document["start"]))
        rows = [{"name": n, "samples": len(samples[n]), "documents": len(documents[n]), "tokens": t, "share": t / self.total} for n, t in tokens.items()]
        return sorted(sorted(rows, key=lambda r: r["name"]), key=lambda r: -r["tokens"])

    def by(self, key: Callable[[dict[str, Any]], str]) -> Rows:
        return self.groups((key(d), d, d["tokens"]) for d in self.documents)

    def turns(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        for document in self.documents:
            for turn in document["turns"]:
                yield document, turn

    def spoken(self, known: set[str]) -> Rows:
        held = [d for d in self.documents if d["language"] in known and d["language_detected"] in (None, d["language"])]
        seen = Counter[str]()
        for d in held:
            seen[d["language"]] += d["tokens"] if d["language_detected"] else 0
        blind = CODE - set(LABELS)
        return [
            {**row, "detected_tokens": None if row["name"] in blind else seen[row["name"]]}
            for row in self.groups((d["language"], d, d["tokens"]) for d in held)
        ]

    def code_blocks(self) -> Rows:
        return self.groups((t["language"] or "not named", d, t["tokens"]) for d, t in self.turns() if t["kind"] == "code" and d["language"] not in CODE)

    def lengths(self) -> list[int]:
        edges = [0, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 1 << 60]
        whole = [d["tokens"] + d["cut"] for d in self.documents]
        return [sum(low <= n < high for n in whole) for low, high in pairwise(edges)]

    def cut(self) -> dict[str, tuple[int, int, int, int]]:
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for d in self.documents:
            for place, value in enumerate((1, d["tokens"], d["cut"] > 0, d["cut"])):
                found[d["source"]][place] += int(value)
        return {name: (a, b, c, d) for name, (a, b, c, d) in found.items()}

    def detected(self) -> dict[tuple[str, str, str], tuple[int, int]]:
        found: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for d in self.documents:
            kind = "programming" if d["language"] in CODE else "natural"
            entry = found[kind, d["language"] or "not claimed", d["language_detected"] or "not recognised"]
            entry[0] += 1
            entry[1] += d["tokens"]
        return {key: (a, b) for key, (a, b) in found.items()}

    def really_there(self) -> dict[str, int]:
        """Tokens by language, however they came: claimed and not contradicted, recognised without a claim, or in code blocks."""
        tokens = Counter({r["name"]: r["tokens"] for r in [*self.spoken(CODE), *self.spoken(TALK)]})
        for row in self.code_blocks():
            tokens[row["name"]] += row["tokens"] if row["name"] in CODE else 0
        for name in TALK:
            seen = sum(d["tokens"] for d in self.documents if d["language_detected"] == name and d["language"] in (None, name))
            tokens[name] = max(tokens[name], seen)
        return {name: tokens[name] for name in CODE | TALK}

    def tables(self) -> dict[str, Rows]:
        """The tables that are lists of groups."""
        return {
            "by_source": self.by(lambda d: d["source"]),
            "by_language": self.by(lambda d: d["language"] or "not claimed"),
            "by_license": self.by(lambda d: self.license[d["source"]]),
            "by_role": self.groups((t["role"], d, t["tokens"]) for d, t in self.turns()),
            "by_kind": self.groups((t["kind"], d, t["tokens"]) for d, t in self.turns()),
            "programming_languages": self.spoken(CODE),
            "natural_languages": self.spoken(TALK),
            "code_blocks": self.code_blocks(),
        }


def check(folder: Path) -> None:
    """Assert that every number of a build's coverage.json is the one counted here."""
    again, noted = Recount(folder), json.loads((folder / "coverage.json").read_text(encoding="utf-8"))
    for name, rows in again.tables().items():
        assert noted[name] == rows, name
    categories = again.by(lambda d: d["category"])
    assert [{k: r[k] for k in categories[0]} for r in noted["by_category"] if r["documents"]] == categories
    assert [r["documents"] for r in noted["lengths"]] == again.lengths()
    assert {r["source"]: (r["documents"], r["tokens"], r["documents_cut"], r["tokens_cut"]) for r in noted["cut"]} == again.cut()
    assert {(r["kind"], r["claimed"], r["detected"]): (r["documents"], r["tokens"]) for r in noted["languages_detected"]} == again.detected()
    assert {r["name"]: r["tokens"] for r in noted["named_languages"]} == again.really_there()
    other = [(d["sample"], d["start"]) for d in again.documents if d["language"] and d["language_detected"] not in (None, d["language"])]
    assert [(r["sample"], r["start"]) for r in noted["disagreements"]] == other
    whole = sorted(d["tokens"] + d["cut"] for d in again.documents)
    assert [r["tokens"] for r in noted["length_quantiles"]] == [whole[round(q * (len(whole) - 1))] for q in (0, 0.1, 0.5, 0.9, 1)]
    special = {t["id"] for t in again.manifest["special_tokens"]}
    [vocabulary] = noted["vocabulary"]
    assert vocabulary["size"] == again.manifest["tokenizer"]["vocab_size"]
    assert (vocabulary["occurring"], vocabulary["special"]) == (len(again.ids), len(special))
    assert vocabulary["special_occurring"] == len(special & set(again.ids))
    assert {r["id"]: r["occurrences"] for r in noted["special_tokens"]} == {i: again.ids[i] for i in special}
    marked = {s["source"] for s in again.manifest["sources"] if s["evaluation"]}
    assert {r["source"]: r["tokens"] for r in noted["evaluation"]} == {r["name"]: r["tokens"] for r in again.by(lambda d: d["source"]) if r["name"] in marked}
    assert noted["totals"] == [{"samples": len(again.samples), "documents": len(again.documents), "tokens": again.total}]
    for name in ("by_category", "by_source", "by_language", "by_license", "by_role", "by_kind"):
        assert abs(sum(r["share"] for r in noted[name]) - 1) < 1e-9, name
        assert sum(r["tokens"] for r in noted[name]) == again.total, name
    check_documents(again)
    check_duplicates(again, noted["duplicates"])


def check_documents(again: Recount) -> None:
    """The turns of every document cover its text and its tokens, and its tokens are those of the data."""
    reached = [0] * len(again.samples)
    for d in again.documents:
        assert d["start"] == reached[d["sample"]]
        reached[d["sample"]] += d["tokens"]
        assert sum(t["tokens"] for t in d["turns"]) == d["tokens"]
        assert sum(t["chars"] for t in d["turns"]) == len(d["text"])
    assert reached == [len(s) for s in again.samples]


def check_duplicates(again: Recount, noted: Rows) -> None:
    """Every listed pair has the similarity that is told, and no exact pair is missing."""

    def shingles(sample: int, start: int) -> set[tuple[int, ...]]:
        ids = again.samples[sample][start : start + tokens[sample, start]]
        return {tuple(ids[i : i + 5]) for i in range(len(ids) - 4)}

    tokens = {(d["sample"], d["start"]): d["tokens"] for d in again.documents}
    for row in noted:
        one, other = shingles(row["sample"], row["start"]), shingles(row["other_sample"], row["other_start"])
        assert abs(len(one & other) / len(one | other) - row["similarity"]) < 1e-4 or row["kind"] == "exact"
        assert row["similarity"] >= 0.8
    repeats = Counter(d["text_sha256"] for d in again.documents if d["tokens"] >= 32)
    assert sum(n - 1 for n in repeats.values()) == sum(r["kind"] == "exact" for r in noted)
