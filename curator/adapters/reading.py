"""Rows out of open files, whatever the format, in order or spread over the whole source."""

from __future__ import annotations

import csv
import gzip
import io
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, Any, cast

from curator import network, plain_json
from curator.adapters import pages
from curator.data import Row, Sampling, Where
from curator.errors import SourceError

WINDOW = 4  # files, and row groups, that are read side by side
BUFFER_ROWS = 512  # of the shuffle buffer; a row leaves it when another comes
BUFFER_BYTES = 16 << 20
BATCH_ROWS, BATCH_BYTES = 128, 256 << 20  # of a parquet row group decoded at a time
MAX_ROW_BYTES = 64 << 20  # a longer line is an error; a larger row of parquet is dropped
VALUE_BYTES = 250  # that a value within a list or a struct may take as an object; in Arrow it may take a bit
MANY_BYTES = 128 << 10  # of such objects in a row, above which they count as its size
MOST_BLANK = 8 << 20  # bytes of blank lines in a row, of JSON lines: a few KB of gzip are any number of them
MOST_DELIMITERS = 1 << 20  # of a record of CSV, in quotes or not; a short field takes up to 80 bytes
MOST_COLUMNS = 16_384  # of CSV, as many as a spreadsheet has; every row is a mapping of all of them
MOST_IN_ARRAY = 8 << 20  # commas and opening brackets of all rows of a JSON array, which is read whole
MAX_WHOLE_BYTES = 128 << 20  # of a JSON array
MAX_TEXT_BYTES = 8 << 20  # a text or source file
PROBED_ROWS = 100  # rows after which a column that never appeared is an error
FORMATS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
}
COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True, slots=True)
class File:
    """A file by the name it has within its source, and how to open it for reading bytes."""

    name: str
    open: Callable[[], IO[bytes]]
    language: str | None = None

    @property
    def format(self) -> str:
        """parquet, jsonl, json, csv, tsv, or text for anything else."""
        return format_of(self.name)


def let_wait(workers: int) -> None:
    """Have room for so many workers that wait for parquet: Arrow reads on eight threads of its own, which they all share."""
    import pyarrow as pa

    pa.set_io_thread_count(max(workers, pa.io_thread_count()))


def format_of(name: str) -> str:
    """The format that a file name says, whatever it is compressed with."""
    path = PurePosixPath(name)
    if path.suffix in COMPRESSED:
        path = path.with_suffix("")
    return FORMATS.get(path.suffix.lower(), "text")


def read(files: Sequence[File], where: Where, *, seed: str, sampling: Sampling) -> Iterator[Row]:
    """The rows of ``files``. ``head`` takes them in order. ``spread`` takes a seeded choice: files in a random order, a
    few row groups or files side by side, through a shuffle buffer. Raises SourceError for a column that is not there."""
    wanted = where.columns
    if sampling == "head":
        strands = (rows for file in files for rows in _strands(file, wanted))
        spread: Iterator[Row] = (row for rows in strands for row in rows())
    else:
        rng = random.Random(seed)
        spread = _shuffled(_interleaved(_scattered(files, wanted, rng), rng), rng)
    return _matching(_with_columns(spread, wanted), where)


Strand = Callable[[], Iterator[Row]]
Record = tuple[Mapping[str, Any] | str, int]  # a record, or why there is none; and its size in bytes


def _scattered(files: Sequence[File], columns: Sequence[str], rng: random.Random) -> Iterator[Strand]:
    """Strands of a random few files at a time, so that no more than those are opened for a small quota."""
    order = list(files)
    rng.shuffle(order)
    while order:
        few, order = order[:WINDOW], order[WINDOW:]
        strands = [s for file in few for s in _strands(file, columns)]
        rng.shuffle(strands)
        yield from strands


def _interleaved(strands: Iterator[Strand], rng: random.Random) -> Iterator[Row]:
    opened = [s() for s in islice(strands, WINDOW)]
    while opened:
        position = rng.randrange(len(opened))
        row = next(opened[position], None)
        if row is not None:
            yield row
            continue
        following = next(strands, None)
        if following is None:
            del opened[position]
        else:
            opened[position] = following()


