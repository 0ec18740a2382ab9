"""Files as rows: every format, in order and spread, with what is wrong in them told."""

from __future__ import annotations

import gzip
import io
import json
import random
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curator import network, plain_json
from curator.adapters import files, reading
from curator.adapters.reading import File
from curator.data import Row, Where
from curator.errors import SourceError
from curator.pull import Batch, Counts, Mark, Recording, _wanted

ROWS = [{"n": n, "t": f"text {n}"} for n in range(3000)]
LINES = "".join(json.dumps(r) + "\n" for r in ROWS).encode()


def memory(name: str, data: bytes) -> File:
    return File(name, lambda: io.BytesIO(data))


def parquet(rows: list[dict[str, object]], *, groups: int = 500) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=groups)
    return sink.getvalue()


ENCODED = {
    "a.jsonl": LINES,
    "a.jsonl.gz": gzip.compress(LINES),
    "a.jsonl.zst": zstandard.compress(LINES),
    "a.json": json.dumps(ROWS).encode(),
    "b.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "c.json": LINES,
    "a.parquet": parquet(ROWS),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("sampling", ["spread", "head"])
def test_every_format_gives_every_row_once_with_its_place(name: str, sampling: str) -> None:
    rows = list(reading.read([memory(name, ENCODED[name])], Where(columns=("n", "t")), seed="s", sampling=sampling))
    assert sorted(r.values["n"] for r in rows) == list(range(3000))
    assert all(r.key == f"{name}#{r.values['n']}" for r in rows)
    assert [r.values["n"] for r in rows] != list(range(3000)) if sampling == "spread" else True


def test_csv() -> None:
    data = b'n,t\n1,"a\nb"\n2,c\n'
    rows = list(reading.read([memory("a.csv", data)], Where(columns=("n", "t")), seed="s", sampling="head"))
    assert [dict(r.values) for r in rows] == [{"n": "1", "t": "a\nb"}, {"n": "2", "t": "c"}]


def test_spread_is_seeded_and_reaches_all_over_a_sorted_file() -> None:
    file = [memory("a.parquet", ENCODED["a.parquet"])]

    def first(seed: str) -> list[int]:
        rows = reading.read(file, Where(columns=("n",)), seed=seed, sampling="spread")
        return [next(rows).values["n"] for _ in range(100)]

    assert first("s") == first("s")
    assert first("s") != first("other")
    assert len({n // 500 for n in first("s")}) >= 3, "a hundred rows come from several row groups"


def test_only_the_columns_asked_for_are_read() -> None:
    rows = list(reading.read([memory("a.parquet", ENCODED["a.parquet"])], Where(columns=("t",)), seed="s", sampling="head"))
    assert set(rows[0].values) == {"t"}


@pytest.mark.parametrize("name", ENCODED)
def test_a_missing_column_names_those_there_are(name: str) -> None:
    with pytest.raises(SourceError, match=r"no column 'body'.*it has n, t"):
        list(reading.read([memory(name, ENCODED[name])], Where(columns=("body",)), seed="s", sampling="head"))


def test_broken_lines_are_rows_that_say_why() -> None:
    rows = list(reading.read([memory("a.jsonl", b'{"n": 1}\n{"n": \n[1]\n\n{"n": 2}\n')], Where(columns=("n",)), seed="s", sampling="head"))
    assert [r.broken is None for r in rows] == [True, False, False, True]


def test_cut_files_are_source_errors() -> None:
    with pytest.raises(SourceError, match="not a parquet file"):
        list(reading.read([memory("a.parquet", ENCODED["a.parquet"][:500])], Where(), seed="s", sampling="head"))
    with pytest.raises(SourceError, match="cut short"):
        list(reading.read([memory("a.jsonl.gz", ENCODED["a.jsonl.gz"][:500])], Where(), seed="s", sampling="head"))
    with pytest.raises(SourceError, match="cut short"):
        list(reading.read([memory("a.jsonl.zst", b"not zstd at all")], Where(), seed="s", sampling="head"))


@pytest.mark.parametrize("kept", [10, 500, -20, -1])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_zst_file_that_ends_within_a_frame_is_cut_short(frames: int, kept: int) -> None:
    frame = zstandard.compress(random.Random(1).randbytes(3000))
    data = zstandard.compress(LINES) * (frames - 1) + frame[:kept]
    with pytest.raises(SourceError, match="cut short"):
        list(reading.read([memory("a.jsonl.zst", data)], Where(), seed="s", sampling="head"))


def test_a_zst_file_of_several_frames_is_read_whole() -> None:
    rows = reading.read([memory("a.jsonl.zst", ENCODED["a.jsonl.zst"] * 2)], Where(), seed="s", sampling="head")
    assert [r.values["n"] for r in rows] == [*range(3000)] * 2


def test_rows_of_one_language_by_column_or_by_path() -> None:
    lines = b"".join(json.dumps({"lang": lang, "p": p}).encode() + b"\n" for lang, p in (("heb", "a.vb"), ("fra", "b.bas"), ("HEB", "c.bas")))
    by_column = Where(columns=("lang",), language_column="lang", language_values=("heb",))
    assert [r.values["p"] for r in reading.read([memory("a.jsonl", lines)], by_column, seed="s", sampling="head")] == ["a.vb", "c.bas"]
    by_path = Where(columns=("lang",), path_column="p", extensions=(".bas",))
    assert [r.values["p"] for r in reading.read([memory("a.jsonl", lines)], by_path, seed="s", sampling="head")] == ["b.bas", "c.bas"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in {
        "src/a.rs": "fn a() {}\n",
        "src/b.py": "b = 1\n",
        "README.md": "# read\n",
        ".git/c.py": "hidden\n",
        "node_modules/d.js": "theirs\n",
        "image.py": "\0binary",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_tree_of_sources(repository: Path) -> None:
    where = Where(path=".", base=str(repository), columns=("text", "path"))
    resolved = files.resolve(where, memo={})
    assert resolved.files == ("image.py", "src/a.rs", "src/b.py")
    rows = list(files.rows(where, resolved, seed="s", sampling="head"))
    assert [(r.values["path"], r.values["language"]) for r in rows if not r.broken] == [("src/a.rs", "rust"), ("src/b.py", "python")]
    assert [r.broken for r in rows if r.broken] == ["not text: it holds NUL bytes"]
    markdown = Where(path=".", base=str(repository), extensions=(".md",))
    assert files.resolve(markdown, memo={}).files == ("README.md",)


def test_a_changed_tree_is_another_revision(repository: Path) -> None:
    where = Where(path=".", base=str(repository))
    before = files.resolve(where, memo={}).revision
    assert files.resolve(where, memo={}).revision == before
    (repository / "src/a.rs").write_text("fn b() {}\n")
    assert files.resolve(where, memo={}).revision != before


def test_a_path_that_is_not_there_or_holds_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="paths are relative to the mix"):
        files.resolve(Where(path="none", base=str(tmp_path)), memo={})
    with pytest.raises(SourceError, match="no file there matches"):
        files.resolve(Where(path=".", base=str(tmp_path)), memo={})


def test_rows_that_are_skipped_end_when_nobody_waits_for_the_next() -> None:
    budget = network.Budget()
    where = Where(language_column="lang", language_values=("Rust",))

    def rows() -> Iterator[Row]:
        for number in range(1000):
            if number == 10:
                budget.close()
            yield Row(f"a#{number}", {"lang": "Go"}, 1)

    with network.spending(budget), pytest.raises(network.GaveUp):
        list(reading._matching(rows(), where))


def test_rows_that_are_read_again_end_when_nobody_waits_for_the_next() -> None:
    budget = network.Budget()
    budget.close()
    with network.spending(budget), pytest.raises(network.GaveUp):
        next(_wanted(Row(f"a#{number}", {}, 1) for number in range(1000)))


def test_a_recording_goes_on_after_the_draw_that_began_it() -> None:
    def making() -> Iterator[Batch]:
        for number in range(1, 4):
            network.go_on()
            yield Batch([], Counts(), number == 3, Mark(number))

    budget = network.Budget()
    budget.close()
    with network.spending(budget):
        assert [b.mark.batches for b in Recording(making()).replay()] == [1, 2, 3]


@pytest.mark.parametrize("record", ["x" * 2000, '"' + "x" * 2000 + '"', '"' + "x\n" * 1000 + '"', "," * 2000])
def test_a_record_of_csv_has_a_limit_over_all_its_lines(record: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ROW_BYTES", 1000)
    many = "n,t\n" + '1,"t\nw\no"\n' * 1000

    def rows(text: str) -> int:
        return sum(1 for _ in reading.read([memory("a.csv", text.encode())], Where(columns=("n", "t")), seed="s", sampling="head"))

    assert rows(many) == 1000
    with pytest.raises(SourceError, match="a record of more than"):
        rows(many + record + "\n" + many)


@pytest.mark.parametrize("record", ["," * 200, "x," * 200, '"' + ",\n" * 200 + '"', "\t," * 200])
@pytest.mark.parametrize("heading", ["", "n,t\n"])
def test_a_record_of_csv_has_a_limit_of_fields(record: str, heading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_DELIMITERS", 100)
    for name, text in (("a.csv", heading + record), ("a.tsv", (heading + record).translate({44: "\t", 9: ","}))):
        with pytest.raises(SourceError, match="a record with more than 100 delimiters"):
            list(reading.read([memory(name, text.encode())], Where(), seed="s", sampling="head"))


def test_csv_has_a_limit_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_COLUMNS", 3)
    assert len(list(reading.read([memory("a.csv", b"a,b,c\n1,2\n")], Where(), seed="s", sampling="head"))) == 1
    with pytest.raises(SourceError, match="more than 3 columns"):
        list(reading.read([memory("a.csv", b"a,b,c,d\n1,2\n")], Where(), seed="s", sampling="head"))


def test_values_within_a_row_are_bounded_as_objects() -> None:
    few, many = [{"a": True}] * 3, 1_000_000
    flags = pa.array([True] * (many + 3))
    lists = pa.ListArray.from_arrays(pa.array([0, 3, many + 3]), pa.StructArray.from_arrays([flags], ["a"]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": [0, 1], "t": lists}), sink)
    tracemalloc.start()
    try:
        first, second = reading.read([memory("a.parquet", sink.getvalue())], Where(columns=("n", "t")), seed="s", sampling="head")
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    assert first.values == {"n": 0, "t": few}
    assert "MiB" in str(second.broken)
    assert second.key == "a.parquet#1"


@pytest.mark.parametrize(
    ("rows", "within"),
    [
        ([[1, 2], [], None], 2),
        ([{"a": 1, "b": [1, 2]}, None], 6),
        ([[[], [], [1]]], 4),
        (["text"], 0),
    ],
)
def test_values_within_lists_and_structs(rows: list[object], within: int) -> None:
    assert reading._values_within(pa.array(rows)) == within
    assert reading._values_within(pa.array([*rows, *rows]).slice(len(rows))) == within


def test_values_within_maps() -> None:
    maps = pa.array([[("a", 1)], [("a", 1), ("b", 2)], []], pa.map_(pa.string(), pa.int64()))
    assert [reading._values_within(part) for part in (maps, maps[1:], maps[:1], maps[2:])] == [9, 6, 3, 0]


def test_more_files_may_wait_than_arrow_has_threads() -> None:
    reading.let_wait(12)
    go_on, waiting, started = threading.Event(), threading.Semaphore(0), set[int]()

    class Waiting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if threading.get_ident() not in started:  # a thread of Arrow's
                waiting.release()
                go_on.wait(30)
            return super().read(size)

    def first(opened: type[io.BytesIO]) -> Row:
        started.add(threading.get_ident())
        file = File("a.parquet", lambda: opened(parquet(ROWS[:2])))
        return next(reading.read([file], Where(columns=("t",)), seed="s", sampling="head"))

    with ThreadPoolExecutor(12) as executor:
        held = [executor.submit(first, Waiting) for _ in range(11)]
        try:
            assert all(waiting.acquire(timeout=10) for _ in held)
            assert executor.submit(first, io.BytesIO).result(10).values["t"] == "text 0"
        finally:
            go_on.set()
        assert {h.result(10).values["t"] for h in held} == {"text 0"}


@pytest.mark.parametrize("unit", [b"[],", b'{"":{}},', b"1,"])
def test_json_of_more_values_than_there_is_room_for(unit: bytes) -> None:
    line = b'{"n": [' + unit * plain_json.MOST + b"0]}"
    dropped, kept = reading.read([memory("a.jsonl", line + b'\n{"n": 1}\n')], Where(), seed="s", sampling="head")
    assert dropped.broken is not None
    assert "more than 4,194,304 commas and brackets" in dropped.broken
    assert kept.values == {"n": 1}
    array = b" [" + unit * reading.MOST_IN_ARRAY + b"0]"
    with pytest.raises(SourceError, match=r"a\.json: an array with more than 8,388,608 commas and brackets; give it as JSON lines or parquet"):
        next(reading.read([memory("a.json", array)], Where(), seed="s", sampling="head"))


def test_a_long_text_is_not_taken_for_many_values() -> None:
    text = "words, " * (9 << 20)
    (row,) = reading.read([memory("a.json", json.dumps([{"t": text[: 28 << 20]}]).encode())], Where(), seed="s", sampling="head")
    assert len(row.values["t"]) == 28 << 20


@pytest.mark.parametrize("blank", [b"\n", b"   \r\n"])
def test_blank_lines_have_a_limit(blank: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BLANK", 1 << 10)
    some, many = LINES + blank * 100 + LINES, LINES + blank * 2000 + LINES
    assert len(list(reading.read([memory("a.jsonl", some)], Where(), seed="s", sampling="head"))) == 2 * len(ROWS)
    with pytest.raises(SourceError, match="of blank lines; is it JSON lines"):
        list(reading.read([memory("a.jsonl.gz", gzip.compress(many))], Where(), seed="s", sampling="head"))


@pytest.mark.parametrize(("name", "data"), [("a.jsonl", b"\n" * 100), ("a.csv", b't\n"' + b"a\n" * 100)])
def test_lines_that_give_no_row_end_when_nobody_waits_for_the_next(name: str, data: bytes) -> None:
    budget = network.Budget("a")
    budget.close()
    with network.spending(budget), pytest.raises(network.GaveUp):
        list(reading.read([memory(name, data)], Where(), seed="s", sampling="head"))


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("s"), pa.date64()])
def test_a_date_beyond_the_years_of_python_costs_its_row(kind: pa.DataType) -> None:
    days = pa.array([1, 1 << 30, 2], pa.int32()) if kind.bit_width == 32 else pa.array([1, 1 << 50, 2], pa.int64())
    sink = io.BytesIO()
    pq.write_table(pa.table({"t": ["a", "b", "c"], "at": days.view(kind)}), sink)
    rows = list(reading.read([memory("a.parquet", sink.getvalue())], Where(), seed="s", sampling="head"))
    assert [row.values.get("t") for row in rows] == ["a", None, "c"]
    assert "a value that cannot be read" in str(rows[1].broken)
