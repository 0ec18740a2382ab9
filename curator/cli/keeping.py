"""Commands over what is kept between builds: the cache."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from curator.cli.options import json_option
from curator.cli.output import console, print_json, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curator.build import Care
    from curator.cache import Kept


def careful(*, no_cache: bool, retry_budget: float | None) -> Care:
    """How this build treats the network, as its options say."""
    import os

    from curator import network
    from curator.build import Care
    from curator.cache import Cache, size_limit

    if retry_budget is not None:
        os.environ["CURATE_RETRY_BUDGET"] = str(retry_budget)
    network.allowed()
    size_limit()

    def note(line: str) -> None:
        say(f"note: {line}")

    return Care(None if no_cache else Cache.find(note), note)


def tidy(care: Care) -> None:
    """After a build: say what failures cost, and keep the cache within its size."""
    from curator.cache import size_limit

    if lost := care.lost():
        say(f"note: {lost}")
    if care.cache:
        care.cache.prune(most=size_limit())


@click.group()
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
    if as_json:
        print_json({"folder": str(store.folder), "bytes": sum(k.bytes for k in found), "entries": [_facts(k) for k in found]})
        return
    _print_kept(found)
    click.echo(f"{len(found)} streams, {_size(sum(k.bytes for k in found))} in {store.folder}")


@cache.command()
@click.option("--max-size", help="Keep no more than this, such as 5G; default: CURATE_CACHE_SIZE, or 10G.")
@click.option("--unused", "days", type=click.FloatRange(0), help="Also remove what no build used for so many days.")
def prune(max_size: str | None, days: float | None) -> None:
    """Remove what was not used for the longest time, until the rest fits."""
    from curator.cache import Cache, parsed_size, size_limit

    most = parsed_size(max_size) if max_size else size_limit()
    gone = Cache.find().prune(most=most, unused_for=None if days is None else days * 86400)
    click.echo(f"removed {len(gone)} streams, {_size(sum(k.bytes for k in gone))}")


@cache.command()
def clear() -> None:
    """Remove everything that no running build is at."""
    from curator.cache import Cache

    gone = Cache.find().clear()
    click.echo(f"removed {len(gone)} streams, {_size(sum(k.bytes for k in gone))}")


def _facts(kept: Kept) -> dict[str, Any]:
    used = datetime.fromtimestamp(kept.used, UTC).isoformat(timespec="seconds")
    return {"key": kept.folder.name, **kept.about, "batches": kept.batches, "bytes": kept.bytes, "used": used}


def _print_kept(found: Sequence[Kept]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("source", "dataset", "revision", "tokenizer", "used"):
        table.add_column(name, overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    for row in map(_facts, found):
        words = [str(row.get(k) or "?") for k in ("source", "dataset", "revision", "tokenizer")]
        words[2] = words[2][:12]
        table.add_row(*words, row["used"][:16], _size(row["bytes"]))
    console().print(table)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