def _shuffled(rows: Iterator[Row], rng: random.Random) -> Iterator[Row]:
    buffer: list[Row] = []
    held = 0
    for row in rows:
        buffer.append(row)
        held += row.size
        while buffer and (len(buffer) >= BUFFER_ROWS or held > BUFFER_BYTES):
            position = rng.randrange(len(buffer))
            buffer[position], buffer[-1] = buffer[-1], buffer[position]
            held -= buffer[-1].size
            yield buffer.pop()
    rng.shuffle(buffer)
    yield from buffer


def _with_columns(rows: Iterator[Row], columns: Sequence[str]) -> Iterator[Row]:
    """Pass rows on, and raise SourceError when a column has not shown up in the first rows."""
    missing, found, count = set(columns), set[str](), 0
    for row in rows:
        yield row
        if missing and count < PROBED_ROWS and row.broken is None:
            count += 1
            found |= row.values.keys()
            missing -= row.values.keys()
            if missing and count == PROBED_ROWS:
                break
    if missing and count:
        raise SourceError(no_column(sorted(missing), sorted(found)))


def no_column(missing: Iterable[str], found: Iterable[str]) -> str:
    """The message for columns that are not there."""
    names = ", ".join(repr(c) for c in missing)
    return f"no column {names}; it has {', '.join(found) or 'none'}; mend `columns` in the card or the mix"


def _matching(rows: Iterator[Row], where: Where) -> Iterator[Row]:
    """Only rows of the language that is asked for, where a column or a path tells it."""
    values = {v.lower() for v in where.language_values}
    for row in rows:
        network.go_on()  # in a rare language it may be long until the next one, and only that is seen outside
        if row.broken is not None:
            yield row
            continue
        if where.language_column and str(row.values.get(where.language_column)).lower() not in values:
            continue
        if where.path_column and where.extensions and not str(row.values.get(where.path_column)).lower().endswith(where.extensions):
            continue
        yield row


def _strands(file: File, columns: Sequence[str]) -> list[Strand]:
    """The parts of a file that can be read on their own: its row groups, or the whole of it."""
    if file.format == "parquet":
        return _row_groups(file, columns)
    reader = {"jsonl": _jsonl, "json": _json, "csv": _csv, "tsv": _csv, "text": _text}[file.format]
    return [lambda: (_row(f"{file.name}#{index}", values, size) for index, (values, size) in enumerate(_whole_read(file, reader)))]


