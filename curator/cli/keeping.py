"""Commands over what is kept between builds: locks and the cache."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from curator.cli.options import a_number, allow_path_option, catalog_option, find_catalog, json_option, retry_budget_option
from curator.cli.output import print_json, print_table, say, tell
from curator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curator.cache import Answer, Kept
    from curator.care import Care
    from curator.lock import Lock
    from curator.plan import Plan


def careful(*, no_cache: bool, retry_budget: float | None) -> Care:
    """How this build treats the network, as its options say."""
    from curator import network
    from curator.cache import Cache, size_limit
    from curator.care import Care

    allowed = network.allowed()
    size_limit()

    def note(line: str) -> None:
        say(f"note: {line}")

    return Care(None if no_cache else Cache.find(note), note, retry_budget=allowed if retry_budget is None else retry_budget)


def allow(folders: Sequence[Path]) -> None:
    """Let mixes read in these folders too."""
    import os

    named = [os.environ.get("CURATE_ALLOW_PATHS", ""), *map(str, folders)]
    os.environ["CURATE_ALLOW_PATHS"] = os.pathsep.join(n for n in named if n)


def tidy(care: Care) -> None:
    """Once all is asked for: say what failures cost, and keep the cache within its size."""
    from curator.cache import size_limit

    if lost := care.lost():
        say(f"note: {lost}")
    if care.cache:
        care.cache.prune(most=size_limit())


def lock_place(mix: Path, named: Path | None, *, to_read: bool) -> Path:
    """Where the lock of a mix is, or would be. Raises UsageError where one is named to be read, and is not there, or where none can be
    written: a build would be told only once it is there."""
    from curator import lock

    if not to_read and named is not None and not named.parent.is_dir():
        raise UsageError(f"{named}: cannot be written: no such folder; make it, or name another place with --lock")
    if to_read and named is not None and not named.exists():
        raise UsageError(f"{named}: no such lock; write it with `curate lock`, or leave --lock out")
    return named or lock.place(mix)


def tell_notes(care: Care, plan: Plan) -> None:
    """What a reader must know of a plan."""
    for note in (*plan.notes, *care.beside_lock(plan)):
        say(f"note: {note}")


def renew(place: Path, old: Lock | None, new: Lock) -> None:
    """Write a lock and say what is new in it."""
    from curator import lock

    lock.write(place, new)
    lines = lock.changes(old, new) if old else [f"{len(new.sources)} streams, {sum(len(s.files) for s in new.sources.values())} files"]
    say(f"{place}: " + ("nothing has changed" if not lines else "renewed" if old else "written"))
    for line in lines:
        say(f"  {line}")


@click.command("lock", short_help="Write down what a mix means today.")
@click.argument("mix")
@click.option("--update", multiple=True, metavar="SOURCE", help="Renew only this source (may be given again); default: all.")
@click.option("--tokenizer", help="Another tokenizer than the mix names.")
@click.option("--lock", "lock_file", type=click.Path(path_type=Path), help="The file to write; default: MIX with the ending .lock.")
@allow_path_option
@retry_budget_option
@catalog_option
def lock_command(
    mix: str,
    update: tuple[str, ...],
    tokenizer: str | None,
    lock_file: Path | None,
    allow_path: tuple[Path, ...],
    retry_budget: float | None,
    catalog_folder: Path | None,
) -> None:
    """Write down what a mix means today: commit, licence, files with their hashes, tokenizer. Builds then take just that."""
    from curator import build as building
    from curator import lock

    catalog = find_catalog(catalog_folder)
    file = catalog.mix_file(mix)
    place = lock_place(file, lock_file, to_read=False)
    allow(allow_path)
    care = careful(no_cache=False, retry_budget=retry_budget).with_lock(place if update else None, frozen=False, update=update)
    say(f"reading {file.name}, finding its sources")
    plan, _ = building.prepare(file, catalog, tokenizer=tokenizer, care=care)
    renew(place, _readable(place), lock.made(plan, budgets=care.budget))
    tidy(care)


def _readable(place: Path) -> Lock | None:
    from curator import lock

    try:
        return lock.read(place) if place.exists() else None
    except UsageError as error:
        say(f"note: {error}")
        return None


@click.group(short_help="List, prune or clear what was pulled.")
def cache() -> None:
    """What was pulled and tokenized, kept for the next build: list it, prune it, clear it.

    It is in the platform's cache folder, or where CURATE_CACHE says; CURATE_CACHE_SIZE (such as 20G) bounds it, 10G otherwise.
    """


@cache.command("list")
@json_option
def list_kept(as_json: bool) -> None:
    """List what is kept, the longest unused first."""
    from curator.cache import Cache

    store = Cache.find()
    found = store.entries()
    size = sum(k.bytes for k in found) + sum(a.bytes for a in store.answers())
    if as_json:
        print_json({"folder": str(store.folder), "bytes": size, "entries": [_facts(k) for k in found]})
        return
    _print_kept(found)
    tell(f"{len(found)} streams, {_size(size)} in {store.folder}")


@cache.command(short_help="Remove what was unused for longest.")
@click.option("--max-size", help="Keep no more than this, such as 5G; default: CURATE_CACHE_SIZE, or 10G.")
@click.option("--unused", "days", type=click.FloatRange(0), callback=a_number, help="Also remove what no build used for so many days.")
def prune(max_size: str | None, days: float | None) -> None:
    """Remove what was not used for the longest time, until the rest fits."""
    from curator.cache import Cache, parsed_size, size_limit

    most = parsed_size(max_size) if max_size else size_limit()
    _tell_removed(Cache.find().prune(most=most, unused_for=None if days is None else days * 86400))


@cache.command()
def clear() -> None:
    """Remove everything that no running build uses."""
    from curator.cache import Cache

    _tell_removed(Cache.find().clear())


def _tell_removed(gone: Sequence[Kept | Answer]) -> None:
    from curator.cache import Kept

    tell(f"removed {sum(isinstance(k, Kept) for k in gone)} streams, {_size(sum(k.bytes for k in gone))}")


def _facts(kept: Kept) -> dict[str, Any]:
    used = datetime.fromtimestamp(kept.used, UTC).isoformat(timespec="seconds")
    return {"key": kept.folder.name, **kept.about, "batches": kept.batches, "bytes": kept.bytes, "used": used}


def _print_kept(found: Sequence[Kept]) -> None:
    longest = {"source": None, "dataset": None, "revision": 12, "tokenizer": None, "used": 16}
    rows = [[*((row[name] or "?")[:most] for name, most in longest.items()), _size(row["bytes"])] for row in map(_facts, found)]
    print_table(list(longest), ["size"], rows)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
