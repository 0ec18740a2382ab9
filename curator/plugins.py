"""Names in YAML to callables, by entry point; what curate ships is registered the same way as what others add."""

from __future__ import annotations

import difflib
import hashlib
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from curator.errors import UsageError

Group = Literal["adapters", "formatters", "filters"]
OWN = "curator"  # whose own plugins the cache knows by the digest of the whole package


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
    """A digest of the Python files that came with a plugin: of its package, so of its helpers too, and of the rest of its
    distribution. The version alone where there are none, and for what curate ships."""
    plugin, entry = load(group, name), _registered(group)[name]
    if entry.module.split(".")[0] == OWN:
        return origin(group, name)
    modules = {entry.module, str(getattr(plugin, "__module__", entry.module))}
    installed = entry.dist.files or () if entry.dist else ()
    files = {f for m in modules for f in _files(m)} | {Path(str(f.locate())) for f in installed if f.suffix == ".py"}
    digest = hashlib.sha256(origin(group, name).encode())
    for file in sorted(files):
        with suppress(OSError):  # what cannot be read cannot be imported either
            digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files(module: str) -> list[Path]:
    """The Python files of the outermost package that a module is in, or its own alone; a namespace is no package: others are in it too."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        found = sys.modules.get(".".join(parts[:depth]))
        if file := getattr(found, "__file__", None):
            return list(Path(file).parent.rglob("*.py")) if hasattr(found, "__path__") else [Path(file)]
    return []