def _whole_read(file: File, reader: Callable[[File], Iterator[Record]]) -> Iterator[Record]:
    """The records of a file, with a damaged compression told as such."""
    try:
        yield from reader(file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{file.name}: damaged or cut short: {error}") from None
    except OSError as error:
        if not file.name.endswith(".zst") or not _of_arrow(error):
            raise
        raise SourceError(f"{file.name}: damaged or cut short: {error}") from None


def _row(key: str, values: Mapping[str, Any] | str, size: int) -> Row:
    return Row(key, {}, size, broken=values) if isinstance(values, str) else Row(key, values, size)


def parquet_columns(file: File) -> list[str]:
    """The columns of a parquet file, from its footer. Raises SourceError where it is none."""
    table, _ = _parquet(file)
    with _damage_told(file):
        return list(table.schema_arrow.names)


def _parquet(file: File) -> tuple[Any, Sequence[pages.Group]]:
    import pyarrow.parquet as pq

    with _damage_told(file):
        stream = pages.Watched(file.name, file.open())
        table = pq.ParquetFile(stream, buffer_size=1 << 20)
        try:
            groups = pages.groups(stream.footer())
        except (ValueError, IndexError) as error:
            raise SourceError(f"{file.name}: not a parquet file, damaged or cut short: its footer: {error}") from None
        stream.expect(groups)
        return table, groups


@contextmanager
def _damage_told(file: File) -> Iterator[None]:
    """What Arrow says of a damaged file as SourceError; errors of the place that it comes from pass through."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and not _of_arrow(error):
            raise
        raise SourceError(f"{file.name}: not a parquet file, damaged or cut short: {str(error)[:300]}") from None


def _of_arrow(error: OSError) -> bool:
    """Whether Arrow says so, and not the place that a file comes from: its errors have no number, and no more specific class."""
    return type(error) is OSError and error.errno is None


def _row_groups(file: File, columns: Sequence[str]) -> list[Strand]:
    (table, groups), found = _parquet(file), parquet_columns(file)
    missing = [c for c in columns if c not in found]
    if missing:
        raise SourceError(no_column(missing, found))
    starts = [0]
    for described in groups:
        starts.append(starts[-1] + described.rows)

    def rows(group: int) -> Iterator[Row]:
        index = starts[group]
        for batch in _batches(file, table, group, columns, rows=_batch_rows(groups[group], columns)):
            for part, size in _parts(batch):
                if size > MAX_ROW_BYTES:
                    yield from (Row(f"{file.name}#{index + n}", {}, size, broken=f"a row of {size >> 20} MiB") for n in range(part.num_rows))
                    index += part.num_rows
                    continue
                for values in _values(part):
                    yield _row(f"{file.name}#{index}", values, size)
                    index += 1

    return [lambda group=group: rows(group) for group in range(len(groups))]  # type: ignore[misc]


def _parts(batch: Any) -> Iterator[tuple[Any, int]]:
    """A batch, and the bytes of each of its rows; or its rows one by one, where its values would be too many objects at once."""
    objects, rows = VALUE_BYTES * sum(map(_values_within, batch.columns)), max(1, batch.num_rows)
    if objects > BATCH_BYTES and rows > 1:
        for position in range(rows):
            yield from _parts(batch.slice(position, 1))
    else:
        size = batch.nbytes // rows
        yield batch, max(size, objects // rows) if objects // rows > MANY_BYTES else size


def _values_within(array: Any) -> int:
    """How many values stand within the lists and structs of an Arrow array, lists and structs among them."""
    import pyarrow as pa

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if not pa.types.is_nested(array.type):
        return 0
    if pa.types.is_map(array.type):
        start, end = array.offsets[0].as_py(), array.offsets[-1].as_py()
        parts = [array.keys[start:end], array.keys[start:end], array.items[start:end]]  # a pair, its key and its value
    else:
        parts = array.flatten() if pa.types.is_struct(array.type) else [array.flatten()]
    return sum(len(part) + _values_within(part) for part in parts)


def _values(batch: Any) -> Iterator[Mapping[str, Any] | str]:
    """The rows of a batch; where a value is none of Python's (a text that is not UTF-8, a date beyond its years), one by one, so that
    only those that hold it are lost."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):
        for position in range(batch.num_rows):
            try:
                (values,) = batch.slice(position, 1).to_pylist()
            except UnicodeDecodeError as error:
                values = f"not UTF-8: {error.reason}"
            except (ValueError, OverflowError) as error:
                values = f"a value that cannot be read: {error}"
            yield values


def _batches(file: File, table: Any, group: int, columns: Sequence[str], *, rows: int) -> Iterator[Any]:
    with _damage_told(file):
        yield from table.iter_batches(rows, row_groups=[group], columns=list(columns) or None, use_threads=False)


def _batch_rows(group: pages.Group, columns: Sequence[str]) -> int:
    """Rows to decode at a time. A text that stands once in a column's dictionary can be the value of every row, so no row is
    taken for smaller than the whole of the largest column."""
    sizes = [column.unpacked for column in group.columns if not columns or column.name in columns]
    return max(1, min(BATCH_ROWS, BATCH_BYTES // max([1, *sizes])))


def _decompressed(file: File) -> IO[bytes]:
    stream = file.open()
    if file.name.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(stream))
    if file.name.endswith(".zst"):
        import pyarrow as pa

        # Of Arrow, because the reader of `zstandard` takes a file that was cut short for one that ends there.
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd"), 1 << 18)
    return stream


def _jsonl(file: File) -> Iterator[Record]:
    # Remote files have a readline without a limit; this one has it.
    stream = io.BufferedReader(cast("io.RawIOBase", _decompressed(file)), 1 << 18)
    blank = 0  # bytes of nothing since the last record
    for line in iter(lambda: stream.readline(MAX_ROW_BYTES + 1), b""):
        if len(line) > MAX_ROW_BYTES:
            raise SourceError(f"{file.name}: a line of more than {MAX_ROW_BYTES >> 20} MiB; is it JSON lines?")
        if not line.strip():
            network.go_on()
            blank += len(line)
            if blank > MOST_BLANK:
                raise SourceError(f"{file.name}: more than {MOST_BLANK >> 20} MiB of blank lines; is it JSON lines?")
            continue
        blank = 0
        try:
            value = plain_json.loads(line)
        except (ValueError, RecursionError) as error:
            yield f"not JSON: {error}", len(line)
            continue
        yield (value if isinstance(value, dict) else "not a JSON object"), len(line)


def _json(file: File) -> Iterator[Record]:
    """A JSON array, an object holding one (``{"data": [...]}``), or JSON lines under the name .json."""
    data = _whole(file, MAX_WHOLE_BYTES)
    try:
        value = plain_json.loads(data, most=MOST_IN_ARRAY)
    except (ValueError, RecursionError) as error:
        if isinstance(error, plain_json.TooMany) and data.lstrip().startswith(b"["):
            raise SourceError(f"{file.name}: an array with {error}; give it as JSON lines or parquet") from None
        lines = File(file.name.removesuffix(".gz").removesuffix(".zst"), lambda: io.BytesIO(data))
        yield from _jsonl(lines)
        return
    if isinstance(value, dict):
        value = next((v for v in value.values() if isinstance(v, list) and v and isinstance(v[0], dict)), [value])
    size = len(data) // max(1, len(value)) if isinstance(value, list) else 0
    for item in value if isinstance(value, list) else []:
        yield (item if isinstance(item, dict) else "not a JSON object"), size


def _csv(file: File) -> Iterator[Record]:
    csv.field_size_limit(MAX_ROW_BYTES)
    delimiter = "\t" if file.format == "tsv" else ","
    lines = _Lines(file, delimiter)
    reader = csv.DictReader(lines, delimiter=delimiter)
    try:
        if len(reader.fieldnames or ()) > MOST_COLUMNS:
            raise SourceError(f"{file.name}: more than {MOST_COLUMNS:,} columns; is it CSV?")
        lines.begin_record()
        for values in reader:
            lines.begin_record()
            yield {str(k): v for k, v in values.items()}, sum(len(str(v)) for v in values.values())
    except csv.Error as error:
        raise SourceError(f"{file.name}: not CSV: {error}") from None


class _Lines:
    """The lines of a file of CSV, as long as its records are within bounds. A field in quotes runs over any number of lines, so the
    reader tells where a record begins; one beyond MAX_ROW_BYTES characters or MOST_DELIMITERS is a SourceError."""

    def __init__(self, file: File, delimiter: str) -> None:
        self._name = file.name
        self._text = io.TextIOWrapper(_decompressed(file), encoding="utf-8-sig", errors="replace", newline="")
        self._delimiter = delimiter
        self.begin_record()

    def begin_record(self) -> None:
        """Count anew."""
        self._taken = self._delimiters = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        network.go_on()
        line = self._text.readline(MAX_ROW_BYTES + 1 - self._taken)
        self._taken += len(line)
        if self._taken > MAX_ROW_BYTES:
            raise SourceError(f"{self._name}: a record of more than {MAX_ROW_BYTES >> 20} MiB; is it CSV?")
        self._delimiters += line.count(self._delimiter)
        if self._delimiters > MOST_DELIMITERS:
            raise SourceError(f"{self._name}: a record with more than {MOST_DELIMITERS:,} delimiters; give it as JSON lines or parquet")
        if not line:
            raise StopIteration
        return line


def _text(file: File) -> Iterator[Record]:
    """One row for the whole file: ``path``, ``text`` and, where its name tells, ``language``."""
    try:
        data = _whole(file, MAX_TEXT_BYTES)
    except SourceError as error:
        yield str(error), 0
        return
    if b"\0" in data[:8192]:
        yield "not text: it holds NUL bytes", len(data)
        return
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    yield {"path": file.name, "text": text, "language": file.language}, len(data)


def _whole(file: File, limit: int) -> bytes:
    with _decompressed(file) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise SourceError(f"{file.name}: more than {limit >> 20} MiB in one piece; give it as JSON lines or parquet")
    return data
