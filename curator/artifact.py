"""The build folder: written beside its place and renamed, read back, and checked against its manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curator import coverage, frames, paths
from curator.coverage import shape
from curator.errors import UsageError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray
    from pydantic import BaseModel

    from curator.data import Piece, Sample

FORMAT = "curate-build/1"
ROWS_PER_FILE = 4096
MANIFEST, COVERAGE = "manifest.json", "coverage.json"
MOST_FAULTS = 5  # of one file that are told one by one
TAKE_ANEW = "take the build from where it was made, or build again"  # what to do about one that is damaged
NEEDED = (COVERAGE, "coverage/tokens.parquet", "documents.parquet", "quarantine.jsonl", "samples.parquet")


class Placed(NamedTuple):
    """A placed document as it reads: its text up to where it was cut, its turns, and the language it is recognised as."""

    text: str
    turns: Sequence[tuple[Any, ...]]  # role, kind, language of code, chars, tokens
    language: str | None


def documents_frame(samples: Sequence[Sample], placed: Iterable[Placed]) -> pl.DataFrame:
    """One line for each placed document, in the order of the samples; ``placed`` has one entry for each. ``text_sha256`` is of
    the text as it was placed."""
    import polars as pl

    places = [(number, start, piece) for number, sample in enumerate(samples) for start, piece in _starts(sample)]
    rows = [_line(*place, read) for place, read in zip(places, placed, strict=True)]
    return pl.DataFrame(rows, schema=frames.schema("documents"), orient="row")


def samples_frame(samples: Sequence[Sample]) -> pl.DataFrame:
    """One line for each sample, in the order of ``data/``."""
    import polars as pl

    rows = [(n, s.source, s.category, len(s.pieces), len(s)) for n, s in enumerate(samples)]
    return pl.DataFrame(rows, schema=frames.schema("samples"), orient="row")


def _starts(sample: Sample) -> Iterator[tuple[int, Piece]]:
    start = 0
    for piece in sample.pieces:
        yield start, piece
        start += piece.length


def _line(number: int, start: int, piece: Piece, read: Placed) -> tuple[Any, ...]:
    document, origin = piece.tokens.document, piece.tokens.document.origin
    return (
        number,
        start,
        piece.length,
        piece.cut,
        document.source,
        document.category,
        document.language,
        read.language,
        {"dataset": origin.dataset, "revision": origin.revision, "split": origin.split, "row": origin.row},
        hashlib.sha256(read.text.encode("utf-8")).hexdigest(),
        read.text,
        [dict(zip(("role", "kind", "language", "chars", "tokens"), turn, strict=True)) for turn in read.turns],
    )


def write_data(folder: Path, samples: Sequence[Sample]) -> None:
    """``data/``: input_ids and position_ids, both list<int32>; positions restart at 0 with every document."""
    import pyarrow.parquet as pq

    count = max(1, -(-len(samples) // ROWS_PER_FILE))
    (folder / "data").mkdir()
    for number in range(count):
        part = samples[number * ROWS_PER_FILE : (number + 1) * ROWS_PER_FILE]
        pq.write_table(_data_table(part), folder / data_name(number, count), compression="zstd")


def _data_table(samples: Sequence[Sample]) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    pieces = [p for s in samples for p in s.pieces]
    ids = flat_ids(samples)
    positions = np.concatenate([np.arange(p.length, dtype=np.int32) for p in pieces]) if pieces else ids
    offsets = pa.array(np.cumsum([0, *map(len, samples)], dtype=np.int32))
    columns = [pa.ListArray.from_arrays(offsets, pa.array(values, pa.int32())) for values in (ids, positions)]
    return pa.table(columns, names=["input_ids", "position_ids"])


def write_frame(file: Path, frame: pl.DataFrame) -> None:
    """A table as parquet that any reader takes (32-bit offsets, no polars metadata)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = frame.to_arrow()
    fields = [pa.field(f.name, _portable(f.type)) for f in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), file, compression="zstd")


def _portable(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_large_string(kind) or str(kind) == "string_view":
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind):
        return pa.list_(_portable(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _portable(f.type)) for f in kind])
    return kind


