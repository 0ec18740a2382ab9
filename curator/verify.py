"""A build checked against itself: every number that its tables give again, the text of its mix, and a lock.

docs/reference/build-folder.md says what is checked, and what nothing in the folder can prove.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curator import artifact, coverage, mix, offline
from curator import plan as planning

if TYPE_CHECKING:
    import polars as pl

    from curator.frames import Tables
    from curator.lock import Lock

Manifest = Mapping[str, Any]
FOREIGN = frozenset({"overlap", "overlap_benchmarks"})  # tables that need the benchmarks


class Verified(NamedTuple):
    """What was checked, by name, and all that is wrong, a line each; nothing where the build holds."""

    checks: list[str]
    faults: list[str]


def verified(folder: Path, manifest: Manifest, *, lock: Lock | None = None) -> Verified:
    """Check a build. Where its files are not those of the manifest or its tables do not fit each other, only that. Raises UsageError
    where a file may not be read."""
    first = ["files", "tables"]
    try:
        tables = artifact.read_tables(folder, manifest)
    except artifact.Damaged as error:
        return Verified(first, error.faults)
    checks: dict[str, Callable[[], Iterator[str]]] = {
        "mix": lambda: _mix(manifest, tables),
        "samples": lambda: _samples(manifest, tables),
        "positions": lambda: _positions(tables),
        "texts": lambda: _texts(tables.documents),
        "turns": lambda: _turns(tables.documents),
        "sources": lambda: _sources(manifest, tables),
        "rows": lambda: _rows(manifest, folder / "quarantine.jsonl"),
        "coverage": lambda: _coverage(folder, manifest, tables),
    }
    if lock is not None:
        checks["lock"] = lambda: _lock(manifest, lock)
    return Verified([*first, *checks], [fault for check in checks.values() for fault in check()])


def _mix(manifest: Manifest, tables: Tables) -> Iterator[str]:
    """The manifest says of the mix what its text says."""
    told = manifest["mix"]
    if hashlib.sha256(told["text"].encode()).hexdigest() != told["sha256"]:
        yield "the text of the mix is not the one that its digest is of"
    draft = mix.parse(told["text"], file=told["name"])
    if draft.mix is None or draft.problems:
        yield f"the text of the mix is none: {draft.problems[0].message}"
        return
    yield from _asked(manifest, draft.mix)
    yield from _planned(manifest, draft.mix)
    yield from _packed(manifest, tables, draft.mix)
    yield from _origins(manifest, tables.documents, draft.mix)


def _asked(manifest: Manifest, asked: mix.Mix) -> Iterator[str]:
    size = manifest["max_seq_length"]
    if manifest["offline"]:
        if size > asked.max_seq_length:
            yield f"max_seq_length: the manifest says {size}, the mix no more than {asked.max_seq_length}"
        asked = offline.scaled(asked, size)
    elif size != asked.max_seq_length:
        yield f"max_seq_length: the manifest says {size}, the mix {asked.max_seq_length}"
    required = {table: gates for table, gates in manifest["required"].items() if table != "by_category"}
    if required != planning.language_gates(asked.require):
        yield "required: the manifest has other gates for languages than the mix"


def _planned(manifest: Manifest, asked: mix.Mix) -> Iterator[str]:
    """Samples owed: of all sources together, and of each where an entry names its source and no other entry may be the same one."""
    planned = {s["source"]: s["planned_samples"] for s in manifest["sources"]}
    owed = [e.num_samples for e in asked.datasets]
    if "all" in owed:
        return
    samples = sum(n or 0 for n in planned.values())
    yield from _count("planned_samples, all together", samples, sum(n for n in owed if n != "all"), "the mix asks for")
    yield from _count("required, all categories together", sum(manifest["required"].get("by_category", {}).values()), samples, "the sources owe")
    names = [e.name or e.source for e in asked.datasets]
    if manifest["offline"] or None in names or len(set(names)) < len(names):
        return
    for name, samples in zip(names, owed, strict=True):
        if planned.get(str(name)) != samples:
            yield f"{name}: planned_samples: the manifest says {planned.get(str(name))}, the mix asks for {samples}"


def _packed(manifest: Manifest, tables: Tables, asked: mix.Mix) -> Iterator[str]:
    size = manifest["max_seq_length"]
    if asked.packing == "fill" and (count := tables.samples.filter(tables.samples["tokens"] < size).height):
        yield f"{count} samples have fewer than {size} tokens, and the mix fills them"
    if asked.packing == "truncate" and (count := tables.samples.filter(tables.samples["documents"] != 1).height):
        yield f"{count} samples have several documents, and the mix gives each its own"


def _origins(manifest: Manifest, documents: pl.DataFrame, asked: mix.Mix) -> Iterator[str]:
    """Documents come from the dataset of their source, offline from the embedded corpus. Where several entries are called alike, the
    manifest tells the dataset of one."""
    known = {(s["source"], s["dataset"]) for s in manifest["sources"]}
    alike = sum(s["planned_samples"] != 0 for s in manifest["sources"]) < len(asked.datasets)
    for (name, dataset), count in Counter(zip(documents["source"], documents["origin"].struct.field("dataset"), strict=True)).items():
        if not (dataset.startswith("starter:") if manifest["offline"] else alike or (name, dataset) in known):
            yield f"{count} documents of {name} come from {dataset}, which is not where the manifest says"


def _samples(manifest: Manifest, tables: Tables) -> Iterator[str]:
    tokens = _sum(tables.samples["tokens"])
    yield from _count("samples", manifest["samples"], tables.data.height)
    yield from _count("tokens", manifest["tokens"], tokens)
    yield from _count("padding_tokens", manifest["padding_tokens"], tokens - _sum(tables.documents["tokens"]))
    longest = max(tables.samples["tokens"])
    if longest > manifest["max_seq_length"]:
        yield f"a sample has {longest} tokens, more than max_seq_length {manifest['max_seq_length']}"
    ids = tables.vocabulary["id"].to_list()
    if min(ids) < 0 or max(ids) >= manifest["tokenizer"]["vocab_size"]:
        yield "a token id is outside the vocabulary"
    yield from _short(manifest, tables.samples)


def _short(manifest: Manifest, samples: pl.DataFrame) -> Iterator[str]:
    """What each category lacks, where all of its samples are owed: beside a source that gives all it has, nobody can tell."""
    if any(s["planned_samples"] is None for s in manifest["sources"]):
        return
    required, there = manifest["required"].get("by_category", {}), Counter(samples["category"])
    for category in dict.fromkeys([*required, *manifest["short"]]):
        missing = max(0, required.get(category, 0) - there[category])
        yield from _count(f"{category}: short", manifest["short"].get(category, 0), missing)


def _positions(tables: Tables) -> Iterator[str]:
    """Positions count up from 0 within each document; documents fill the samples without a gap."""
    import numpy as np

    tokens = tables.documents["tokens"].to_numpy()
    starts = np.cumsum(tokens, dtype=np.int64) - tokens
    if not np.array_equal(tables.data["position_ids"].explode().to_numpy(), np.arange(_sum(tables.documents["tokens"])) - np.repeat(starts, tokens)):
        yield "position_ids do not restart where documents.parquet says that documents start"


def _texts(documents: pl.DataFrame) -> Iterator[str]:
    wrong = sum(hashlib.sha256(t.encode()).hexdigest() != digest for t, digest in documents.select("text", "text_sha256").iter_rows())
    if wrong:
        yield f"{wrong} documents have another text than text_sha256 is of"


def _turns(documents: pl.DataFrame) -> Iterator[str]:
    """The turns of a document are all of it; one in which nobody is found to speak has none."""
    import polars as pl

    def summed(field: str) -> pl.Expr:
        return pl.col("turns").list.eval(pl.element().struct.field(field).cast(pl.Int64)).list.sum()

    spoken = documents.filter(pl.col("turns").list.len() > 0)
    wrong = spoken.filter((summed("tokens") != pl.col("tokens")) | (summed("chars") != pl.col("text").str.len_chars())).height
    if wrong:
        yield f"the turns of {wrong} documents do not come to their tokens and their text"


def _sources(manifest: Manifest, tables: Tables) -> Iterator[str]:
    samples, documents = tables.samples, tables.documents
    yield from _count("documents", manifest["documents"], documents.height)
    yield from _count("documents_cut", manifest["documents_cut"], _sum(documents["cut"] > 0))
    yield from _count("tokens_cut", manifest["tokens_cut"], _sum(documents["cut"]))
    for source in manifest["sources"]:
        own = samples.filter(samples["source"] == source["source"])
        for key, got in (("samples", own.height), ("documents", _sum(own["documents"])), ("tokens", _sum(own["tokens"]))):
            yield from _count(f"{source['source']}: {key}", source[key], got)
    twice = [name for name, count in Counter(s["source"] for s in manifest["sources"]).items() if count > 1]
    yield from (f"{name}: the manifest has it twice" for name in twice)


def _rows(manifest: Manifest, quarantine: Path) -> Iterator[str]:
    """Rows dropped are those of the quarantine; rows read are those and the documents made, of which some found no place."""
    names = sorted((s["source"] for s in manifest["sources"]), key=len, reverse=True)
    dropped: dict[str, Counter[str]] = {name: Counter() for name in names}
    with quarantine.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            row = _quarantined(line, names)
            if row is None:
                yield f"quarantine.jsonl: line {number} is no dropped row of a source of the manifest"
                return
            dropped[row[0]][row[1]] += 1
    for source in manifest["sources"]:
        name, told = source["source"], source["dropped"]
        for reason in dict.fromkeys([*told, *sorted(dropped[name])]):
            yield from _count(f"{name}: dropped: {reason}", told.get(reason, 0), dropped[name][reason], "quarantine.jsonl has")
        read = source["documents_made"] + sum(told.values())
        yield from _count(f"{name}: rows_read", source["rows_read"], read, "documents_made and dropped come to")
        if source["documents_made"] < source["documents"]:
            yield f"{name}: the manifest says that {source['documents_made']} documents were made, and {source['documents']} placed"


def _quarantined(line: bytes, names: list[str]) -> tuple[str, str] | None:
    """(source, reason) of a line, whose source is told with its number in the mix, its fallback and its language behind it."""
    try:
        row = json.loads(line)
        key, reason = str(row["source"]), str(row["reason"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    name = next((n for n in names if key == n or (key.startswith(n) and key[len(n)] in "#+/")), None)
    return None if name is None else (name, reason)


def _coverage(folder: Path, manifest: Manifest, tables: Tables) -> Iterator[str]:
    """coverage.json is what is measured on the tables, and coverage/ holds the same again."""
    try:
        noted = artifact.read_coverage(folder)
    except (artifact.Damaged, artifact.NotABuild) as error:
        yield from getattr(error, "faults", [str(error)])
        return
    ids = tables.data["input_ids"].explode().to_numpy()
    measured = coverage.measure(tables.documents, tables.samples, ids, manifest)
    measured["gates"] = coverage.gates(measured, required=manifest["required"])
    for name in dict.fromkeys([*measured, *noted]):
        if name not in FOREIGN and measured.get(name) != noted.get(name):
            yield f"coverage.json: {name} is not what the tables of the build come to"
    yield from _copies(folder, noted)


def _copies(folder: Path, noted: coverage.Tables) -> Iterator[str]:
    expected = {f"{name}.parquet" for name, rows in noted.items() if rows} | {"tokens.parquet"}
    if expected != (there := {p.name for p in folder.glob("coverage/*")}):
        yield f"coverage/: {', '.join(sorted(expected ^ there)[: artifact.MOST_FAULTS])}: not as coverage.json has tables"
        return
    for name in sorted(n for n, rows in noted.items() if rows):
        try:
            same = artifact.read_copy(folder, name).to_dicts() == noted[name]
        except artifact.Damaged as error:
            yield from error.faults
            continue
        if not same:
            yield f"coverage/{name}.parquet is not the table {name} of coverage.json"


def _lock(manifest: Manifest, lock: Lock) -> Iterator[str]:
    if manifest["mix"]["sha256"] != lock.mix["sha256"]:
        yield "the lock is of another mix"
    if manifest["fingerprint"] != lock.fingerprint:
        yield f"the plan was {manifest['fingerprint'][:12]}, the lock is of {lock.fingerprint[:12]}"
    known = {(s.dataset, s.revision) for s in lock.sources.values()}
    for source in manifest["sources"]:
        if (source["dataset"], source["revision"]) not in known:
            yield f"{source['source']}: {source['dataset']} at {str(source['revision'])[:12]} is not what the lock says"


def _count(what: str, said: int, got: int, whence: str = "there are") -> Iterator[str]:
    if said != got:
        yield f"{what}: the manifest says {said:,}, {whence} {got:,}"


def _sum(column: pl.Series) -> int:
    """In 64 bits, which polars does not do of itself."""
    import polars as pl

    return int(column.cast(pl.Int64).sum())
