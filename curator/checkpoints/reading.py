"""A checkpoint as the index of its headers. Hides the safetensors format, and refuses what does not keep to it.

Format: https://github.com/huggingface/safetensors (eight bytes of header length, a JSON header, then the tensors without gap).
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from curator.checkpoints import uncached
from curator.errors import QuantizeError, UsageError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CONFIG = "config.json"
LISTED = 100  # faults in a message
CHUNK = 16 << 20  # bytes read at once
LONGEST_HEADER = 100_000_000  # bytes; the limit of the reference implementation
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}  # bytes an element

TORCH = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # torch's names of the types


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a tensor is and where its bytes lie: ``nbytes`` from ``start`` of ``file``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    nbytes: int


@dataclass(frozen=True)
class Checkpoint:
    """A folder with ``config.json`` and safetensors, read no further than its headers."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @cached_property
    def by_file(self) -> Mapping[Path, Sequence[Tensor]]:
        """The files that hold tensors, in the order of their names, and what each holds, in the order of the bytes."""
        found: dict[Path, list[Tensor]] = defaultdict(list)
        for tensor in self.tensors.values():
            found[tensor.file].append(tensor)
        return dict(sorted(found.items()))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold tensors, in the order of their names."""
        return tuple(self.by_file)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the config and of every tensor's name, type, shape and place; not of the weights."""
        places = [[t.name, t.dtype, t.shape, t.file.name, t.start] for t in self.tensors.values()]
        return hashlib.sha256(json.dumps([self.config, places], sort_keys=True).encode()).hexdigest()

    @cached_property
    def stamp(self) -> list[Any]:
        """The fingerprint with what changes when a file is written again: good for this machine and these files only."""
        return [self.fingerprint, [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in self.files]]

    @property
    def model_type(self) -> str:
        return str(self.config.get("model_type", ""))


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read the config and every header. Raises UsageError where there is no such folder, and QuantizeError with all that is
    wrong in one that is not a checkpoint in safetensors."""
    faults: list[str] = []
    config = read_config(folder, faults)
    named = _named_files(folder, faults)
    tensors: dict[str, Tensor] = {}
    broken: set[str] = set()
    for file in sorted(set(named.values())):
        try:
            faults += _add(tensors, _inside(folder, file), file)
        except (OSError, ValueError, RecursionError) as error:
            broken.add(file)
            faults.append(f"{file}: cannot be read: {error.strerror}" if isinstance(error, OSError) else f"{file}: not a whole safetensors file: {error}")
    faults += _compare({n: f for n, f in named.items() if f not in broken}, tensors, named)
    if faults:
        denied = all(f.endswith(os.strerror(errno.EACCES)) for f in faults)
        raise QuantizeError(listed(f"{folder} cannot be used; {'get the right to read it' if denied else 'fetch again, or mend'}", faults))
    return Checkpoint(folder, config, tensors)


def refuse_changed(checkpoint: Checkpoint) -> None:
    """Raise QuantizeError where the files are no longer those that were opened: what was read may be of two models."""
    if open_checkpoint(checkpoint.folder).stamp != checkpoint.stamp:
        raise QuantizeError(f"{checkpoint.folder}: was changed while it was read; run again when nothing writes there")


def listed(title: str, faults: Iterable[str]) -> str:
    """A message with one line a fault, long lists cut with their number told."""
    every = list(dict.fromkeys(faults))
    lines = [f"* {f}" for f in every[:LISTED]]
    return "\n".join([f"{title}:", *lines, *([f"* and {len(every) - LISTED:,} more"] if len(every) > LISTED else [])])


def read_config(folder: Path, faults: list[str]) -> dict[str, Any]:
    """``config.json``; what is wrong with it is added to ``faults``. Raises UsageError where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; a model is named by the folder it lies in (`hf download ORG/NAME --local-dir DIR` makes one)")
    value = _json(folder, CONFIG, faults)
    if value is None:
        faults.append(f"{CONFIG}: missing")
    return value or {}


