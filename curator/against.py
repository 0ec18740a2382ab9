"""Benchmarks that a set is held against: local files, or datasets of the hub, read by the same adapters as sources are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import network, plugins
from curator.coverage.overlap import Item
from curator.data import Where
from curator.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HUB = re.compile(r"(?P<dataset>[\w.-]+/[\w.-]+)(@(?P<subset>[\w.-]+))?(:(?P<split>[\w.-]+))?")


def items(benchmarks: Sequence[str], *, budget: network.Budgets) -> Iterator[Item]:
    """Every row of every benchmark as one text; ``budget`` makes the one of a benchmark. A benchmark is a file or folder (jsonl, json,
    csv, parquet), or ``ORG/NAME[@CONFIGURATION][:SPLIT]`` on the hub, split ``test`` where none is given. Raises UsageError, SourceError."""
    for name in benchmarks:
        option = f"--against {name}"
        adapter, where = _where(name)
        with network.spending(budget(option)):
            try:
                found = list(_read(name, adapter, where))
            except SourceError as error:
                raise SourceError(f"{option}: {error}") from None
        if not found:
            raise UsageError(f"{option}: not a row with text in it; name a file of rows, or another split")
        yield from found


def _read(name: str, adapter: str, where: Where) -> Iterator[Item]:
    reader = plugins.load("adapters", adapter)
    for row in reader.rows(where, reader.resolve(where, memo={}), seed="0", sampling="head"):
        if text := "\n".join(_texts(row.values)):
            yield Item(name, row.key, text)


def _where(name: str) -> tuple[str, Where]:
    path = Path(name).expanduser()
    if path.exists():
        patterns = ("*.jsonl", "*.json", "*.parquet", "*.csv") if path.is_dir() else ()
        whole = path.resolve()
        return "files", Where(path=whole.name, base=str(whole.parent), data_files=patterns)
    parts = HUB.fullmatch(name)
    if parts is None:
        raise UsageError(f"--against {name}: no such file, and no name of a dataset; name a file, or ORG/NAME[@CONFIGURATION][:SPLIT]")
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
