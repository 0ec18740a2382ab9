"""YAML from strangers to plain data: no tags, no bombs. Bounds on size, depth, and on the values once aliases are followed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from curator.errors import UsageError

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 4 << 20
MAX_NODES = 200_000
MAX_DEPTH = 50
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
TOO_MANY = "more than {} values once aliases are followed; is this an alias bomb?"


class TooLarge(ValueError):
    """YAML beyond the bounds."""


def read(file: Path, *, most: int = MAX_BYTES) -> Any:
    """The data in a file of at most ``most`` bytes. Raises UsageError with the file's name."""
    return load(text_of(file, name=str(file), most=most), name=str(file), nodes=MAX_NODES * max(1, most // MAX_BYTES))


def text_of(file: Path, *, name: str, most: int = MAX_BYTES, otherwise: str = "mend its path, or the right to read it") -> str:
    """The text of a file of at most ``most`` bytes. Raises UsageError, which begins with ``name``; where it cannot be had it ends with
    ``otherwise``, what to do."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            text = stream.read(most + 1)  # whatever size it says that it has
            if max(len(text), os.fstat(stream.fileno()).st_size) > most:
                raise UsageError(f"{name}: more than {most >> 20} MiB; too large to be read as YAML")
            return text
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror or error}; {otherwise}") from None


def load(text: str, *, name: str, nodes: int = MAX_NODES) -> Any:
    """The data in a text. Raises UsageError, which begins with ``name``."""
    try:
        refuse_large(text, nodes=nodes)
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
            if node is not None and _size(node, {}) > nodes:
                raise TooLarge(TOO_MANY.format(nodes))
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except TooLarge as error:
        raise UsageError(f"{name}: {error}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{name}: not plain YAML: {error}") from None
    except (ValueError, OverflowError, TypeError, RecursionError) as error:
        raise UsageError(f"{name}: a value that cannot be read: {error}") from None


def refuse_large(text: str, *, nodes: int) -> None:
    """Raise TooLarge where a text has more values or levels than it may, before any value is kept: a few bytes become hundreds. What
    aliases stand for is not counted here."""
    count = depth = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            count += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise TooLarge(TOO_DEEP)
            if count > nodes:
                raise TooLarge(TOO_MANY.format(nodes))
    except yaml.YAMLError as error:
        # The parser reads ahead for the end of a key, and newer ones have a bound of their own on the way.
        if "nesting depth" in str(error):
            raise TooLarge(TOO_DEEP) from None
        raise


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, each alias counted in full; a node within itself is without end."""
    if id(node) not in known:
        known[id(node)] = 1 << 62
        children = [n for pair in node.value for n in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + (sum(_size(c, known) for c in children) if isinstance(node, yaml.CollectionNode) else 0)
    return known[id(node)]