def _json(folder: Path, name: str, faults: list[str]) -> dict[str, Any] | None:
    """A JSON object of the folder; None where there is no such file, empty and a fault where it is something else."""
    if not os.path.lexists(folder / name):
        return None
    if not (folder / name).is_file():
        faults.append(f"{name}: not a file")
        return {}
    try:
        value = _parsed(_inside(folder, name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, QuantizeError) as error:
        faults.append(f"{name}: cannot be read: {(isinstance(error, OSError) and error.strerror) or error}")
        return {}
    if not isinstance(value, dict):
        faults.append(f"{name}: not a JSON object")
        return {}
    return value


def _parsed(text: str, **options: Any) -> Any:
    """JSON that can be written again. Raises ValueError for half a surrogate pair too, which JSON can name and no file can hold."""
    value = json.loads(text, **options)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _inside(folder: Path, name: str) -> Path:
    """The file of that name. A link may lead into the folder, or to the blobs of the hub's cache, and nowhere else."""
    if not is_inside(folder / name, folder):
        raise QuantizeError(f"{name}: leads out of the folder, to {os.path.realpath(folder / name)}")
    return folder / name


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, its links followed, is in the folder or among the blobs that a snapshot in the hub's cache links to."""
    root = folder.resolve()
    allowed = [root, *([root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [])]
    return any(Path(os.path.realpath(path)).is_relative_to(a) for a in allowed)  # which, unlike resolve, bears links in a circle


def _named_files(folder: Path, faults: list[str]) -> dict[str, str]:
    """{tensor: file} as the index says; for a single file without index, {"": file}."""
    index = _json(folder, INDEX, faults)
    if index is None:
        fault = _unusable(folder, SINGLE) if os.path.lexists(folder / SINGLE) else _no_weights(folder)
        if fault is None:
            return {"": SINGLE}
        faults.append(fault)
        return {}
    mapping = index.get("weight_map")
    if not isinstance(mapping, dict) or not mapping or not all(isinstance(f, str) for f in mapping.values()):
        faults.append(f"{INDEX}: no weight_map of tensors to files")
        return {}
    good = {}
    for file in dict.fromkeys(mapping.values()):
        fault = _unusable(folder, file)
        if fault:
            faults.append(f"{INDEX}: {fault}")
        else:
            good[file] = True
    return {name: file for name, file in mapping.items() if file in good}


def _no_weights(folder: Path) -> str:
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLES)
    if pickles:
        return f"weights only as {', '.join(pickles[:3])}: such files can run code when they are read; convert them to safetensors where they come from"
    if any(p.suffix == ".gguf" for p in folder.iterdir()):
        return "weights only as GGUF, the format of llama.cpp; take the checkpoint in safetensors that they were made of"
    return f"neither {INDEX} nor {SINGLE} there"


def _unusable(folder: Path, file: str) -> str | None:
    if Path(file).name != file or "\\" in file or not file.endswith(".safetensors"):
        return f"names {file!r}, which is not a safetensors file of the folder"
    try:
        return None if _inside(folder, file).is_file() else f"{file} is missing, or no file"
    except QuantizeError as error:
        return str(error)


def _add(tensors: dict[str, Tensor], path: Path, file: str) -> list[str]:
    """Put the tensors of one file into the index; those that were there come back. Raises OSError, ValueError or RecursionError for
    a file that is no such index."""
    header, start = _header(path)
    found = sorted(_entries(header, path, start), key=lambda t: (t.start, t.nbytes))
    _check_layout(found, start, path.stat().st_size)
    twice = [f"{file}: {t.name} is in {tensors[t.name].file.name} too" for t in found if t.name in tensors]
    tensors.update((t.name, t) for t in found)
    return twice


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header, and where the bytes of the tensors begin."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        prefix = stream.read(8)
        if len(prefix) < 8:
            raise ValueError(f"{size} bytes are too few for a safetensors file")
        length = struct.unpack("<Q", prefix)[0]
        if length > min(LONGEST_HEADER, size - 8):
            raise ValueError(f"a header of {length:,} bytes is announced in a file of {size:,}: truncated, or not safetensors")
        value = _parsed(stream.read(length).decode("utf-8"), object_pairs_hook=_no_duplicates)
    if not isinstance(value, dict):
        raise ValueError("the header is not a JSON object")
    return value, 8 + length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("the header has a key twice")
    return value


def _entries(header: dict[str, Any], path: Path, start: int) -> Iterator[Tensor]:
    for name, about in header.items():
        if name == "__metadata__":
            continue
        if not isinstance(about, dict):
            raise ValueError(f"{name}: not described by an object")
        dtype, shape, place = about.get("dtype"), about.get("shape"), about.get("data_offsets")
        if not isinstance(dtype, str) or dtype not in WIDTHS:
            raise ValueError(f"{name}: type {dtype!r} is not known; known: {', '.join(WIDTHS)}")
        if not _counts(shape) or not _counts(place) or len(place) != 2:
            raise ValueError(f"{name}: shape {shape!r} and data_offsets {place!r} are not lists of whole numbers")
        nbytes = math.prod(shape) * WIDTHS[dtype]
        if place[1] - place[0] != nbytes:
            raise ValueError(f"{name}: {dtype} of shape {shape} is {nbytes:,} bytes, its offsets say {place[1] - place[0]:,}")
        yield Tensor(name, dtype, tuple(shape), path, start + place[0], nbytes)


def _counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value)


