"""Names in YAML to callables, by entry point; what curate ships is registered the same way as what others add."""

from __future__ import annotations

import difflib
import hashlib
import inspect
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from curator.errors import UsageError

Group = Literal["adapters", "formatters", "filters"]


class UnknownPlugin(UsageError):
    """A name that no installed package registers."""


@cache
def _registered(group: Group) -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=f"curator.{group}")}


def names(group: Group) -> list[str]:
    """What is installed, sorted."""
    return sorted(_registered(group))


def load(group: Group, name: str) -> Any:
    """The object behind a name. Raises UnknownPlugin, with the nearest name there is."""
    found = _registered(group).get(name)
    if found is None:
        close = difflib.get_close_matches(name, names(group), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names(group))}"
        raise UnknownPlugin(f"unknown {group[:-1]} {name!r}; {hint}")
    return found.load()


@cache
def origin(group: Group, name: str) -> str:
    """The distribution and version that a plugin comes from, for the fingerprint of a plan."""
    found = _registered(group)[name]
    return f"{found.dist.name} {found.dist.version}" if found.dist else found.value


@cache
def code(group: Group, name: str) -> str:
    """A digest of the module that a plugin is written in, or its version where there is no such file."""
    plugin = load(group, name)
    module = plugin if inspect.ismodule(plugin) else inspect.getmodule(plugin)
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file and Path(file).is_file() else origin(group, name)
