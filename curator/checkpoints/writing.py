"""Writes a checkpoint shard by shard beside its place, and goes on where an earlier run was stopped.

The folder ``.NAME.unfinished`` beside the target keeps finished shards with their digests in ``.journal.jsonl``, hidden so that no file of
a model is in its place. A run that asks for the same thing of the same files takes them over after comparing the digests. When all
is there the folder takes its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator import __version__, paths
from curator.checkpoints import stream, uncached
from curator.checkpoints.reading import CONFIG, INDEX, PICKLES, SINGLE, WIDTHS, Reader, Tensor, is_inside
from curator.errors import QuantizeError, UsageError

JOURNAL = ".journal.jsonl"
MANIFESTS = ("curate-dequantize.json", "curate-stitch.json")
OTHER_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", *PICKLES)
GO_ON = f"{paths.ELSEWHERE}; the same command goes on with what is finished"
SHARD_BYTES = 5_000_000_000

Progress = Callable[[str, int, int], None]  # the shard just finished, bytes done, bytes in all


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor to be written. ``chunks`` gives its bytes in order, each piece good until the next is asked for."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    chunks: Callable[[], Iterator[stream.Bytes]]


@dataclass(frozen=True, slots=True)
class Shard:
    """A file to be written."""

    name: str
    tensors: tuple[Planned, ...]


def copied(tensor: Tensor, reader: Reader, *, name: str | None = None) -> Planned:
    """A tensor that is taken over byte for byte."""
    return Planned(name or tensor.name, tensor.dtype, tensor.shape, tensor.nbytes, lambda: reader.chunks(tensor))


def given(name: str, dtype: str, shape: Sequence[int], data: bytes) -> Planned:
    """A tensor whose bytes are in memory."""
    return Planned(name, dtype, tuple(shape), len(data), lambda: iter((data,)))


def plan_shards(tensors: Iterable[Planned], *, limit: int = SHARD_BYTES) -> list[Shard]:
    """Tensors in their order, split into files of no more than ``limit`` bytes (a larger tensor has a file of its own)."""
    groups: list[list[Planned]] = []
    size = 0
    for tensor in tensors:
        if not groups or size + tensor.nbytes > limit:
            groups.append([])
            size = 0
        groups[-1].append(tensor)
        size += tensor.nbytes
    if len(groups) == 1:
        return [Shard(SINGLE, tuple(groups[0]))]
    return [Shard(f"model-{n:05d}-of-{len(groups):05d}.safetensors", tuple(g)) for n, g in enumerate(groups, 1)]


def _aligned(tensors: Iterable[Planned]) -> list[Planned]:
    """Wide types first, as the reference implementation writes: so every tensor starts at a multiple of its width."""
    return sorted(tensors, key=lambda t: (-WIDTHS[t.dtype], t.name))


def _header(tensors: Sequence[Planned]) -> bytes:
    about: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        about[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(about, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_shard(file: Path, tensors: Sequence[Planned]) -> dict[str, Any]:
    """Write one safetensors file beside its name and rename it. Gives {sha256, bytes}."""
    unfinished = file.with_name(f"{file.name}.unfinished")
    with unfinished.open("wb") as opened:
        about = stream.write(_pieces(_aligned(tensors)), uncached.Output(opened.fileno()))
    os.replace(unfinished, file)
    return about


def _pieces(tensors: Sequence[Planned]) -> Iterator[stream.Bytes]:
    yield _header(tensors)
    for tensor in tensors:
        wrote = 0
        for piece in tensor.chunks():
            wrote += len(piece)
            yield piece
        assert wrote == tensor.nbytes, f"{tensor.name}: {wrote} bytes instead of {tensor.nbytes}"


@dataclass(slots=True)
class Work:
    """The folder beside the target, with what earlier runs finished in it."""

    folder: Path
    journal: Any
    finished: dict[str, dict[str, Any]]
    settling: ThreadPoolExecutor
    settled: list[Future[None]] = field(default_factory=list)

    def add(self, shard: Shard) -> dict[str, Any]:
        """The shard's {sha256, bytes}: of an earlier run where it is still good, or written now."""
        file, known = self.folder / shard.name, self.finished.get(shard.name)
        if known is not None and _is(file, known):
            return known
        made = write_shard(file, shard.tensors)
        self.journal.write(json.dumps({"shard": shard.name, **made}) + "\n")
        self.journal.flush()
        self.settled.append(self.settling.submit(paths.settle, file))
        return made

    def settle(self) -> None:
        """Have everything on the disk: after a power cut, what then stands at its place is whole. The shards have been on their
        way to the disk since each was finished, so that it does not stand idle while the next is made."""
        for shard in self.settled:
            shard.result()
        paths.settle_all(self.folder)


def _is(file: Path, known: Mapping[str, Any]) -> bool:
    if not file.is_file() or file.stat().st_size != known["bytes"]:
        return False
    return bool(paths.sha256(file) == known["sha256"])


