"""Commands for those who review a set: whether it holds, its gates, its reports, and what sets it apart from another."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator.cli.keeping import careful, tidy
from curator.cli.options import against_option, build_argument, json_option, retry_budget_option
from curator.cli.output import print_json, print_table, tell
from curator.errors import ANSWER_IS_NO, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGEST = re.compile(r"[0-9a-f]{40,}")
LISTED = 10  # documents gained and lost that are printed


@click.command(short_help="Check the files and gates of a finished build.")
@build_argument
@click.option("--require", type=click.Path(path_type=Path), help="More gates: a mix, or a file with its `require`.")
@json_option
def check(folder: Path, require: Path | None, as_json: bool) -> None:
    """Check a finished build: its files against the manifest, its gates against what it holds. Code 1 where something fails."""
    from curator import artifact, coverage, review

    try:
        gates = review.check(folder, require=require)
    except artifact.Damaged as error:
        error.exit_code = ANSWER_IS_NO  # whether it is whole is what was asked
        raise
    failing, files = coverage.failing(gates), len(artifact.manifest(folder)["files"])
    if as_json:
        print_json({"ok": not failing, "files": files, "gates": gates})
    else:
        tell(f"{files} files as the manifest says; {len(gates) - len(failing)} of {len(gates)} gates met")
        for line in failing:
            tell(f"not met: {line}")
    if failing:
        sys.exit(ANSWER_IS_NO)


@click.command(short_help="Work out again what a build says of itself.")
@build_argument
@click.option("--lock", "lock_file", type=click.Path(path_type=Path), help="Check the build against this lock too.")
@json_option
def verify(folder: Path, lock_file: Path | None, as_json: bool) -> None:
    """Go through a build as if it came from a stranger: every file, table and document, and every number that they give again; the
    reference of the build folder has the list. Code 1 where something is wrong."""
    from curator import artifact, lock
    from curator import verify as verifying

    manifest = artifact.manifest(folder)
    checks, faults = verifying.verified(folder, manifest, lock=lock.read(lock_file) if lock_file else None)
    if as_json:
        print_json({"ok": not faults, "checks": checks, "faults": faults})
    else:
        for fault in faults:
            tell(f"wrong: {fault}")
        if not faults:
            tell(f"{folder}: {manifest['samples']:,} samples, {manifest['documents']:,} documents, {len(manifest['files'])} files: all as the manifest says")
    if faults:
        sys.exit(ANSWER_IS_NO)


@click.command(short_help="Write the reports of a build again.")
@build_argument
@against_option
@retry_budget_option
def report(folder: Path, against: tuple[str, ...], retry_budget: float | None) -> None:
    """Write the reports of a build again, from its folder alone."""
    from curator import against as benchmarks
    from curator import review

    care = careful(no_cache=True, retry_budget=retry_budget)
    tables = review.again(folder, against=benchmarks.find(against, budget=care.budget))
    tidy(care)
    for row in tables.get("overlap_benchmarks", ()):
        shared = f"share {row['ngram']} words in a row with {row['documents_overlapping']:,} documents"
        tell(f"{row['benchmark']}: {row['items_overlapping']:,} of {row['items']:,} items {shared}")
    tell(f"{folder}/report.html")


@click.command(short_help="Compare two builds.")
@click.argument("a", metavar="A", type=click.Path(path_type=Path))
@click.argument("b", metavar="B", type=click.Path(path_type=Path))
@click.option("--html", "page", type=click.Path(path_type=Path), help="Write the comparison as a page to this file.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the report of B, and what changed since A, for a pull request.")
@json_option
def diff(a: Path, b: Path, page: Path | None, markdown: Path | None, as_json: bool) -> None:
    """Compare two builds: plan, revisions, shares, languages, documents. Code 1 where they differ."""
    from curator import report, review

    found = review.compared(a, b)
    if page:
        _write(page, report.comparison_page(found))
    if markdown:
        _write(markdown, review.summary(b, before=found))
    if as_json:
        print_json(found)
    else:
        _print_comparison(found)
    if not found["same"]:
        sys.exit(ANSWER_IS_NO)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror or error}; name another file") from None


def _print_comparison(found: Mapping[str, Any]) -> None:
    documents = found["documents"]
    if found["same"]:
        tell(f"the same: {documents['shared']:,} documents in the same places")
        return
    tell(f"a  {found['a']}\nb  {found['b']}")
    _print_table("plan", found["plan"], {"field": "", "a": "a", "b": "b"})
    _print_table("sources", found["sources"], {"source": "", "a_revision": "a", "b_revision": "b", "a_tokens": "tokens a", "b_tokens": "tokens b"})
    for name in ("categories", "programming_languages", "natural_languages"):
        columns = {"name": "", "a_tokens": "tokens a", "b_tokens": "tokens b", "a_share": "share a", "b_share": "share b"}
        _print_table(name.replace("_", " "), found[name], columns)
    _print_table("gates met", found["gates"], {"name": "", "a": "a", "b": "b"})
    tell(f"\ndocuments: {documents['shared']:,} in both, {documents['only_a']:,} only in a, {documents['only_b']:,} only in b")
    for sign, rows in (("-", found["lost"]), ("+", found["gained"])):
        for row in rows[:LISTED]:
            tell(f"{sign} {row['source']} ({row['tokens']:,} tokens): {' '.join(row['head'][:90].split())}")


def _print_table(title: str, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> None:
    if rows:
        numbers = [label for key, label in columns.items() if key.endswith(("tokens", "share"))]
        tell()
        print_table([c for c in columns.values() if c not in numbers], numbers, [[_cell(k, r[k]) for k in columns] for r in rows], title=title)


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key.endswith("share"):
        return f"{100 * value:.2f} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value[:12]}…" if DIGEST.fullmatch(str(value)) else str(value)
