"""What commands print: results go to stdout, everything else to stderr; a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time
import unicodedata
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, cast

import click

from curator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TextIO

# Beside spaces of all widths: joiners, as in Persian, Hindi and emoji, and marks that do no more than a letter would.
HARMLESS = frozenset("\n\t\u00ad\u200b\u200c\u200d\u200e\u200f\u2060")


class _Guarded:
    """A stream that outlives its reader: where nobody reads any more (`| head -1`), what follows is dropped and the command ends with
    its own code. Click and rich would end it with 1, which is an answer of `check`. Other failures are told once, or where
    there is no way to tell them (``needed=False``) dropped too."""

    def __init__(self, stream: TextIO, *, needed: bool) -> None:
        self._stream = stream
        self._needed = needed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if text == "":
            return 0  # click tries this out, and takes no error of it for one
        with self._outlived():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._outlived():
            self._stream.flush()

    @contextmanager
    def _outlived(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._drop()
            if self._needed and not isinstance(error, BrokenPipeError):
                raise UsageError(f"cannot write to standard output: {error.strerror or error}") from None

    def _drop(self) -> None:
        """Nowhere is where the rest goes: what is buffered too, which the interpreter would write when it ends, and fail again."""
        with suppress(OSError):  # a stream without a file has nothing to drop
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def guarded() -> Iterator[None]:
    """Within it, standard output and standard error may be closed or full."""
    out, err = sys.stdout, sys.stderr
    with (
        redirect_stdout(out and cast("TextIO", _Guarded(out, needed=True))),
        redirect_stderr(err and cast("TextIO", _Guarded(err, needed=False))),
    ):
        yield


def say(line: str) -> None:
    """A line on standard error."""
    click.echo(printable(line), err=True)


def tell(text: str = "", *, bold: bool = False) -> None:
    """Text on standard output, where nothing but this, ``show_text``, ``print_json`` and ``print_table`` writes."""
    click.secho(printable(text), bold=bold or None)


def show_text(text: str) -> None:
    """The text of a document on standard output, whole: what looks like a token in it was published, and is to be seen."""
    click.echo(visible(text))


def printable(text: str) -> str:
    """``text`` as ``visible``, and without access tokens."""
    from curator.network import redacted

    return visible(redacted(text))


def visible(text: str) -> str:
    """``text`` with control characters made visible: what comes from outside cannot drive the terminal. What scripts need stays:
    spaces of any width, joiners, and marks of direction that reach no further than themselves."""
    return "".join(c if c.isprintable() or c in HARMLESS or unicodedata.category(c) == "Zs" else f"\\x{ord(c):02x}" for c in text)


def print_json(value: Any) -> None:
    """JSON on standard output. What does not print is escaped as JSON does it: what drives a terminal, and halves of surrogate pairs,
    as in file names that are not UTF-8."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    click.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def print_table(words: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """A table with columns of words, then of numbers. Cells are names from outside: nothing in them is markup or drives the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in words:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


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
        TextColumn("{task.description}", markup=False),
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
            progress.update(task, advance=more, description=f"{printable(source)[:28]:<28}", tokens=done)

        yield advance