def write_json(file: Path, value: Any) -> None:
    """JSON as people read it in a diff."""
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(file: Path) -> Any:
    """What a JSON file of a build says. Raises NotABuild."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair, written as an escape, is no text
    except FileNotFoundError:
        raise NotABuild(f"{file.parent}: no {file.name} there; name a folder that `curate build` wrote") from None
    except (OSError, ValueError, RecursionError) as error:
        raise NotABuild(f"{file}: cannot be read: {error}; see that you may read it, or {TAKE_ANEW}") from None
    return value


def read_coverage(folder: Path) -> coverage.Tables:
    """The tables of coverage.json. Raises NotABuild where it is no JSON, Damaged where it holds something else than tables."""
    value: coverage.Tables = read_json(folder / COVERAGE)
    if faults := shape.misshapen(value):
        more = [f"{COVERAGE}: {len(faults) - MOST_FAULTS} faults more"] if len(faults) > MOST_FAULTS else []
        raise Damaged(folder, [f"{COVERAGE}: {fault}" for fault in faults[:MOST_FAULTS]] + more)
    return value


def write_tables(folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """coverage.json, and each table as parquet under ``coverage/``."""
    import polars as pl

    write_json(folder / COVERAGE, tables)
    (folder / "coverage").mkdir(exist_ok=True)
    for name, rows in tables.items():
        if rows:
            write_frame(folder / "coverage" / f"{name}.parquet", pl.DataFrame(rows, infer_schema_length=None))


def flat_ids(samples: Sequence[Sample]) -> NDArray[Any]:
    """The token ids of all samples, one after the other; int32 of shape (all tokens,)."""
    import numpy as np

    parts = [p.tokens.ids[: p.length] for s in samples for p in s.pieces]
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of folder: what it is called, and the file by which it is known. One that can be a part of something larger has
    ``alone``, the names of all files that it may have where it stands alone."""

    what: str
    marker: str
    alone: frozenset[str] | None = None

    def is_at(self, target: Path) -> bool:
        """Whether a folder of this kind stands there."""
        return (target / self.marker).is_file() and (self.alone is None or {p.name for p in target.iterdir()} <= self.alone)


BUILD = Kind("build", MANIFEST)


@contextmanager
def new_folder(target: Path, kind: Kind = BUILD, *, force: bool = False, otherwise: str = paths.ELSEWHERE) -> Iterator[Path]:
    """A folder beside ``target`` that takes its place when the block ends well, and is gone when it does not.

    Raises UsageError where ``target`` exists (``force`` replaces a folder of its kind, and nothing else) or cannot be written; it ends
    with ``otherwise``.
    """
    with paths.claimed(target, otherwise=otherwise):
        refuse_target(target, kind, force=force)
        with paths.told(target, otherwise=otherwise):
            folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=paths.PARTIAL, dir=target.parent))
            try:
                yield folder
                folder.chmod(0o755)
                paths.settle_all(folder)
                paths.take_place(folder, target)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def refuse_target(target: Path, kind: Kind = BUILD, *, force: bool) -> None:
    """Raise UsageError where a folder of a kind cannot go, before work is put into it."""
    if not target.exists() and not target.is_symlink():
        return
    paths.refuse_mount(target)
    is_one = kind.is_at(target)
    is_empty = target.is_dir() and not any(target.iterdir())
    if not force and not is_empty:
        raise UsageError(f"{target}: exists; choose another --out" + (", or give --force to replace it" if is_one else ""))
    if force and not (is_one or is_empty):
        raise UsageError(f"{target}: exists and is not a {kind.what}; --force replaces {kind.what}s only")