@contextmanager
def work_folder(target: Path, job: Any, *, force: bool = False) -> Iterator[Work]:
    """The folder to write into; when the block ends well it takes the place of ``target``, otherwise it stays for the next run.

    ``job`` is what is asked for: a folder that was begun for another job is emptied. Raises UsageError where ``target`` exists
    (``force`` replaces what this module wrote, and nothing else), cannot be written, or is being written by another process.
    """
    with paths.claimed(target), paths.told(target, otherwise=GO_ON):
        refuse_target(target, force=force)
        folder = target.parent / f".{target.name}.unfinished"  # no name that `left_beside` takes for what another target left
        _refuse_other(folder)
        folder.mkdir(exist_ok=True)
        with (folder / JOURNAL).open("a+", encoding="utf-8", errors="replace") as journal, ThreadPoolExecutor(1) as settling:
            work = Work(folder, journal, _resume(folder, journal, _job_id(job)), settling)
            yield work
            work.settle()
            paths.take_place(folder, target)
            (target / JOURNAL).unlink()


def _refuse_other(folder: Path) -> None:
    """Raise UsageError where a folder to be emptied is no earlier run's: a link to another, or one with things and no journal."""
    if folder.is_symlink() or (folder.is_dir() and any(folder.iterdir()) and not (folder / JOURNAL).is_file()):
        raise UsageError(f"{folder}: was not left by an earlier run, and would be emptied; move it away, or choose another --out")


def refuse_target(target: Path, *, force: bool, sources: Sequence[Path] = ()) -> None:
    """Raise UsageError where a checkpoint cannot go, before work is put into it; never over, into or around a model that is read."""
    for source in sources:
        if target.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{target}: is {source}, which is read, or in it; choose another --out")
        if source.resolve().is_relative_to(target.resolve()):
            raise UsageError(f"{target}: holds {source}, which is read; choose another --out")
    paths.refuse_mount(target)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return
    ours = any((target / name).is_file() for name in MANIFESTS)
    if not ours:
        raise UsageError(f"{target}: exists, and was not written by `curate dequantize` or `curate stitch`; choose another --out")
    if not force:
        raise UsageError(f"{target}: exists; choose another --out, or give --force to replace it")


def _job_id(job: Any) -> str:
    return hashlib.sha256(json.dumps([__version__, job], sort_keys=True, default=str).encode()).hexdigest()


def _resume(folder: Path, journal: Any, job: str) -> dict[str, dict[str, Any]]:
    """What the journal says is finished, where it is of the same job. All else in the folder goes, and the journal is
    written anew, so that a line cut off by a kill is not in the middle of it."""
    journal.seek(0)
    lines = [line for line in map(_line, journal) if line]
    ours = bool(lines) and lines[0].get("job") == job
    finished = {line["shard"]: {"sha256": line["sha256"], "bytes": line["bytes"]} for line in lines[1:] if "shard" in line} if ours else {}
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in (JOURNAL, *finished):
            path.unlink()
    journal.truncate(0)
    journal.write(json.dumps({"job": job}) + "\n")
    journal.writelines(json.dumps({"shard": name, **about}) + "\n" for name, about in finished.items())
    journal.flush()
    return finished


def _line(text: str) -> dict[str, Any]:
    """A line of the journal; empty for one that was cut off when its writer was killed."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def write_checkpoint(work: Work, shards: Sequence[Shard], *, progress: Progress) -> dict[str, dict[str, Any]]:
    """Every shard and the index over them. Gives {file: {sha256, bytes}}."""
    total = sum(t.nbytes for s in shards for t in s.tensors)
    files, done = {}, 0
    for shard in shards:
        files[shard.name] = work.add(shard)
        done += sum(t.nbytes for t in shard.tensors)
        progress(shard.name, done, total)
    if len(shards) > 1:
        files[INDEX] = write_index(work.folder, {t.name: s.name for s in shards for t in s.tensors}, total)
    return files


def write_index(folder: Path, mapping: Mapping[str, str], total: int) -> dict[str, Any]:
    """The index over several files: {tensor: file}, and the bytes of all tensors. Gives {sha256, bytes}."""
    return write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": dict(sorted(mapping.items()))})


def write_json(file: Path, value: Any) -> dict[str, Any]:
    """Write JSON as people read it. Gives {sha256, bytes}."""
    text = (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
    file.write_bytes(text)
    return {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}


def companions(folder: Path, *, linked_out: bool = False) -> list[Path]:
    """The folder's other files: tokenizer, chat template, code, licence. Weights in any format, hidden files and links that
    lead elsewhere are left out; with ``linked_out``, those links."""
    found = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file() and not _is_weights(path, folder) and is_inside(path, folder) != linked_out:
            found.append(path)
    return found


def _is_weights(path: Path, folder: Path) -> bool:
    """Whether a file holds weights, or says what the weights are: then it is written anew. A ``config.json`` further down is another's."""
    anew = path.parent == folder and path.name in (CONFIG, *MANIFESTS)
    return anew or path.suffix in OTHER_WEIGHTS or path.name.endswith(".index.json")


def copy_companions(source: Path, folder: Path, *, leave_out: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Copy the other files byte for byte. Gives {file: {sha256, bytes}}; raises QuantizeError for one that cannot be read."""
    files = {}
    for path in companions(source):
        name = path.relative_to(source).as_posix()
        if name not in leave_out:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _copy(path, folder / name)
            files[name] = {"sha256": paths.sha256(folder / name), "bytes": path.stat().st_size}
    return files


def _copy(path: Path, place: Path) -> None:
    try:
        source = path.open("rb")
    except OSError as error:
        raise QuantizeError(f"{path}: cannot be read: {error.strerror}; get the right to read it, and run again to go on") from None
    with source, place.open("wb") as made:
        shutil.copyfileobj(source, made)
