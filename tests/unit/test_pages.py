"""Parquet files that lie about their sizes: refused before Arrow makes room for what they say."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curator.adapters import pages, reading
from curator.data import Where
from curator.errors import SourceError


def number(value: int) -> bytes:
    """A number as Thrift's compact protocol writes it."""
    value <<= 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def footer(data: bytes) -> tuple[bytes, bytes]:
    (size,) = struct.unpack("<I", data[-8:-4])
    return data[: -8 - size], data[-8 - size : -8]


def with_footer(data: bytes, old: int, new: int) -> bytes:
    """The file with one number for another wherever the footer has it."""
    body, tail = footer(data)
    assert number(old) in tail
    tail = tail.replace(number(old), number(new))
    return body + tail + struct.pack("<I", len(tail)) + b"PAR1"


def written(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, store_schema=False, compression="zstd", **options)
    return sink.getvalue()


def column(data: bytes) -> Any:
    return pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)


def rows(data: bytes, *columns: str) -> list[Any]:
    return list(reading.read([reading.File("a.parquet", lambda: io.BytesIO(data))], Where(columns=columns), seed="1", sampling="head"))


def one_text(size: int, count: int) -> bytes:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["a" * size]))
    return written(pa.table({"t": texts}))


def small_footer(data: bytes) -> bytes:
    return with_footer(data, column(data).total_uncompressed_size, 1000)


def huge_page_header() -> bytes:
    data = written(pa.table({"t": ["x" * 70_000] * 3}), use_dictionary=False)
    start = column(data).data_page_offset + 3  # behind the type and the mark of the next field
    end = next(n for n in range(start, start + 5) if data[n] < 128) + 1
    return data[:start] + number(2**31 - 1) + data[end:]


