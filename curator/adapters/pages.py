"""The page headers of a parquet file, watched while Arrow reads it: what they say is what Arrow allocates, whatever the footer says.

Headers are Thrift structs in the compact protocol (thrift-compact-protocol.md and parquet.thrift of the Apache projects).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from curator.errors import SourceError

MOST_PAGE_BYTES = 256 << 20  # of one page, unpacked; writers make pages of 1 MB
MOST_VALUES = 64 << 20  # of one column in one row group; a run of equal values takes no room in the file
MOST_HEADER_BYTES = 16 << 20  # Arrow's own limit; a header has 20 bytes, and more with statistics
MOST_DEPTH = 20  # of structs and lists within each other; a footer has eight
MOST_REPEATED = (
    2 << 30
)  # bytes (Arrow makes no lists of more) that the items of lists in one row group may come to, were each the longest text of their dictionary
CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
TEXTS = (6, 7)  # types of columns whose values are bytes
DICTIONARY, BY_DICTIONARY = 2, (2, 8)  # a kind of page; encodings that point into it
SLACK = 1 << 20  # by which a footer may be wrong beside twice what it says


@dataclass(frozen=True, slots=True)
class Column:
    """One column in one row group, as the footer tells it: the name of its outermost field, whether it is a text within something, where
    its pages start, how they are packed, and their bytes."""

    name: str
    inner: bool
    start: int
    codec: int
    packed: int
    unpacked: int


@dataclass(frozen=True, slots=True)
class Group:
    """One row group, as the footer tells it."""

    rows: int
    columns: tuple[Column, ...]


@dataclass(slots=True)
class Chunk:
    """The pages of one column in one row group: the offset of the next header, and what those before it have come to."""

    following: int
    end: int
    promised: int  # bytes unpacked, by the footer
    inner: bool
    codec: int
    part: bytes = b""  # of a header, or of a dictionary with its header, that is not all there yet
    unpacked: int = 0
    values: int = 0
    pointing: int = 0  # values that are given as places in the dictionary
    longest: int = 0  # bytes of the longest text in the dictionary, or of all of it while nobody has looked
    dictionary: bytes | None = None  # its page as it is packed, until somebody has


class Watched(io.RawIOBase):
    """A file as Arrow reads it. Raises SourceError before a page larger than its footer says, or than any may be, is handed on."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self.name = name  # `io` wants a name of its own
        self._stream = stream
        self._at = 0
        self._chunks: list[Chunk] = []
        self._opening: list[tuple[int, bytes]] = []  # what was read before the footer was known, and where
        self._expecting = False

    def expect(self, groups: Sequence[Group]) -> None:
        """Learn from a footer where the pages are."""
        self._opening, self._expecting = [], True
        self._chunks = [Chunk(c.start, c.start + c.packed, c.unpacked, c.inner, c.codec) for group in groups for c in group.columns]

    def footer(self) -> bytes:
        """The footer, out of what Arrow has read to open the file: the end of it, and more where that was too short. Raises ValueError."""
        place, tail = max(self._opening, key=lambda read: read[0] + len(read[1]))
        end = place + len(tail) - 8
        start = end - int.from_bytes(tail[-8:-4], "little")
        for at, data in [(place, tail), *self._opening]:
            if at <= start and end <= at + len(data):
                return data[start - at : end - at]
            if at <= start and place <= at + len(data):
                return data[start - at : place - at] + tail[:-8]
        raise ValueError("it is not where the file says")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = self._stream.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if not self._expecting:
            self._opening.append((self._at, data))
        for chunk in self._chunks:
            if chunk.following + len(chunk.part) < self._at + len(data) and self._at < chunk.end:
                self._look(chunk, data)
        self._at += len(data)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()

    def _look(self, chunk: Chunk, data: bytes) -> None:
        """Check the headers of a chunk that lie in the bytes just read."""
        at = chunk.following + len(chunk.part) - self._at
        if at < 0:
            raise self._damaged("its pages do not follow each other")
        window, base = (chunk.part + data[at:], chunk.following) if chunk.part else (data, self._at)
        at = chunk.following - base
        while at < len(window) and base + at < chunk.end:
            try:
                header, after = _struct(window, at)
            except ValueError as error:
                raise self._damaged(str(error)) from None
            except IndexError:
                chunk.part = window[at:]
                if len(chunk.part) > MOST_HEADER_BYTES:
                    raise self._damaged("a page header has no end") from None
                return
            end = after + max(0, _number(header, 3))
            if chunk.inner and _number(header, 1) == DICTIONARY:
                if end > len(window) and end - after <= MOST_HEADER_BYTES and base + end <= chunk.end:
                    chunk.part = window[at:]
                    return
                chunk.longest, chunk.dictionary = max(0, _number(header, 2)), bytes(window[after:end])
            self._check(chunk, header)
            at = end
            chunk.following, chunk.part = base + at, b""

    def _damaged(self, what: str) -> SourceError:
        return SourceError(f"{self.name}: not a parquet file, damaged or cut short: {what}")

    def _check(self, chunk: Chunk, header: dict[int, Any]) -> None:
        size = _number(header, 2)
        values = max(_number(header.get(kind, {}), 1) for kind in (5, 7, 8))  # data, dictionary, data of version 2
        chunk.unpacked += max(0, size)
        chunk.values += max(0, values)
        if size > MOST_PAGE_BYTES:
            raise SourceError(f"{self.name}: a page of {size >> 20} MiB; write it anew with smaller pages")
        if chunk.unpacked > 2 * chunk.promised + SLACK:
            raise SourceError(f"{self.name}: its footer tells of {chunk.promised:,} bytes where there are {chunk.unpacked:,} or more; write it anew")
        for kind, encoding in ((5, 2), (8, 4)):
            if _number(header.get(kind), encoding) in BY_DICTIONARY:
                chunk.pointing += max(0, values)
        if chunk.pointing * chunk.longest > MOST_REPEATED and chunk.dictionary is not None:
            chunk.longest, chunk.dictionary = _longest(chunk.dictionary, chunk.longest, chunk.codec), None
        if chunk.pointing * chunk.longest > MOST_REPEATED:
            told = f"lists that may repeat a text of {chunk.longest:,} bytes {chunk.pointing:,} times in one row group"
            raise SourceError(f"{self.name}: {told}; write it anew without a dictionary, or with smaller row groups")
        if chunk.values > MOST_VALUES:
            raise SourceError(f"{self.name}: a column of more than {MOST_VALUES:,} values in one row group; write it anew with smaller ones")


