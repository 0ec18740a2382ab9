"""What commands print: results go to stdout, everything else to stderr; a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def say(line: str) -> None:
    click.echo(printable(line), err=True)


def printable(text: str) -> str:
    """``text`` without access tokens, and with control characters made visible: names from outside cannot drive the terminal."""
    from curator.network import redacted

    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in redacted(text))


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def console() -> Any:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160, highlight=False)


@contextmanager
def progress_bar(samples: int | None) -> Iterator[Callable[[str, int, int], None]]:
    """A bar over samples and tokens on a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        with _bar(samples) as report:
            yield report
        return
    done, shown_at = [0, 0], time.monotonic()

    def line(source: str, more: int, tokens: int) -> None:
        nonlocal shown_at
        done[0] += more
        done[1] += tokens
        if time.monotonic() - shown_at > 2 or done[0] == samples:
            shown_at = time.monotonic()
            say(f"{done[0]:,}{f' of {samples:,}' if samples else ''} samples, {done[1]:,} tokens; {source}")

    yield line


@contextmanager
def _bar(samples: int | None) -> Iterator[Callable[[str, int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("samples, {task.fields[tokens]:,} tokens"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=samples, tokens=0)
        done = 0

        def advance(source: str, more: int, tokens: int) -> None:
            nonlocal done
            done += tokens
            progress.update(task, advance=more, description=f"{source[:28]:<28}", tokens=done)

        yield advance
