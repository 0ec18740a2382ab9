"""Reads and writes past the page cache give the same bytes as any, and do without where the system cannot."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from curator.checkpoints import reading, uncached

Call = Callable[..., int]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncached, "KNOWN", True)
    monkeypatch.setattr(uncached, "WORTH", 4)


def written(file: Path, parts: list[bytes]) -> bytes:
    with file.open("wb") as opened:
        out = uncached.Output(opened.fileno())
        for part in parts:
            assert out.write(memoryview(part)) == len(part)
    return file.read_bytes()


@pytest.mark.parametrize("release", ["6.16.0", "6.18.44-fc", "7.0", "6.15.11", "6.1.0-18-amd64", "5.15", "unheard of"])
def test_only_where_it_is_mended(release: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncached.platform, "release", lambda: release)
    monkeypatch.setattr(uncached.sys, "platform", "linux")
    assert uncached._known() is (release in ("6.16.0", "6.18.44-fc", "7.0"))
    monkeypatch.setattr(uncached.sys, "platform", "darwin")
    assert uncached._known() is False


@pytest.mark.parametrize("refusal", [OSError(errno.EOPNOTSUPP, "no"), OSError(errno.EINVAL, "no"), OSError(errno.ENOSYS, "no"), NotImplementedError()])
@pytest.mark.usefixtures("small")
def test_a_file_system_without_it_is_used_as_ever(refusal: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def refuse(call: Call) -> Call:
        def refusing(handle: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
            asked.append(call.__name__)
            if flags:
                raise refusal
            return call(handle, buffers, offset)

        return refusing

    for call in (os.preadv, os.pwritev):
        monkeypatch.setattr(os, call.__name__, refuse(call))
    assert written(tmp_path / "x", [b"0123", b"45", b"6789ab"]) == b"0123456789ab"
    into = bytearray(5)
    with (tmp_path / "x").open("rb") as opened:
        assert uncached.read(opened.fileno(), memoryview(into), 3) == 5
    assert into == b"34567"
    assert asked == ["pwritev"] * 5 + ["preadv"] * 2  # twice for each of 4 bytes or more


@pytest.mark.usefixtures("small")
def test_a_fault_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(OSError, match="No space left"):
        written(tmp_path / "x", [b"0123"])


def test_what_is_written_in_part_is_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwritev
    monkeypatch.setattr(os, "pwritev", lambda handle, buffers, offset, *flags: whole(handle, [buffers[0][:3]], offset, *flags))
    assert written(tmp_path / "x", [b"01234567", b"", b"89", b"abcd"]) == b"0123456789abcd"


def test_large_files_of_this_system(tmp_path: Path) -> None:
    draw = random.Random(1)
    parts = [draw.randbytes(size) for size in (3_000_001, 17, 2_097_152, 1, 1_048_577)]
    data = b"".join(parts)
    assert written(tmp_path / "x", parts) == data
    with (tmp_path / "x").open("rb") as opened:
        for start, size in ((0, len(data)), (5, 1_048_576), (2_999_999, 1_500_000), (7, 11)):
            into = bytearray(size)
            assert uncached.read(opened.fileno(), memoryview(into), start) == size
            assert into == data[start : start + size]


@pytest.mark.parametrize("chunk", [16, 64, 1000])
def test_bytes_in_order_whatever_is_taken_at_once(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", chunk)
    data = random.Random(2).randbytes(777)
    (tmp_path / "x").write_bytes(b"head" + data + b"tail")
    tensor = reading.Tensor("x", "U8", (777,), tmp_path / "x", 4, 777)
    for sizes in ([777], [1] * 777, [100] * 7 + [77], [3, 15, 16, 17, 0, 64, 65, 597], [500, 1, 276]):
        with reading.Reader() as reader:
            source = reading.InOrder(reader, tensor)
            assert b"".join(bytes(source.take(size)) for size in sizes) == data
            assert b"".join(bytes(piece) for piece in reader.chunks(tensor)) == data  # the reader is as good as new
