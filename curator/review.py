"""The reports of a build: written with it, written again from the folder alone, checked against gates, and compared."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curator import artifact, coverage, mix, report
from curator import plan as planning
from curator.coverage import compare, overlap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import polars as pl
    from numpy.typing import NDArray

    from curator.against import Benchmark

EMBEDDED = 600  # documents whose text is in report.html; all of them are in documents.parquet
LISTED = 60  # of those, documents that each table of findings brings in
CHARACTERS = 3000  # of each
PIECES = 400  # tokens of each that are shown one by one
PLACE = ("sample", "start")


@dataclass(frozen=True)
class Contents:
    """What a build holds, as its tables are measured on it: ``ids`` is int32 (all tokens,), ``vocabulary`` (coverage/tokens.parquet) has a line
    {id, token, occurrences} for each token id that occurs."""

    documents: pl.DataFrame
    samples: pl.DataFrame
    ids: NDArray[Any]
    vocabulary: pl.DataFrame
    facts: Mapping[str, Any]

    def tables(self, *, against: Sequence[Benchmark] = ()) -> coverage.Tables:
        """Every table of coverage.json; with ``against``, the overlap with these benchmarks as well."""
        found = coverage.measure(self.documents, self.samples, self.ids, self.facts)
        found["gates"] = coverage.gates(found, required=self.facts["required"])
        return found | (overlap.find(self.documents, (item for benchmark in against for item in benchmark.items())) if against else {})


def write(folder: Path, contents: Contents, tables: coverage.Tables) -> None:
    """coverage.json, coverage/, report.html, report.md and README.md, in a folder that has the data."""
    artifact.write_tables(folder, tables)
    artifact.write_frame(folder / "coverage" / "tokens.parquet", contents.vocabulary)
    (folder / "report.html").write_text(report.page(tables, contents.facts, to_show(contents, tables)), encoding="utf-8")
    (folder / "report.md").write_text(report.summary(tables, contents.facts), encoding="utf-8")
    (folder / "README.md").write_text(report.card(tables, contents.facts), encoding="utf-8")


def read(folder: Path) -> Contents:
    """A build, read back. Raises NotABuild, and Damaged where a file is not as the manifest says."""
    facts = artifact.manifest(folder)
    tables = artifact.read_tables(folder, facts)
    return Contents(tables.documents, tables.samples, tables.data["input_ids"].explode().to_numpy(), tables.vocabulary, facts)


def again(folder: Path, *, against: Sequence[Benchmark] = ()) -> coverage.Tables:
    """Write the reports of a build again, from the folder alone; the folder is replaced whole, with a manifest of what it then
    holds. Raises NotABuild, Damaged, and what reading the benchmarks raises."""
    contents = read(folder)
    tables = contents.tables(against=against)
    data = [name for name in contents.facts["files"] if name.startswith("data/")]
    with artifact.new_folder(folder, force=True, otherwise="copy the build to where you may write, and name the copy") as fresh:
        (fresh / "data").mkdir()
        for name in (*data, "documents.parquet", "samples.parquet", "quarantine.jsonl"):
            _link(folder / name, fresh / name)
        write(fresh, contents, tables)
        artifact.write_json(fresh / artifact.MANIFEST, {**contents.facts, "files": artifact.file_table(fresh)})
    return tables


def check(folder: Path, *, require: Path | None = None) -> coverage.Table:
    """The gates of a build, measured on what its folder holds: its own, and those of ``require`` (a mix, or a file with its
    ``require``). Raises NotABuild, Damaged, MixError."""
    contents = read(folder)
    asked = planning.language_gates(mix.read_require(require)) if require else {}
    own = contents.facts["required"]
    required = {table: {**own.get(table, {}), **asked.get(table, {})} for table in dict.fromkeys([*own, *asked])}
    return coverage.gates(coverage.measure(contents.documents, contents.samples, contents.ids, contents.facts), required=required)


def compared(a: Path, b: Path) -> dict[str, Any]:
    """What two builds share and do not; see ``coverage.compare``. Raises NotABuild, Damaged."""
    return compare.compare(_side(a), _side(b))


def summary(folder: Path, *, before: Mapping[str, Any]) -> str:
    """The report of a build for a pull request, with what changed since another (a comparison). Raises NotABuild."""
    return report.summary(artifact.read_coverage(folder), artifact.manifest(folder), before)


def _side(folder: Path) -> compare.Side:
    facts = artifact.manifest(folder)
    artifact.verify(folder, facts)
    return compare.Side(str(folder), facts, artifact.read_coverage(folder), artifact.read_frame(folder, "documents"))


def _link(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


def to_show(contents: Contents, tables: coverage.Tables) -> list[dict[str, Any]]:
    """The documents whose text is in the page: those that a table of findings lists, some of every source and language, and the
    rest spread evenly. In the order of the samples."""
    places = [(row["sample"], row["start"]) for row in contents.documents.iter_rows(named=True)]
    chosen = dict.fromkeys(_findings(tables))
    for place in _some_of_each(contents.documents):
        chosen.setdefault(place)
    step = max(1, len(places) // EMBEDDED)
    for place in places[::step]:
        chosen.setdefault(place)
    kept = set(list(chosen)[:EMBEDDED])
    tokens = dict(contents.vocabulary.select("id", "token").iter_rows())
    offsets = contents.samples["tokens"].cum_sum().shift(1, fill_value=0).to_list()
    licenses = {s["source"]: s["license"] or coverage.NOT_STATED for s in contents.facts["sources"]}
    rows = (row for row in contents.documents.iter_rows(named=True) if (row["sample"], row["start"]) in kept)
    return [_shown(row, contents.ids[offsets[row["sample"]] + row["start"] :], tokens, licenses) for row in rows]


def _findings(tables: coverage.Tables) -> list[tuple[int, int]]:
    found = [(r["sample"], r["start"]) for t in ("disagreements", "duplicates", "overlap") for r in tables.get(t, ())[:LISTED]]
    return found + [(r["other_sample"], r["other_start"]) for r in tables["duplicates"][:LISTED]]


def _some_of_each(documents: pl.DataFrame) -> list[tuple[int, int]]:
    """The first two documents of every source in every language, the first of all before the second of any."""
    import polars as pl

    numbered = documents.select(*PLACE, pl.int_range(pl.len()).over("source", "language").alias("time"))
    first = numbered.filter(pl.col("time") < 2).sort("time", maintain_order=True)
    return list(first.select(PLACE).iter_rows())


def _shown(row: Mapping[str, Any], ids: NDArray[Any], tokens: Mapping[int, str], licenses: Mapping[str, str]) -> dict[str, Any]:
    pieces = [tokens[i] for i in ids[: min(row["tokens"], PIECES)].tolist()]
    kept = {name: row[name] for name in (*PLACE, "tokens", "cut", "source", "category", "language", "language_detected", "origin")}
    text = row["text"][:CHARACTERS]
    return {**kept, "license": licenses[row["source"]], "text": text, "excerpt": len(text) < len(row["text"]), "turns": row["turns"], "pieces": pieces}