def file_table(folder: Path, *, marker: str = MANIFEST, known: Mapping[str, dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """{path: {sha256, bytes}} of every file but the manifest; ``known`` has those that were digested while they were written.
    Raises UsageError where one may not be read."""
    digested = known or {}
    with _readable(folder):
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != marker)
        return {n: digested.get(n) or {"sha256": paths.sha256(folder / n), "bytes": (folder / n).stat().st_size} for n in names}


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Have a file that the system does not give up be the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{error.filename or file}: cannot be read: {error.strerror or error}; see that you may read it, and run again") from None


class NotABuild(UsageError):
    """A folder that is not a build, or not one that this version reads."""


class Damaged(UsageError):
    """A build whose files are not those of its manifest; ``faults`` has a line for each."""

    def __init__(self, folder: Path, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__(f"{folder} is not as its manifest says:\n" + "\n".join(f"* {f}" for f in faults) + f"\n{TAKE_ANEW}")


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a build, with every key that others rely on. Raises NotABuild."""
    if not folder.is_dir():
        raise NotABuild(f"{folder}: no such folder; name one that `curate build` wrote")
    value = read_json(folder / MANIFEST)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else None
        raise NotABuild(f"{folder}: format {found!r}, this version reads {FORMAT!r}; {TAKE_ANEW}")
    if wrong := _misshapen(value):
        told = "; ".join(wrong[:MOST_FAULTS])
        raise NotABuild(f"{folder / MANIFEST}: not as `curate build` writes it: {told}; {TAKE_ANEW}")
    return value


def _misshapen(value: Mapping[str, Any]) -> list[str]:
    """What a manifest lacks, or has of another kind than others rely on: a line for each key."""
    import pydantic

    try:
        _shape().model_validate(value, strict=True)
    except pydantic.ValidationError as error:
        return [f"{'.'.join(map(str, e['loc']))}: {e['msg'][:1].lower()}{e['msg'][1:]}" for e in error.errors()]
    return []


@cache
def _shape() -> type[BaseModel]:
    """The part of a manifest that this version reads. Made when it is needed: pydantic takes long to import."""
    from typing import Annotated, Literal

    from pydantic import Field, create_model

    number: Any = Annotated[int, Field(ge=0, lt=1 << 63)]
    gated: Any = Literal["by_category", "programming_languages", "natural_languages"]
    text: Any = (str, ...)
    known: Any = (str | None, ...)
    count: Any = (number, ...)
    counts: Any = (dict[str, number], ...)
    file: Any = create_model("File", sha256=text, bytes=count)
    mix: Any = create_model("Mix", name=text, sha256=text, text=text)
    tokenizer: Any = create_model("Tokenizer", id=text, sha256=text, vocab_size=count)
    token: Any = create_model("Token", id=count, token=text)
    numbers: dict[str, Any] = dict.fromkeys(("samples", "documents", "tokens"), count)
    words: dict[str, Any] = {**dict.fromkeys(("source", "dataset", "category"), text), **dict.fromkeys(("revision", "license"), known)}
    read: dict[str, Any] = {**dict.fromkeys(("rows_read", "bytes_read", "documents_made"), count), "planned_samples": (number | None, ...)}
    source: Any = create_model("Source", evaluation=(bool, ...), dropped=counts, repairs=counts, **words, **numbers, **read)
    parts: dict[str, Any] = {
        **numbers,
        **dict.fromkeys(("max_seq_length", "documents_cut", "tokens_cut", "padding_tokens"), count),
        "fingerprint": text,
        "mix": (mix, ...),
        "tokenizer": (tokenizer, ...),
        "required": (dict[gated, dict[str, number]], ...),
        "short": counts,
        "offline": (bool, ...),
        "sources": (list[source], ...),
        "notes": (list[str], ...),
        "special_tokens": (list[token], ...),
        "files": (dict[str, file], ...),
    }
    made: type[BaseModel] = create_model("Manifest", **parts)
    return made


def verify(folder: Path, described: Mapping[str, Any]) -> None:
    """Check every file against the manifest. Raises Damaged with all that differ, UsageError where one may not be read."""
    there, noted = file_table(folder), described["files"]
    faults = [f"{name}: missing" for name in dict.fromkeys([*noted, *NEEDED]) if name not in there]
    faults += [f"{name}: not in the manifest" for name in there if name not in noted]
    faults += [f"{name}: changed since the build" for name in noted if name in there and there[name] != noted[name]]
    if faults:
        raise Damaged(folder, faults)


def read_tables(folder: Path, described: Mapping[str, Any]) -> frames.Tables:
    """The tables of a build whose files are those of its manifest, and which fit each other. Raises Damaged, UsageError."""
    verify(folder, described)
    tables = frames.Tables(read_data(folder), *(read_frame(folder, name) for name in ("samples", "documents", "coverage/tokens")))
    if faults := frames.misfits(tables, sources=[s["source"] for s in described["sources"]]):
        raise Damaged(folder, faults)
    return tables


def read_frame(folder: Path, name: str) -> pl.DataFrame:
    """One of the tables of a build, by its name without ``.parquet``. Raises Damaged, UsageError."""
    return _shaped(_table(folder, f"{name}.parquet"), folder, f"{name}.parquet", name)


def read_copy(folder: Path, table: str) -> pl.DataFrame:
    """A table of coverage.json as coverage/ has it once more. Raises Damaged, UsageError."""
    return _table(folder, f"coverage/{table}.parquet")


def read_data(folder: Path) -> pl.DataFrame:
    """input_ids and position_ids of all samples. Raises Damaged, UsageError."""
    import polars as pl

    names = sorted(p.relative_to(folder).as_posix() for p in folder.glob("data/*"))
    if not any(name.startswith("data/train-") for name in names):
        raise Damaged(folder, ["data/train-*.parquet: missing"])
    if names != [data_name(number, len(names)) for number in range(len(names))]:
        raise Damaged(folder, [f"data/: {len(names)} files that are not train-00000-of-{len(names):05d}.parquet and those after it"])
    return pl.concat([_shaped(_table(folder, name), folder, name, "data") for name in names])


def data_name(number: int, count: int) -> str:
    """What one of ``count`` files of samples is called within the folder."""
    return f"data/train-{number:05d}-of-{count:05d}.parquet"


def _shaped(frame: pl.DataFrame, folder: Path, file: str, table: str) -> pl.DataFrame:
    if faults := [f"{file}: {fault}" for fault in frames.misshapen(frame, table)]:
        raise Damaged(folder, faults)
    return frame


def _table(folder: Path, name: str) -> pl.DataFrame:
    """Opened here, because polars takes no path that the locale cannot spell."""
    import polars as pl

    try:
        with _readable(folder / name), (folder / name).open("rb") as stream:
            return pl.read_parquet(stream)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0][:200]
        raise Damaged(folder, [f"{name}: is no parquet file, or only a part of one ({reason})"]) from None
