"""What was pulled and tokenized, kept on disk: each stream under a digest of all that shaped it, a file for each batch.

A batch is written beside its place, renamed, and begins with the digest of its own contents. So there is no index to fall out
of step: the kept part of a stream is its batches from the first up to the first that is not there or not whole. Builds at the
same time share it; the lock of an entry only keeps two of them from making the same batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import network, paths, plugins, slots
from curator import plan as planning
from curator.data import Conversation, Document, Message, Origin, Resolved, Tokens, ToolCall
from curator.errors import UsageError
from curator.pull import Batch, Counts, Mark

if TYPE_CHECKING:
    from curator.plan import Stream
    from curator.tokens import Identity

BATCH = b"curate-batch/1"
ANSWER = b"curate-answer/1"
STREAMS, ANSWERS = "streams", "commits"  # the folders of batches, and of what adapters learned about commits
MOST_BYTES = 10 << 30  # of the whole cache, where CURATE_CACHE_SIZE says nothing else
MOST_BATCH_BYTES = 1 << 30  # unpacked; a batch is a few MB
PATIENCE = 600.0  # seconds to wait for another build that makes the batch we want; then we make it ourselves
STEP = 0.2  # seconds of it, after which we see whether anybody still waits for us
STALE = 3600.0  # seconds after which nobody is writing a half-written file any more
LIBRARIES = ("datasets", "detect-secrets", "jinja2", "langdetect", "pyarrow", "tokenizers", "transformers")  # whose versions may change a document
ABOUT = ("source", "dataset", "revision", "license", "tokenizer")  # what a list of streams tells of each
DIGEST = re.compile("[0-9a-f]{64}")
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
Note = Callable[[str], None]


def silent(line: str, /) -> None:
    """Notes that nobody reads."""


@dataclass(frozen=True)
class Cache:
    """A folder of kept streams; ``note`` hears of what is damaged or cannot be kept, once for each thing."""

    folder: Path
    note: Note = silent
    _said: set[str] = field(default_factory=set)

    @classmethod
    def find(cls, note: Note = silent) -> Cache:
        """The user's: CURATE_CACHE, or where the platform keeps caches."""
        import platformdirs

        named = os.environ.get("CURATE_CACHE")
        return cls(Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("curate", appauthor=False)), note)

    def entry(self, stream: Stream, resolved: Resolved, tokenizer: Identity) -> Entry:
        """The place of one stream."""
        facts = fingerprint(stream, resolved, tokenizer)
        card = stream.source.card
        about = dict(zip(ABOUT, (stream.key, card.place, resolved.revision, resolved.license or card.license, tokenizer.id), strict=True))
        return Entry(self, self.folder / STREAMS / facts[:2] / facts, stream, resolved, about)

    def say(self, line: str) -> None:
        """Note something once."""
        if line not in self._said:
            self._said.add(line)
            self.note(line)

    def entries(self) -> list[Kept]:
        """What is there, the longest unused first."""
        return sorted(k for k in map(_kept, self._folders()) if k)

    def _folders(self) -> list[Path]:
        """The folders of streams. Others, and links to somewhere else, are not ours to list or to remove."""
        parts = [p for p in _listed(self.folder / STREAMS) if re.fullmatch("[0-9a-f]{2}", p.name) and not p.is_symlink()]
        return [f for part in parts for f in _listed(part) if DIGEST.fullmatch(f.name) and f.is_dir() and not f.is_symlink()]

    def answers(self) -> list[Answer]:
        """What is kept about commits."""
        files = [f for f in _listed(self.folder / ANSWERS) if f.suffix == ".answer" and DIGEST.fullmatch(f.stem)]
        return [a for a in map(_answer, files) if a]

    def prune(self, *, most: int, unused_for: float | None = None) -> list[Kept | Answer]:
        """Remove entries and answers, the longest unused first, until ``most`` bytes are left; and those unused for so many
        seconds. An entry that a build works on stays. Returns what was removed."""
        self._sweep()
        found: list[Kept | Answer] = [*self.entries(), *self.answers()]
        gone: list[Kept | Answer] = []
        total = sum(k.bytes for k in found)
        for kept in sorted(found, key=lambda k: k.used):
            old = unused_for is not None and time.time() - kept.used > unused_for
            if (old or total > most) and kept.remove():
                total -= kept.bytes
                gone.append(kept)
        return gone

    def _sweep(self) -> None:
        """Remove what runs that were killed had half-written. What is written is renamed within seconds."""
        for file in (f for folder in [*self._folders(), self.folder / ANSWERS] for f in _listed(folder)):
            with suppress(OSError):
                if file.name.endswith(paths.PARTIAL) and time.time() - file.stat().st_mtime > STALE:
                    file.unlink()

    def clear(self) -> list[Kept | Answer]:
        """Remove all that no build works on. Returns what was removed."""
        return self.prune(most=0, unused_for=-1)

    def memo(self, adapter: str) -> Memo:
        """What an adapter learned about commits, from earlier runs too."""
        return Memo(self.folder / ANSWERS, f"{own_code()} {adapter} {plugins.code('adapters', adapter)}", self.say)


