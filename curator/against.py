"""Benchmarks that a set is held against: local files, or datasets of the hub, read by the same adapters as sources are."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import network, plugins
from curator.coverage.overlap import Item
from curator.data import Where
from curator.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from curator.adapters import Adapter
    from curator.data import Resolved

HUB = re.compile(r"(?P<dataset>[\w.-]+/[\w.-]+)(@(?P<subset>[\w.-]+))?(:(?P<split>[\w.-]+))?")


@dataclass(frozen=True)
class Benchmark:
    """A benchmark that was found, under the name that the user gave."""

    name: str
    reader: Adapter
    where: Where
    resolved: Resolved
    budget: network.Budget

    def items(self) -> Iterator[Item]:
        """Every row as one text. Raises SourceError, and UsageError where there is none."""
        with _told(self.name, self.budget):
            rows = self.reader.rows(self.where, self.resolved, seed="0", sampling="head")
            found = [Item(self.name, row.key, text) for row in rows if (text := "\n".join(_texts(row.values)))]
        if not found:
            raise UsageError(f"{_option(self.name)}: not a row with text in it; name a file of rows, or another split")
        yield from found


def find(names: Sequence[str], *, budget: network.Budgets) -> list[Benchmark]:
    """The benchmarks of these names; ``budget`` makes the one of each. A name is a file or folder (jsonl, json, csv, parquet), or
    ``ORG/NAME[@CONFIGURATION][:SPLIT]`` on the hub, split ``test`` where none is given. Raises UsageError, SourceError. Reads no row."""
    found = []
    for name in dict.fromkeys(names):  # one that is given twice has no more rows than it has
        adapter, where = _where(name)
        reader: Adapter = plugins.load("adapters", adapter)
        own = budget(_option(name))
        with _told(name, own):
            found.append(Benchmark(name, reader, where, reader.resolve(where, memo={}), own))
    return found


def _option(name: str) -> str:
    return f"--against {name}"


@contextmanager
def _told(name: str, budget: network.Budget) -> Iterator[None]:
    """Charge a benchmark's budget, and name it in errors."""
    try:
        with network.spending(budget):
            yield
    except SourceError as error:
        raise SourceError(f"{_option(name)}: {error}") from None
    except UsageError as error:
        raise UsageError(f"{_option(name)}: {error}; name a file, or ORG/NAME[@CONFIGURATION][:SPLIT]") from None


def _where(name: str) -> tuple[str, Where]:
    path = Path(name).expanduser()
    if path.exists():
        patterns = ("*.jsonl", "*.json", "*.parquet", "*.csv") if path.is_dir() else ()
        whole = path.resolve()
        return "files", Where(path=whole.name, base=str(whole.parent), data_files=patterns)
    parts = HUB.fullmatch(name)
    if parts is None:
        raise UsageError(f"{_option(name)}: no such file, and no name of a dataset; name a file, or ORG/NAME[@CONFIGURATION][:SPLIT]")
    return "hub", Where(dataset=parts["dataset"], subset=parts["subset"], split=parts["split"] or "test")


def _texts(value: Any) -> Iterator[str]:
    """All strings in a row, at any depth."""
    if isinstance(value, str):
        yield value
    elif hasattr(value, "items"):
        mapping: Mapping[str, Any] = value
        for inner in mapping.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