def _check_layout(found: list[Tensor], start: int, size: int) -> None:
    end = start
    for tensor in found:
        if tensor.start != end:
            raise ValueError(f"{tensor.name}: {'overlaps another tensor' if tensor.start < end else 'bytes before it belong to no tensor'}")
        end += tensor.nbytes
    if end != size:
        raise ValueError(f"its tensors end at byte {end:,} and the file at {size:,}: {'truncated' if size < end else 'bytes at its end belong to no tensor'}")


def _compare(readable: Mapping[str, str], tensors: Mapping[str, Tensor], named: Mapping[str, str]) -> list[str]:
    """Where the index and the files disagree: ``named`` is all of the index, ``readable`` what is in files that could be read."""
    if set(named) == {""} or not tensors:
        return []
    absent = [f"{INDEX}: {n} is not in {f}" for n, f in readable.items() if n not in tensors or tensors[n].file.name != f]
    return absent + [f"{t.file.name}: {n} is not in {INDEX}" for n, t in tensors.items() if n not in named]


class Reader:
    """Reads ranges of tensors. Keeps files open until it is closed; no more than one buffer is in memory."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}
        self.buffer = memoryview(bytearray(CHUNK))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()

    def into(self, buffer: memoryview, tensor: Tensor, offset: int = 0) -> None:
        """Fill ``buffer`` with bytes of a tensor from ``offset``. Raises QuantizeError where the file is gone, has become shorter, or
        cannot be read."""
        done = 0
        try:
            if tensor.file not in self._open:
                self._open[tensor.file] = os.open(tensor.file, os.O_RDONLY)
            while done < len(buffer):
                got = uncached.read(self._open[tensor.file], buffer[done:], tensor.start + offset + done)
                if not got:
                    raise QuantizeError(f"{tensor.file}: became shorter while it was read")
                done += got
        except OSError as error:
            raise QuantizeError(f"{tensor.file}: cannot be read: {error.strerror}") from None

    def chunks(self, tensor: Tensor) -> Iterator[memoryview]:
        """The bytes of a tensor in pieces, each good until the next is asked for."""
        source = InOrder(self, tensor)
        for offset in range(0, tensor.nbytes, CHUNK):
            yield source.take(min(CHUNK, tensor.nbytes - offset))

    def whole(self, tensor: Tensor) -> bytearray:
        """All bytes of a small tensor."""
        buffer = bytearray(tensor.nbytes)
        self.into(memoryview(buffer), tensor)
        return buffer


class InOrder:
    """The bytes of a tensor from the first to the last, whatever is taken at once, read in large pieces. They pass through the
    reader's buffer: one tensor of a reader at a time."""

    def __init__(self, reader: Reader, tensor: Tensor) -> None:
        self._reader, self._tensor, self._room = reader, tensor, reader.buffer
        self._held, self._read = self._room[:0], 0  # what was read and not taken yet; how many bytes were read

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes, good until the next call."""
        if size > len(self._held):
            self._fill(size)
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _fill(self, size: int) -> None:
        room = self._room if size <= len(self._room) else memoryview(bytearray(size))
        held = len(self._held)
        end = min(len(room), held + self._tensor.nbytes - self._read)
        room[:held] = self._held
        self._reader.into(room[held:end], self._tensor, self._read)
        self._room, self._held, self._read = room, room[:end], self._read + end - held


def same_bytes(one: Tensor, other: Tensor, *, readers: tuple[Reader, Reader]) -> bool:
    """Whether both hold the same bytes, whatever their types; ``readers`` are two, since each has one buffer."""
    if one.nbytes != other.nbytes:
        return False
    pairs = zip(readers[0].chunks(one), readers[1].chunks(other), strict=True)
    return all(a == b for a, b in pairs)