def _longest(packed: bytes, size: int, codec: int) -> int:
    """Bytes of the longest text in a dictionary page of ``size`` bytes unpacked (each text behind its length in four bytes). Where that
    cannot be seen, ``size``: no text is longer."""
    import pyarrow as pa

    if size > MOST_PAGE_BYTES:
        return size
    try:
        plain = packed if codec == 0 else pa.decompress(packed, decompressed_size=size, codec=CODECS[codec], asbytes=True)
    except (KeyError, ValueError, OSError, pa.ArrowException):
        return size
    at = longest = 0
    while at + 4 <= len(plain):
        length = int.from_bytes(plain[at : at + 4], "little")
        longest, at = max(longest, length), at + 4 + length
    return min(longest, size)


def groups(footer: bytes) -> list[Group]:
    """The row groups of a footer. Raises ValueError, or IndexError where it is cut short.

    Not by pyarrow's ``metadata``: asked for a column whose statistics contradict the schema, or to write it out again where other
    parts do, that ends the process."""
    facts, _ = _struct(footer, 0)
    return [Group(_number(group, 3), tuple(map(_column, _listed(group, 1)))) for group in _listed(facts, 4)]


def _column(described: Any) -> Column:
    facts = described.get(3) if isinstance(described, dict) else None
    path = [part for part in _listed(facts, 3) if isinstance(part, bytes)]
    starts = [start for start in (_number(facts, 9), _number(facts, 11)) if start > 0]  # of the data, and of the dictionary
    name = path[0].decode("utf-8", "replace") if path else ""
    inner = len(path) > 1 and _number(facts, 1) in TEXTS
    return Column(name, inner, min(starts, default=0), _number(facts, 4), max(0, _number(facts, 7)), max(0, _number(facts, 6)))


def _listed(fields: Any, field: int) -> list[Any]:
    value = fields.get(field) if isinstance(fields, dict) else None
    return value if isinstance(value, list) else []


def _number(fields: Any, field: int) -> int:
    value = fields.get(field, 0) if isinstance(fields, dict) else 0
    return value if isinstance(value, int) else 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number in a page header has no end")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _struct(data: bytes, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends. Raises IndexError where the bytes are not all there, ValueError where
    they are no struct."""
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        kind, step = data[at] & 15, data[at] >> 4
        at += 1
        number, at = (number + step, at) if step else _signed(data, at)
        fields[number], at = (kind == 1, at) if kind in (1, 2) else _value(data, at, kind, depth + 1)  # a bool is all in its type
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (4, 5, 6):
        return _signed(data, at)
    if kind in (1, 2, 3, 7):  # as parts of a list, bools take a byte
        return None, at + (8 if kind == 7 else 1)
    if kind == 8:
        size, at = _varint(data, at)
        return data[at : at + size], at + size
    if kind in (9, 10) and depth < MOST_DEPTH:
        return _list(data, at, depth)
    if kind == 12 and depth < MOST_DEPTH:
        return _struct(data, at, depth)
    raise ValueError("a header holds what none may")


def _list(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    kind, size = data[at] & 15, data[at] >> 4
    at += 1
    if size == 15:
        size, at = _varint(data, at)
    values: list[Any] = []
    for _ in range(size):
        data[at]  # a list that goes on behind the end is none
        value, at = _value(data, at, kind, depth + 1)
        values.append(value)
    return values, at
