"""A folder of safetensors files as named byte ranges: what each tensor is, its bytes, and new files made of such parts.

The format (https://github.com/huggingface/safetensors#format): eight bytes of header length, a JSON header, then the data.
No torch in here: bytes that are copied are never interpreted.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from curator.errors import QuantizeError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LARGEST_HEADER = 100_000_000  # bytes; the format's own limit
CHUNK = 1 << 24  # bytes copied at a time
BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
BITS |= {"I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64}


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a file; ``start`` and ``end`` are offsets into the file, in bytes."""

    name: str
    dtype: str  # as the format spells it: BF16, I32
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a piece at a time."""
        with self.file.open("rb") as stream:
            stream.seek(self.start)
            left = self.size
            while left:
                piece = stream.read(min(CHUNK, left))
                if not piece:
                    raise QuantizeError(f"{self.file}: ends within {self.name}; fetch the file again")
                left -= len(piece)
                yield piece

    def read(self) -> bytes:
        """The bytes."""
        return b"".join(self.chunks())


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of a file to be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int  # bytes
    chunks: Callable[[], Iterable[bytes]]

    @classmethod
    def copy(cls, stored: Stored) -> Part:
        """The tensor as it stands in another file."""
        return cls(stored.name, stored.dtype, stored.shape, stored.size, stored.chunks)

    @classmethod
    def of(cls, name: str, dtype: str, shape: Sequence[int], data: bytes) -> Part:
        return cls(name, dtype, tuple(shape), len(data), lambda: (data,))


def files(folder: Path) -> list[str]:
    """The names of the files that hold a checkpoint's tensors, in order. Raises QuantizeError."""
    index = folder / INDEX
    if index.is_file():
        try:
            return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise QuantizeError(f"{index}: cannot be read: {error}; fetch the model again") from None
    found = [SINGLE] if (folder / SINGLE).is_file() else sorted(p.name for p in folder.glob("*.safetensors"))
    if not found:
        raise QuantizeError(f"{folder}: no *.safetensors there; name the folder of a model in the safetensors format")
    return found


def tensors(folder: Path) -> dict[str, Stored]:
    """Every tensor of a checkpoint by name, file by file. Raises QuantizeError for a file that is missing or damaged."""
    found: dict[str, Stored] = {}
    for name in files(folder):
        found |= header(folder / name)
    return found


def header(file: Path) -> dict[str, Stored]:
    """Every tensor of one file by name. Raises QuantizeError where the file is not as the format says."""
    try:
        with file.open("rb") as stream:
            length, entries = _header(stream)
        size = file.stat().st_size
        found = {name: _stored(file, name, entry, 8 + length, size) for name, entry in entries.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise QuantizeError(f"{file}: not a whole safetensors file ({error}); fetch it again") from None
    return found


def _header(stream: BinaryIO) -> tuple[int, dict[str, Any]]:
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > LARGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    return length, json.loads(stream.read(length))


def _stored(file: Path, name: str, entry: Mapping[str, Any], offset: int, size: int) -> Stored:
    start, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not 0 <= start <= end <= size - offset:
        raise ValueError(f"{name} lies outside the file")
    bits = BITS.get(entry["dtype"])
    if bits is not None and math.prod(shape) * bits != (end - start) * 8:
        raise ValueError(f"{name} has {end - start} bytes, which is not {entry['dtype']} {list(shape)}")
    return Stored(name, entry["dtype"], shape, file, offset + start, offset + end)


def write(file: Path, parts: Iterable[Part]) -> int:
    """Write one file; tensors of wide elements go first, so that each lies at a multiple of its element. Returns bytes of data."""
    ordered = sorted(parts, key=lambda p: (-BITS.get(p.dtype, 8), p.name))
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for part in ordered:
        entries[part.name] = {"dtype": part.dtype, "shape": list(part.shape), "data_offsets": [offset, offset + part.size]}
        offset += part.size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for part in ordered:
            for chunk in part.chunks():
                stream.write(chunk)
    return offset


def write_index(folder: Path, weight_map: Mapping[str, str], total: int) -> None:
    """The index of a checkpoint of several files."""
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
