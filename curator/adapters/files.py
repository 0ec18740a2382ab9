"""Local files as a source: parquet, JSON, JSON lines (also .gz, .zst), CSV, text, and trees of source code."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import languages, paths
from curator.adapters import reading
from curator.adapters.reading import File
from curator.data import Resolved, Row, Sampling, Where
from curator.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "target", "build", "dist", "vendor", "third_party", "venv"})


def resolve(where: Where, *, memo: MutableMapping[str, Any]) -> Resolved:
    """Name the files and digest their contents, so that a changed file is a changed plan."""
    try:
        return _resolved(where, _root(where))
    except OSError as error:
        raise SourceError(f"{where.path}: {error.strerror or error}") from None


def _resolved(where: Where, root: Path) -> Resolved:
    names = _names(root, where)
    if not names:
        wanted = ", ".join(where.data_files or where.extensions) or "a known file extension"
        raise SourceError(f"{where.path}: no file there matches {wanted}; name `data_files` or `extensions`")
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        digest.update(bytes.fromhex(paths.sha256(_inside(root, name))))
    for name in names:
        if reading.format_of(name) == "parquet":
            found = reading.parquet_columns(_file(root, name))
            missing = [c for c in where.columns if c not in found]
            if missing:
                raise SourceError(f"{where.path}: {reading.no_column(missing, found)}")
            break
    return Resolved(revision=digest.hexdigest()[:40], files=tuple(names))


def rows(where: Where, resolved: Resolved, *, seed: str, sampling: Sampling) -> Iterator[Row]:
    """The rows of the files that ``resolve`` named."""
    root = _root(where)
    files = [_file(root, name) for name in resolved.files]
    if files and files[0].format == "text" and where.language:
        # In a tree a file's own extension tells its language; no column does.
        files = [f for f in files if f.language == where.language]
        where = replace(where, path_column=None, language_column=None)
    try:
        yield from reading.read(files, where, seed=seed, sampling=sampling)
    except SourceError as error:
        raise SourceError(f"{where.path}: {error}") from None
    except OSError as error:
        raise SourceError(f"{where.path}: {error.strerror or error}") from None


def digests(where: Where, resolved: Resolved) -> dict[str, str]:
    """SHA-256 of each file."""
    root = _root(where)
    return {name: f"sha256:{paths.sha256(_inside(root, name))}" for name in resolved.files}


def _root(where: Where) -> Path:
    if not where.path:
        raise SourceError("a source of local files needs `path`")
    root = Path(where.base, where.path).resolve()
    if not paths.allowed(root, where.base):
        raise SourceError(f"{where.path}: outside the folder of the mix; if you trust the mix, allow it with --allow-path {root}")
    if not root.exists():
        raise SourceError(f"{where.path}: no such file or folder ({root}); paths are relative to the mix")
    return root


def _names(root: Path, where: Where) -> list[str]:
    if root.is_file():
        return [root.name]
    if where.data_files:
        bad = [p for p in where.data_files if ".." in Path(p).parts or Path(p).is_absolute()]
        if bad:
            raise SourceError(f"{where.path}: data_files {', '.join(map(repr, bad))} would leave the folder; name files within it")
        found = [p for pattern in where.data_files for p in sorted(root.glob(pattern)) if p.is_file() and paths.allowed(p.resolve(), where.base)]
        return list(dict.fromkeys(p.relative_to(root).as_posix() for p in found))
    return [n for n in _tree(root) if _is_source(n, where)]


def _tree(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(p.startswith(".") or p in SKIPPED_FOLDERS for p in parts)
        if not hidden and path.is_file() and not path.is_symlink():
            yield path.relative_to(root).as_posix()


def _is_source(name: str, where: Where) -> bool:
    if where.extensions:
        return name.endswith(where.extensions)
    return languages.of_file(name) is not None


def _inside(root: Path, name: str) -> Path:
    return root if root.is_file() else root / name


def _file(root: Path, name: str) -> File:
    path = _inside(root, name)
    found = languages.of_file(name)
    return File(name, lambda: path.open("rb"), found.id if found else None)
