"""The embedded corpus as a source: ``code``, ``text`` or ``domains/CATEGORY`` of ``sources/starter``."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

from curator.catalog import data_root
from curator.data import Resolved, Row, Sampling, Where
from curator.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from pathlib import Path


def corpus_root() -> Path:
    """The folder of the embedded corpus."""
    return data_root() / "sources" / "starter"


def manifest() -> list[dict[str, Any]]:
    """Its files: {file, part, language or category, kind, sha256, bytes}."""
    entries: list[dict[str, Any]] = json.loads((corpus_root() / "manifest.json").read_text(encoding="utf-8"))["files"]
    return entries


def resolve(where: Where, *, memo: MutableMapping[str, Any]) -> Resolved:
    """Name the corpus files that ``where`` means."""
    inside = [e for e in manifest() if str(e["file"]).startswith(f"{where.path}/")]
    if not inside:
        raise SourceError(f"the starter corpus has no part {where.path!r}; it has code, text and domains/CATEGORY")
    files = [e for e in inside if where.language in (None, e.get("language"))]
    digest = hashlib.sha256("".join(f"{e['file']} {e['sha256']}\n" for e in files).encode()).hexdigest()
    return Resolved(revision=digest[:40], license="CC0-1.0", files=tuple(e["file"] for e in files))


def digests(where: Where, resolved: Resolved) -> dict[str, str]:
    """SHA-256 of each file, as the corpus's manifest says."""
    known = {str(e["file"]): f"sha256:{e['sha256']}" for e in manifest()}
    return {name: known[name] for name in resolved.files}


def rows(where: Where, resolved: Resolved, *, seed: str, sampling: Sampling) -> Iterator[Row]:
    """One row a file: ``path``, ``text`` and ``language`` for code and text; the JSON object for conversations."""
    names = list(resolved.files)
    if sampling == "spread":
        random.Random(seed).shuffle(names)
    for name in names:
        text = (corpus_root() / name).read_text(encoding="utf-8")
        if name.endswith(".json") and name.startswith("domains/"):
            values = {"messages": None, "conversations": None, "tools": None, **json.loads(text)}
        else:
            values = {"path": name.rsplit("/", 1)[-1], "text": text, "language": name.split("/")[1]}
        yield Row(name, values, len(text.encode()))