@dataclass(frozen=True, order=True)
class Kept:
    """One entry, for a list: when it was last used (seconds since 1970), its size, and what it is."""

    used: float
    folder: Path
    bytes: int
    batches: int
    about: Mapping[str, str | None] = field(compare=False)  # what ABOUT names; None where it is not known

    def remove(self) -> bool:
        """Remove it, unless a build is at it. Whether it is gone."""
        import filelock

        lock = filelock.FileLock(self.folder.with_suffix(".lock"), timeout=0)
        try:
            with lock:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.with_suffix(".lock").unlink(missing_ok=True)
        except (filelock.Timeout, OSError):
            return False
        return not self.folder.exists()


@dataclass(frozen=True)
class Answer:
    """What a source said about one of its commits: when that was last used (seconds since 1970), and its size."""

    used: float
    file: Path
    bytes: int

    def remove(self) -> bool:
        """Remove it; a build that is at it has it in memory. Whether it is gone."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)
        return not self.file.exists()


@dataclass
class _Maker:
    """Makes batches from wherever it is asked to; ``told`` hears of each place at which it begins."""

    making: Callable[[Mark], Iterator[Batch]]
    told: Callable[[Mark], None]
    _batches: Iterator[Batch] = field(default_factory=lambda: iter(()))
    _next: Mark | None = None

    def batch(self, mark: Mark) -> Batch:
        """The batch from a mark on."""
        if self._next != mark:
            self.told(mark)
            self._batches = self.making(mark)
        batch = next(self._batches)
        self._next = batch.mark
        return batch


@dataclass(frozen=True)
class Entry:
    """The kept batches of one stream."""

    cache: Cache
    folder: Path
    stream: Stream
    resolved: Resolved
    about: Mapping[str, Any]

    def batches(self, making: Callable[[Mark], Iterator[Batch]]) -> Iterator[Batch]:
        """All batches in order: those that are kept, and then those of ``making`` from a mark on, kept as they come."""
        mark, maker = Mark(), _Maker(making, self._say_where)
        self._touch()
        while True:
            batch = self.read(mark.batches) or self._made(mark, maker)
            yield batch
            if batch.last:
                return
            mark = batch.mark

    def _made(self, mark: Mark, maker: _Maker) -> Batch:
        """The batch from a mark on, made and kept by one build at a time: another may just have done it."""
        with self._lock():
            batch = self.read(mark.batches)
            if batch is None:
                batch = maker.batch(mark)
                self.keep(mark.batches, batch)
        return batch

    def read(self, number: int) -> Batch | None:
        """A kept batch; None where it is not there, or not whole: then it is named, and gone."""
        file = self._file(number)
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:  # it may be whole: the next run finds out
            self.cache.say(f"cache: {file} cannot be read ({error.strerror or error}); {self.stream.key} is pulled again from there")
            return None
        try:
            batch = unpacked(data, self.stream, self.resolved)
            if batch.mark.batches != number + 1:
                raise ValueError(f"it is batch {batch.mark.batches}, not {number + 1}")
            return batch
        except (ValueError, KeyError, TypeError, struct.error) as error:
            self.cache.say(f"cache: {file} is damaged ({error}); {self.stream.key} is pulled again from there")
            with suppress(OSError):
                file.unlink()
            return None

    def keep(self, number: int, batch: Batch) -> None:
        """Write a batch; a cache that cannot be written is noted, and the build goes on without it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if number == 0:
                paths.write_whole(self.folder / "about.json", json.dumps(self.about).encode())
            paths.write_whole(self._file(number), packed(batch))
        except (TypeError, ValueError, RecursionError) as error:
            self.cache.say(f"cache: a part of {self.stream.key} cannot be kept ({error})")
        except OSError as error:
            self.cache.say(f"cache: {self.cache.folder} cannot be written ({error.strerror or error}); the build goes on without keeping what it pulls")

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.batch"

    def _touch(self) -> None:
        with suppress(OSError):
            os.utime(self.folder)

    def _say_where(self, mark: Mark) -> None:
        if mark.rows:
            self.cache.say(f"{self.stream.key}: goes on after {mark.rows:,} rows; they are read again, but not made into tokens again")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one build at a time make the next batch. A lock that cannot be had costs work, never the result. Raises GaveUp once
        nobody waits for the batch."""
        import filelock

        lock, until = filelock.FileLock(self.folder.with_suffix(".lock")), time.monotonic() + PATIENCE
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with slots.aside() as step_aside:
                while not lock.is_locked and time.monotonic() < until:
                    network.go_on()
                    with suppress(filelock.Timeout):
                        lock.acquire(timeout=STEP)
                    if not lock.is_locked:
                        step_aside()
        except (OSError, NotImplementedError):
            pass
        if not lock.is_locked:
            yield
            return
        try:
            yield
        finally:
            lock.release()


def fingerprint(stream: Stream, resolved: Resolved, tokenizer: Identity) -> str:
    """SHA-256 of all that shapes the batches of a stream: the plan's own words, the tokenizer, and the code."""
    card = stream.source.card
    used = [("adapters", card.adapter), ("formatters", card.formatter or ""), *(("filters", name) for name in card.filters)]
    facts = {
        "format": BATCH.decode(),
        "stream": planning.shaping(stream, resolved),
        "language": stream.language,
        "tokenizer": [tokenizer.sha256, tokenizer.chat_template_sha256],
        "code": [own_code(), *(plugins.code(group, name) for group, name in used)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


@once
def own_code() -> str:
    """A digest of this package, but for what shapes no document, and of Python and the libraries that a document goes through: each Python brings its own
    Unicode tables, and its own readers of CSV and JSON."""
    package = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        if file.relative_to(package).parts[0] not in ("checkpoints", "cli", "quantize", "report"):
            digest.update(file.read_bytes())
    digest.update("python {}.{}\n".format(*sys.version_info[:2]).encode())
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()


class Memo(MutableMapping[str, Any]):
    """A dictionary whose answers about a pinned commit (keys that begin with ``pinned:``, values of plain JSON) outlive the run, where
    it has a folder. ``code`` is all that shapes an answer."""

    def __init__(self, folder: Path | None = None, code: str = "", note: Note = silent) -> None:
        self._folder = folder
        self._code = code
        self._note = note
        self._known: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._known and (file := self._file(key)) is not None:
            self._known[key] = self._kept(file, key)
        return self._known[key]

    def _kept(self, file: Path, key: str) -> Any:
        """What an earlier run was answered. Raises KeyError where it is not there, or not whole: then it is asked again."""
        try:
            asked, answer = json.loads(unsealed(ANSWER, file.read_bytes()))
            if asked != key:
                raise ValueError("it is of something else")
            with suppress(OSError):
                os.utime(file)
            return answer
        except FileNotFoundError:
            pass
        except OSError as error:
            self._note(f"cache: {file} cannot be read ({error.strerror or error}); the source is asked again")
        except (ValueError, TypeError, RecursionError) as error:
            self._note(f"cache: {file} is damaged ({error}); the source is asked again")
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._known[key] = value
        if (file := self._file(key)) is not None:
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                paths.write_whole(file, sealed(ANSWER, json.dumps([key, value]).encode()))

    def __delitem__(self, key: str) -> None:
        del self._known[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def _file(self, key: str) -> Path | None:
        if self._folder is None or not key.startswith("pinned:"):
            return None
        return self._folder / f"{hashlib.sha256(f'{self._code} {key}'.encode()).hexdigest()}.answer"


def sealed(kind: bytes, body: bytes) -> bytes:
    """A file of the cache: a line with its kind and the SHA-256 of the rest, and the rest."""
    return kind + b" " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unsealed(kind: bytes, data: bytes) -> bytes:
    """What was sealed. Raises ValueError where these bytes are not what was written."""
    head, _, body = data.partition(b"\n")
    if head != kind + b" " + hashlib.sha256(body).hexdigest().encode():
        raise ValueError("its digest is not that of its contents")
    return body


def packed(batch: Batch) -> bytes:
    """A batch as a file: zstd over [length of the JSON, the JSON, token ids], sealed."""
    import numpy as np
    import zstandard

    told = {
        "last": batch.last,
        "mark": _fields(batch.mark),
        "counts": _fields(batch.counts),
        "documents": [_told(t) for t in batch.tokens],
    }
    text = json.dumps(told, default=str).encode()  # ASCII only: a lone surrogate survives
    ids = np.concatenate([t.ids for t in batch.tokens]) if batch.tokens else np.empty(0, np.int32)
    body = zstandard.ZstdCompressor(level=3).compress(struct.pack("<Q", len(text)) + text + ids.astype("<i4").tobytes())
    return sealed(BATCH, body)


def unpacked(data: bytes, stream: Stream, resolved: Resolved) -> Batch:
    """The batch of these bytes. Raises ValueError where they are not what was written."""
    import numpy as np
    import zstandard

    body = unsealed(BATCH, data)
    try:
        if zstandard.frame_content_size(body) > MOST_BATCH_BYTES:  # room for what a frame states is made whatever max_output_size says
            raise ValueError(f"it unpacks to more than {MOST_BATCH_BYTES >> 20} MiB")
        plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=MOST_BATCH_BYTES)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    (length,) = struct.unpack_from("<Q", plain)
    told = json.loads(plain[8 : 8 + length])
    ids, tokens, start = np.frombuffer(plain, "<i4", offset=8 + length).astype(np.int32, copy=False), [], 0
    for document in told["documents"]:
        tokens.append(_document(document, ids[start : start + document["tokens"]], stream, resolved))
        start += document["tokens"]
    counts = told["counts"] | {k: Counter(told["counts"][k]) for k in ("dropped", "repairs")}
    return Batch(tokens, Counts(**counts), told["last"], Mark(**told["mark"]))


def _told(tokens: Tokens) -> dict[str, Any]:
    document = tokens.document
    return {
        "row": document.origin.row,
        "language": document.language,
        "text": tokens.text,
        "repairs": tokens.repairs,
        "tokens": len(tokens),
        "conversation": _fields(document.conversation) | {"messages": [_turn(m) for m in document.conversation.messages]},
    }


def _turn(message: Message) -> dict[str, Any]:
    return _fields(message) | {"tool_calls": [_fields(c) for c in message.tool_calls]}


def _fields(record: Any) -> dict[str, Any]:
    """A record's fields as they are; those that hold records need a second call."""
    return {name: getattr(record, name) for name in record.__slots__}


def _document(told: Mapping[str, Any], ids: Any, stream: Stream, resolved: Resolved) -> Tokens:
    card = stream.source.card
    origin = Origin(card.place, resolved.revision, card.split, told["row"])
    document = Document(_conversation(told["conversation"]), origin, card.name, card.category, told["language"])
    return Tokens(document, ids, told["text"], tuple(told["repairs"]))


def _conversation(told: Mapping[str, Any]) -> Conversation:
    messages = [Message(**{**m, "tool_calls": tuple(ToolCall(**c) for c in m["tool_calls"])}) for m in told["messages"]]
    return Conversation(**{**told, "messages": tuple(messages), "tools": tuple(told["tools"])})


def _listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none, or no more: others prune at the same time."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _kept(folder: Path) -> Kept | None:
    """An entry as it is now; None where it is gone."""
    files, size = _listed(folder), 0
    for file in files:
        with suppress(OSError):
            size += file.stat().st_size
    try:
        return Kept(folder.stat().st_mtime, folder, size, sum(f.suffix == ".batch" for f in files), _about(folder / "about.json"))
    except OSError:
        return None


def _about(file: Path) -> dict[str, str | None]:
    """What a stream is, for a reader; None for each thing that the file does not tell as text."""
    told: Any = None
    with suppress(OSError, ValueError, RecursionError):
        told = json.loads(file.read_bytes())
    known = told if isinstance(told, dict) else {}
    return {name: known[name] if isinstance(known.get(name), str) else None for name in ABOUT}


def _answer(file: Path) -> Answer | None:
    try:
        facts = file.lstat()
    except OSError:
        return None
    return Answer(facts.st_mtime, file, facts.st_size)


def size_limit() -> int:
    """Bytes that the cache may have: CURATE_CACHE_SIZE, such as ``20G``, or 10 GiB. Raises UsageError."""
    return parsed_size(os.environ.get("CURATE_CACHE_SIZE") or str(MOST_BYTES))


def parsed_size(text: str) -> int:
    """A size in bytes out of ``20G``, ``512M`` or plain bytes. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if not found:
        raise UsageError(f"{text!r} is no size; write it as 20G, 512M or bytes")
    return int(float(found[1]) * UNITS[found[2]])
