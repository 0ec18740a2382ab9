"""Commands over calibration sets: plan and build one, read it, check it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator.cli.keeping import allow, careful, lock_place, renew, tell_notes, tidy
from curator.cli.options import (
    against_option,
    allow_path_option,
    build_argument,
    catalog_option,
    find_catalog,
    frozen_option,
    json_option,
    lock_option,
    retry_budget_option,
    update_option,
)
from curator.cli.output import print_json, print_table, progress_bar, say, show_text, tell
from curator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.command(short_help="Turn a mix into a calibration set.")
@click.argument("mix")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Folder to write; default: builds/NAME_OF_THE_MIX.")
@click.option("--jobs", "-j", type=click.IntRange(1, 64), help="Workers that pull and tokenize; the result does not depend on it.")
@click.option("--tokenizer", help="Another tokenizer than the mix names: a hub id or a folder.")
@click.option("--offline", is_flag=True, help="Use no network: the embedded corpus stands in for every source, in shorter samples.")
@click.option("--allow-short", is_flag=True, help="Accept categories and gates that the sources cannot fill.")
@click.option("--force", is_flag=True, help="Replace the build that is there.")
@against_option
@allow_path_option
@frozen_option
@update_option("Find this source (no name: all) anew and renew the lock.")
@lock_option
@click.option("--no-cache", is_flag=True, help="Keep nothing of what is pulled, and use nothing that was kept.")
@retry_budget_option
@catalog_option
@json_option
def build(
    mix: str,
    out: Path | None,
    jobs: int | None,
    tokenizer: str | None,
    offline: bool,
    allow_short: bool,
    force: bool,
    against: tuple[str, ...],
    allow_path: tuple[Path, ...],
    frozen: bool,
    update: tuple[str, ...],
    lock_file: Path | None,
    no_cache: bool,
    retry_budget: float | None,
    catalog_folder: Path | None,
    as_json: bool,
) -> None:
    """Turn a mix into a calibration set. What it pulls is kept: a build that was interrupted goes on where it was.
    Where the mix has a lock, its commits are taken."""
    from curator import against as benchmarks
    from curator import artifact, lock, memory, paths
    from curator import build as building

    of_locks = {"--frozen": frozen, "--update": bool(update), "--lock": lock_file is not None}
    if offline and any(of_locks.values()):
        option = next(name for name, given in of_locks.items() if given)
        raise UsageError(f"--offline and {option} exclude each other: offline the starter corpus stands in for the sources of a lock; leave one out")
    memory.share_arenas()
    catalog = find_catalog(catalog_folder)
    file = catalog.mix_file(mix)
    target = out or Path("builds") / file.stem
    allow(allow_path)
    place = None if offline else lock_place(file, lock_file, to_read=not update)
    care = careful(no_cache=no_cache, retry_budget=retry_budget).with_lock(place, frozen=frozen, update=update)
    with paths.claimed(target):
        artifact.refuse_target(target, force=force)
        if offline:
            say(f"reading {file.name}, measuring what the starter corpus can fill")
            plan, encoder = building.prepare_offline(file, catalog, tokenizer=tokenizer)
        else:
            say(f"reading {file.name}, finding its sources")
            plan, encoder = building.prepare(file, catalog, tokenizer=tokenizer, care=care)
        tell_notes(care, plan)
        found = benchmarks.find(against, budget=care.budget)
        renewed = lock.made(plan, budgets=care.budget) if update and place is not None else None
        workers = jobs or building.default_jobs()
        with progress_bar(plan.samples) as progress:
            manifest = building.build(plan, encoder, target, jobs=workers, allow_short=allow_short, force=force, against=found, progress=progress, care=care)
    if renewed is not None and place is not None:
        renew(place, care.lock, renewed)
    tidy(care)
    if as_json:
        print_json({k: v for k, v in manifest.items() if k not in ("files", "mix")} | {"out": str(target)})
        return
    _print_build(target, manifest, artifact.read_coverage(target))


@click.command(short_help="Show what a build would take.")
@click.argument("mix")
@click.option("--tokenizer", help="Another tokenizer than the mix names.")
@allow_path_option
@frozen_option
@update_option("Show this source (no name: all) as it is now, whatever the lock says.")
@lock_option
@retry_budget_option
@catalog_option
@json_option
def plan(
    mix: str,
    tokenizer: str | None,
    allow_path: tuple[Path, ...],
    frozen: bool,
    update: tuple[str, ...],
    lock_file: Path | None,
    retry_budget: float | None,
    catalog_folder: Path | None,
    as_json: bool,
) -> None:
    """Show what a build would take: sources, revisions, licences, samples and tokens owed. Where the mix has a lock, its commits.
    Reads no row and writes no lock."""
    from curator import build as building

    catalog = find_catalog(catalog_folder)
    file = catalog.mix_file(mix)
    allow(allow_path)
    place = lock_place(file, lock_file, to_read=not update)
    care = careful(no_cache=True, retry_budget=retry_budget).with_lock(place, frozen=frozen, update=update)
    made, _ = building.prepare(file, catalog, tokenizer=tokenizer, care=care)
    tell_notes(care, made)
    tidy(care)
    size = made.mix.max_seq_length
    rows = [
        {
            "source": building.shown(quota.source),
            "language": quota.language,
            "dataset": quota.source.card.place,
            "revision": made.resolved[quota.streams[0]].revision,
            "license": made.resolved[quota.streams[0]].license or quota.source.card.license,
            "gated": made.resolved[quota.streams[0]].gated,
            "evaluation": quota.source.card.evaluation,
            "category": quota.category,
            "samples": quota.samples,
            "tokens": None if quota.samples is None else quota.samples * size,
            "stands_in_for": quota.source.stands_in_for,
        }
        for quota in made.quotas
    ]
    if as_json:
        facts = {"mix": made.name, "fingerprint": made.fingerprint, "max_seq_length": size, "samples": made.samples}
        print_json(facts | {"tokenizer": dict(made.tokenizer), "quotas": rows})
        return
    _print_plan(rows)
    total = "all that there is" if made.samples is None else f"{made.samples:,} samples, {made.samples * size:,} tokens"
    tell(f"\n{total}; tokenizer {made.tokenizer['id']}; plan {made.fingerprint}")


@click.command(short_help="Report every problem of a mix at once.")
@click.argument("mix")
@catalog_option
def validate(mix: str, catalog_folder: Path | None) -> None:
    """Report every problem of a mix at once, each at its line and column. Touches no network."""
    from curator import build as building

    catalog = find_catalog(catalog_folder)
    file = catalog.mix_file(mix)
    draft, sources = building.check(file, catalog)
    owed = [s.samples for s in sources]
    samples = "all samples" if None in owed else f"{sum(n for n in owed if n):,} samples"
    count = len([s for s in sources if not s.stands_in_for])
    tell(f"{draft.file}: good; {count} source{'s' * (count != 1)}, {samples}")


@click.command(short_help="Read a build: its summary, or one sample as text.")
@build_argument
@click.argument("sample", type=int, required=False)
@click.option("--documents", type=click.IntRange(1), default=None, help="Show no more than this many documents of the sample.")
def show(folder: Path, sample: int | None, documents: int | None) -> None:
    """Read a build as a person: its summary, or one of its samples (counted from 0) as text."""
    from curator import artifact

    manifest = artifact.manifest(folder)
    if sample is None:
        _print_build(folder, manifest, artifact.read_coverage(folder))
        return
    if not 0 <= sample < manifest["samples"]:
        raise UsageError(f"sample {sample}: {folder} has samples 0 to {manifest['samples'] - 1}")
    frame = artifact.read_frame(folder, "documents")
    for row in frame.filter(frame["sample"] == sample).head(documents or frame.height).iter_rows(named=True):
        _print_document(row)


def _print_plan(rows: list[dict[str, Any]]) -> None:
    print_table(("source", "dataset", "revision", "licence"), ("samples", "tokens"), map(_planned, _by_source(rows)))


def _planned(group: list[dict[str, Any]]) -> list[str]:
    """The line of a source, all its languages together."""
    first = group[0]
    owed = [r["samples"] for r in group]
    samples = "all" if None in owed else f"{sum(owed):,}"
    tokens = "all" if None in owed else f"{sum(r['tokens'] for r in group):,}"
    spoken = len({r["language"] for r in group if r["language"]})
    marks = [f"{spoken} languages"] * (spoken > 1) + ["gated"] * first["gated"] + ["evaluation"] * first["evaluation"]
    marks += [f"stands in for {first['stands_in_for']}"] if first["stands_in_for"] else []
    label = first["source"] + (f" ({', '.join(marks)})" if marks else "")
    return [label, first["dataset"], (first["revision"] or "")[:12], first["license"] or "not stated", samples, tokens]


def _by_source(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(f"{row['source']} {row['stands_in_for'] or ''}", []).append(row)
    return list(groups.values())


def _print_build(folder: Path, manifest: Mapping[str, Any], coverage: Mapping[str, Any]) -> None:
    rows = [[r["name"], f"{r['samples']:,}", f"{r['tokens']:,}", f"{100 * r['share']:.2f} %"] for r in coverage["by_category"]]
    print_table(["category"], ("samples", "tokens", "share"), rows)
    met = sum(1 for g in coverage["gates"] if g["ok"])
    tell(
        f"\n{manifest['samples']:,} samples of {manifest['max_seq_length']:,} tokens, {manifest['documents']:,} documents, "
        f"{len(coverage['programming_languages'])} programming and {len(coverage['natural_languages'])} natural languages, "
        f"{met} of {len(coverage['gates'])} gates met"
    )
    for note in manifest["notes"]:
        tell(f"note: {note}")
    tell(f"{folder}/report.html")


def _print_document(row: Mapping[str, Any]) -> None:
    """One document: where it came from, then its text."""
    language = f", {row['language']}" if row["language"] else ""
    cut = f", {row['cut']} tokens cut off" if row["cut"] else ""
    tell(f"── {row['source']}{language}: {row['origin']['dataset']} {row['origin']['row']} ({row['tokens']} tokens{cut})", bold=True)
    show_text(row["text"])