LIES = {
    "a dictionary that the footer does not tell of": (lambda: small_footer(one_text(60 << 20, 128)), "its footer tells of 1,000 bytes"),
    "pages that the footer does not tell of": (
        lambda: small_footer(written(pa.table({"t": ["c" * (1 << 20)] * 64}), use_dictionary=False)),
        "tells of 1,000 bytes",
    ),
    "a page of 400 MiB": (lambda: written(pa.table({"t": ["c" * (4 << 20)] * 100}), use_dictionary=False, data_page_size=1 << 30), "a page of 400 MiB"),
    "a page header that claims 2 GiB": (huge_page_header, "a page of 2047 MiB"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_told(lie: str) -> None:
    make, said = LIES[lie]
    with pytest.raises(SourceError, match=f"a.parquet: .*{said}"):
        rows(make())


def test_what_lies_is_refused_before_it_costs_memory(tmp_path: Path) -> None:
    """A footer that hides 60 MB in each of 128 rows made Arrow take 11.7 GB."""
    (tmp_path / "a.parquet").write_bytes(small_footer(one_text(60 << 20, 128)))
    code = """if True:
        import sys
        import pyarrow.parquet
        from curator.adapters import reading
        from curator.data import Where
        peak = lambda: int(next(x for x in open("/proc/self/status") if x.startswith("VmHWM")).split()[1]) >> 10
        before = peak()
        try:
            list(reading.read([reading.File("a.parquet", lambda: open(sys.argv[1], "rb"))], Where(), seed="1", sampling="spread"))
        except reading.SourceError:
            print(peak() - before)
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc")
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.parquet")], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert int(ran.stdout) < 200, ran.stderr


@pytest.mark.parametrize("claimed", [2**31 - 5, 2**62])
def test_rows_that_are_not_there_are_not_waited_for(claimed: int) -> None:
    assert len(rows(with_footer(written(pa.table({"t": ["x"] * 3000})), 3000, claimed))) == 3000


MANY = {
    "t": [f"{n} {'é' * (n % 300)}" for n in range(5000)],
    "n": list(range(5000)),
    "l": [[{"role": "user", "content": "x" * (n % 50)}] * (n % 4) for n in range(5000)],
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data_page_version": "2.0"},
        {"use_dictionary": False},
        {"data_page_size": 64},
        {"row_group_size": 7},
        {"write_page_checksum": True},
        {"write_page_index": True},
    ],
    ids=str,
)
def test_honest_files_are_read_as_before(options: dict[str, Any]) -> None:
    data = written(pa.table(MANY), **options)
    assert [r.values for r in rows(data, "t", "n", "l")] == pa.table(MANY).to_pylist()
    assert [r.values for r in rows(data, "l")] == pa.table({"l": MANY["l"]}).to_pylist()


class Trickle(io.BytesIO):
    """Gives a few bytes at a time, as a network may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(7 if size is None or not 0 <= size < 7 else size)


def test_headers_that_come_in_pieces_are_seen_whole() -> None:
    lying, honest = (make(written(pa.table({"t": ["c" * 9000] * 500}), use_dictionary=False)) for make in (small_footer, bytes))
    for data, refused in ((lying, True), (honest, False)):
        table = pq.ParquetFile(io.BytesIO(data))
        watched = pages.Watched("a.parquet", Trickle(data))
        watched.expect(pages.groups(footer(data)[1]))
        watched.seek(table.metadata.row_group(0).column(0).data_page_offset)
        outcome = None
        try:
            while watched.read(1000):
                pass
        except SourceError as error:
            outcome = error
        assert bool(outcome) == refused, outcome


def test_a_header_that_is_none_is_told() -> None:
    data = written(pa.table({"t": ["x"] * 9}))
    place = column(data).dictionary_page_offset
    for broken in (b"\x1b" * 40, b"\x15" + b"\xff" * 40, b"\x1c" * 40):
        with pytest.raises(SourceError, match="damaged or cut short"):
            rows(data[:place] + broken + data[place + 40 :])


def test_no_byte_of_a_schema_ends_the_process() -> None:
    """Where the statistics of a column contradict its schema, pyarrow ends the process when it is asked for the column's metadata."""
    code = """if True:
        import io
        from curator.adapters import reading
        from curator.data import Where
        from curator.errors import SourceError
        from tests.fuzz import mutations
        pages, footer = mutations.parquet_parts()
        refused = 0
        for place in range(120):
            spoilt = bytearray(footer)
            spoilt[place] = (spoilt[place] + 16) % 256
            data = pages + bytes(spoilt) + len(spoilt).to_bytes(4, "little") + b"PAR1"
            try:
                list(reading.read([reading.File("a.parquet", lambda: io.BytesIO(data))], Where(), seed="1", sampling="head"))
            except SourceError:
                refused += 1
        print(refused)
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 20


def test_a_footer_that_is_longer_than_the_first_look_at_it() -> None:
    """Arrow reads the last 64 KiB, and then what is missing."""
    wide = {f"column {n} {'x' * 200}": [n, n + 1] for n in range(600)}
    data = written(pa.table(wide))
    assert len(footer(data)[1]) > 1 << 16
    assert [r.values for r in rows(data)] == pa.table(wide).to_pylist()
    watched = pages.Watched("a.parquet", io.BytesIO(data))
    pq.ParquetFile(watched)
    assert watched.footer() == footer(data)[1]


def listed(text: str, *, times: int, codec: str = "zstd", **options: Any) -> bytes:
    """One row whose list says one text so often; in the file it stands once."""
    items = pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array([text]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"l": pa.ListArray.from_arrays(pa.array([0, times]), items)}), sink, store_schema=False, compression=codec, **options)
    return sink.getvalue()


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}], ids=str)
def test_a_text_that_a_list_says_millions_of_times_is_refused(codec: str, options: dict[str, Any]) -> None:
    data = listed("a" * 1000, times=5_000_000, codec=codec, **options)
    assert len(data) < 200_000
    with pytest.raises(SourceError, match=r"a text of 1,000 bytes 5,000,000 times|a text of 1,000 bytes 4,\d{3},\d{3} times"):
        rows(data, "l")


def test_short_texts_and_few_items_are_read() -> None:
    assert len(rows(listed("user", times=200_000), "l")[0].values["l"]) == 200_000
    assert len(rows(listed("a" * 100_000, times=50), "l")[0].values["l"]) == 50


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_dictionary_that_comes_in_pieces_is_seen_whole(size: int) -> None:
    data = listed("a" * 1000, times=5_000_000, codec="none")
    found = pages.groups(footer(data)[1])
    assert [c.inner for group in found for c in group.columns] == [True]
    watched = pages.Watched("a.parquet", io.BytesIO(data))
    watched.expect(found)
    with pytest.raises(SourceError, match=r"a text of 1,000 bytes"):
        list(iter(lambda: watched.read(size), b""))


def test_the_longest_of_a_dictionary_that_cannot_be_seen_is_all_of_it() -> None:
    texts = b"".join(struct.pack("<I", len(t)) + t for t in (b"a", b"bcd", b""))
    assert pages._longest(texts, len(texts), 0) == 3
    assert pages._longest(b"no zstd", 500, 6) == 500
    assert pages._longest(texts, 500, 3) == 500
    assert pages._longest(struct.pack("<I", 2**31), 4, 0) == 4
