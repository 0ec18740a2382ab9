"""Folders that are not what they claim are refused with a reason, before anything is written."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from curator import artifact, paths
from curator.checkpoints import reading, stream, writing
from curator.errors import QuantizeError, UsageError


def file_of(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin: int, end: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "x"}')
    return made


def refused(folder: Path) -> str:
    with pytest.raises(QuantizeError) as error:
        reading.open_checkpoint(folder)
    return str(error.value)


GOOD = file_of({"a": tensor(0, 2), "b": tensor(2, 5)}, b"01234")


def test_a_good_file_is_an_index_of_its_tensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(GOOD)
    found = reading.open_checkpoint(folder)
    with reading.Reader() as reader:
        assert {n: bytes(reader.whole(t)) for n, t in found.tensors.items()} == {"a": b"01", "b": b"234"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too few"),
        (b"1234", "too few"),
        (file_of({}, length=2**63), "announced"),
        (file_of({}, length=99_999_999), "announced"),
        (file_of(b"{nonsense"), "property name"),
        (file_of(b"\xff\xfe{}"), "decode"),
        (file_of(b"[1]"), "not a JSON object"),
        (file_of(b'{"a": 1, "a": 2}'), "a key twice"),
        (file_of(b"[" * 100_000 + b"]" * 100_000), "recursion|too deep|nest"),
        (file_of({"a": 3}), "not described"),
        (file_of({"a": tensor(0, 4, dtype="F4")}, b"0123"), "'F4' is not known"),
        (file_of({"a": tensor(0, 4, dtype=["U8"])}, b"0123"), "is not known"),
        (file_of({"a": tensor(0, 4, [-4])}, b"0123"), "whole numbers"),
        (file_of({"a": tensor(0, 4, [2.0, 2])}, b"0123"), "whole numbers"),
        (file_of({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4]}}, b"0123"), "whole numbers"),
        (file_of({"a": tensor(0, 4, [3])}, b"0123"), "its offsets say 4"),
        (file_of({"a": tensor(4, 0, [0])}, b"0123"), "its offsets say -4"),
        (file_of({"a": tensor(0, 3), "b": tensor(2, 4)}, b"0123"), "overlaps"),
        (file_of({"a": tensor(0, 2), "b": tensor(3, 4)}, b"0123"), "belong to no tensor"),
        (file_of({"a": tensor(0, 4)}, b"012"), "truncated"),
        (file_of({"a": tensor(0, 4)}, b"01234"), "at its end"),
        (file_of({"a": tensor(0, 2**62, [2**62])}, b""), "truncated"),
    ],
)
def test_a_file_that_does_not_keep_to_the_format_is_refused(folder: Path, data: bytes, reason: str) -> None:
    import re

    (folder / "model.safetensors").write_bytes(data)
    assert re.search(reason, refused(folder))


def index(folder: Path, mapping: Any) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "sub/x.safetensors", "..\\x.safetensors", "x.bin", ".."])
def test_an_index_names_files_of_its_folder_only(folder: Path, name: str) -> None:
    (folder.parent / "other.safetensors").write_bytes(GOOD)
    index(folder, {"a": name})
    assert "not a safetensors file of the folder" in refused(folder)


def test_the_index_and_the_files_agree(folder: Path) -> None:
    (folder / "one.safetensors").write_bytes(GOOD)
    (folder / "two.safetensors").write_bytes(file_of({"a": tensor(0, 1), "c": tensor(1, 2)}, b"01"))
    index(folder, {"a": "one.safetensors", "c": "one.safetensors", "d": "two.safetensors", "e": "three.safetensors"})
    said = refused(folder)
    assert "a is in one.safetensors too" in said
    assert "c is not in one.safetensors" in said
    assert "d is not in two.safetensors" in said
    assert "three.safetensors is missing" in said
    assert "b is not in model.safetensors.index.json" in said


def test_a_file_that_was_cut_off_is_one_fault_and_not_one_for_each_of_its_tensors(folder: Path) -> None:
    (folder / "one.safetensors").write_bytes(GOOD)
    (folder / "two.safetensors").write_bytes(file_of({"c": tensor(0, 2), "d": tensor(2, 4)}, b"012"))
    index(folder, {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors", "d": "two.safetensors"})
    said = refused(folder).splitlines()
    assert len(said) == 2, said
    assert "fetch again" in said[0]
    assert "two.safetensors: not a whole safetensors file" in said[1]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_may_not_be_read_is_not_called_broken(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").write_bytes(GOOD)
    opened = Path.open

    def denied(self: Path, *args: Any, **more: Any) -> Any:
        if self.name == name:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **more)

    monkeypatch.setattr(Path, "open", denied)
    assert refused(folder).splitlines() == [f"{folder} cannot be used; get the right to read it:", f"* {name}: cannot be read: Permission denied"]


@pytest.mark.parametrize("mapping", [None, [], {}, {"a": 1}])
def test_an_index_without_a_map_is_refused(folder: Path, mapping: Any) -> None:
    index(folder, mapping)
    assert "no weight_map" in refused(folder)


def test_links_out_of_the_folder_are_refused_and_those_of_the_hubs_cache_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.safetensors").write_bytes(GOOD)
    (folder / "one.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    index(folder, {"a": "one.safetensors", "b": "one.safetensors"})
    assert "leads out of the folder" in refused(folder)
    snapshot = tmp_path / "models--o--n/snapshots/abc"
    (tmp_path / "models--o--n/blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (tmp_path / "models--o--n/blobs/1").write_bytes(GOOD)
    (tmp_path / "models--o--n/blobs/2").write_text("{}")
    (snapshot / "model.safetensors").symlink_to("../../blobs/1")
    (snapshot / "config.json").symlink_to("../../blobs/2")
    found = reading.open_checkpoint(snapshot)
    assert set(found.tensors) == {"a", "b"}
    assert writing.companions(found.folder) == []


def test_links_in_a_circle_and_what_is_no_file_are_refused_and_nothing_waits_for_them(folder: Path) -> None:
    import os

    os.mkfifo(folder / "model.safetensors")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    said = refused(folder)
    assert "config.json: not a file" in said
    assert "model.safetensors is missing, or no file" in said
    for name in ("model.safetensors", "config.json"):
        (folder / name).unlink()
        (folder / name).symlink_to(folder / name)
    said = refused(folder)
    assert "config.json: not a file" in said
    assert "model.safetensors is missing, or no file" in said
    assert writing.companions(folder) == []


def test_a_target_that_was_being_replaced_when_its_replacer_was_killed_is_put_back(tmp_path: Path) -> None:
    old = tmp_path / ".out.x0000000.old"
    (old / "model").mkdir(parents=True)
    (old / "model/curate-stitch.json").write_text("{}")
    with pytest.raises(UsageError, match="--force"), writing.work_folder(tmp_path / "out", "job"):
        pytest.fail("the target is taken")
    assert (tmp_path / "out/curate-stitch.json").is_file()
    assert not old.exists()


def test_a_run_that_was_killed_before_the_last_rename_keeps_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = writing.plan_shards([planned("a", 40), planned("b", 40)], limit=40)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(paths, "take_place", killed)
        with pytest.raises(KeyboardInterrupt), writing.work_folder(tmp_path / "out", "job") as work:
            writing.write_checkpoint(work, shards, progress=lambda *_: None)
    inode = (tmp_path / ".out.unfinished" / shards[0].name).stat().st_ino
    with writing.work_folder(tmp_path / "out", "job") as work:
        writing.write_checkpoint(work, shards, progress=lambda *_: None)
    assert (tmp_path / "out" / shards[0].name).stat().st_ino == inode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    assert [p.name for p in (tmp_path / "out").iterdir() if "journal" in p.name] == []


def test_no_folder_is_emptied_that_no_run_left(tmp_path: Path) -> None:
    other, beside = tmp_path / "thesis", tmp_path / ".out.unfinished"
    other.mkdir()
    (other / "chapter.txt").write_text("mine")
    for make in (lambda: beside.symlink_to(other), lambda: other.rename(beside)):
        make()
        with pytest.raises(UsageError, match="was not left by an earlier run"), writing.work_folder(tmp_path / "out", "job"):
            pytest.fail("a folder of somebody else's is worked in")
        assert (beside / "chapter.txt").read_text() == "mine"
        if beside.is_symlink():
            beside.unlink()


def test_a_journal_of_noise_is_begun_anew(tmp_path: Path) -> None:
    shards = writing.plan_shards([planned("a", 40)], limit=40)
    (tmp_path / ".out.unfinished").mkdir()
    (tmp_path / ".out.unfinished" / writing.JOURNAL).write_bytes(b"\xff\xfe\n\x00\x00[1]\n")
    with writing.work_folder(tmp_path / "out", "job") as work:
        writing.write_checkpoint(work, shards, progress=lambda *_: None)
    assert (tmp_path / "out" / shards[0].name).is_file()


def test_the_files_of_a_model_come_along_whatever_they_are_called(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "parts").mkdir(parents=True)
    for name in ("journal.jsonl", "parts/config.json", "config.json"):
        (source / name).write_text("{}")
    with writing.work_folder(tmp_path / "out", "job") as work:
        noted = writing.copy_companions(source, work.folder)
    assert sorted(noted) == ["journal.jsonl", "parts/config.json"]
    assert all((tmp_path / "out" / name).is_file() for name in noted)


def test_a_file_that_may_not_be_read_is_not_taken_for_a_target_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/licence").write_text("mine")
    opened = Path.open

    def denied(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == tmp_path / "source/licence":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(QuantizeError, match="licence: cannot be read: Permission denied"), writing.work_folder(tmp_path / "out", "job") as work:
        writing.copy_companions(tmp_path / "source", work.folder)


def test_a_model_is_not_removed_with_the_target_around_it(tmp_path: Path) -> None:
    (tmp_path / "out/model").mkdir(parents=True)
    (tmp_path / "out/curate-dequantize.json").write_text("{}")
    with pytest.raises(UsageError, match=r"holds .*model, which is read"):
        writing.refuse_target(tmp_path / "out", force=True, sources=[tmp_path / "out/model"])


def test_a_file_that_is_gone_or_written_again_meanwhile_is_told(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(file_of({"a": tensor(0, 4)}, b"1234"))
    opened = reading.open_checkpoint(folder)
    reading.refuse_changed(opened)
    file = opened.files[0]
    assert opened.stamp
    os.utime(file, ns=(1, 1))
    with pytest.raises(QuantizeError, match="was changed while it was read"):
        reading.refuse_changed(opened)
    file.unlink()
    with reading.Reader() as reader, pytest.raises(QuantizeError, match=f"{file.name}: cannot be read: No such file"):
        reader.whole(opened.by_file[file][0])


@pytest.mark.parametrize("sizes", [[], [0], [1], [7, 0, 5], [16], [17], [3] * 40, [100], [5, 64, 3]])
def test_a_stream_of_pieces_is_what_was_given_whatever_their_sizes(sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    monkeypatch.setattr(stream, "BLOCK", 16)
    buffer = bytearray(128)

    def pieces() -> Iterator[memoryview]:
        for number, size in enumerate(sizes):
            buffer[:] = bytes([number]) * 128  # each piece is good until the next is asked for
            yield memoryview(buffer)[:size]

    right = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    with (tmp_path / "x").open("wb") as opened:
        about = stream.write(pieces(), opened)
    assert (tmp_path / "x").read_bytes() == right
    assert about == {"sha256": hashlib.sha256(right).hexdigest(), "bytes": len(right)}


def test_a_disk_that_is_full_is_told_and_the_run_can_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: memoryview) -> int:
            raise OSError(28, "No space left on device")

    write = stream.write
    shards = writing.plan_shards([planned("a", 40), planned("b", 40)], limit=40)
    done: list[str] = []
    monkeypatch.setattr(stream, "write", lambda pieces, opened: write(pieces, Full() if done else opened))
    with pytest.raises(UsageError, match="No space left on device"), writing.work_folder(tmp_path / "out", "job") as work:
        writing.write_checkpoint(work, shards, progress=lambda name, *_: done.append(name))
    assert done == [shards[0].name]
    monkeypatch.setattr(stream, "write", write)
    with writing.work_folder(tmp_path / "out", "job") as work:
        assert list(work.finished) == done
        writing.write_checkpoint(work, shards, progress=lambda *_: None)


@pytest.mark.parametrize(("number", "room"), [(28, True), (122, True), (13, False), (30, False), (5, False)])
def test_only_a_disk_that_is_full_wants_room(number: int, room: bool, tmp_path: Path) -> None:
    import os

    with pytest.raises(UsageError) as error, writing.work_folder(tmp_path / "out", "job"):
        raise OSError(number, os.strerror(number))
    assert ("make room" in str(error.value)) == room
    assert os.strerror(number) in str(error.value)


def test_half_a_character_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text(r'{"model_type": "\ud83d\ude00", "x": "\udcff"}')
    (folder / "model.safetensors").write_bytes(file_of(rb'{"\udcff": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}'))
    said = refused(folder)
    assert "config.json: cannot be read: 'utf-8' codec can't encode" in said
    assert "model.safetensors: not a whole safetensors file: 'utf-8' codec can't encode" in said


def test_pickles_are_refused(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    assert "can run code" in refused(folder)


def test_gguf_alone_is_called_by_its_name(folder: Path) -> None:
    (folder / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    assert "weights only as GGUF" in refused(folder)


def test_a_folder_without_weights_config_or_itself(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").unlink()
    said = refused(folder)
    assert "config.json: missing" in said
    assert "neither model.safetensors.index.json nor model.safetensors" in said
    with pytest.raises(UsageError, match="no such folder"):
        reading.open_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_config_that_is_no_object_is_refused(folder: Path, text: str) -> None:
    (folder / "model.safetensors").write_bytes(GOOD)
    (folder / "config.json").write_text(text)
    assert "config.json: " in refused(folder)


def test_what_lies_beside_the_weights_is_taken_and_no_weights_links_or_hidden_files(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(GOOD)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "linked.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "code").mkdir()
    for name in ("tokenizer.json", "code/modeling.py", "other.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json", ".cache"):
        (folder / name).write_text("x")
    found = writing.companions(folder)
    assert [p.relative_to(folder).as_posix() for p in found] == ["code/modeling.py", "tokenizer.json"]


def planned(name: str, size: int, dtype: str = "U8") -> writing.Planned:
    width = reading.WIDTHS[dtype]
    return writing.Planned(name, dtype, (size // width,), size, lambda: iter([bytes(size)]))


def test_shards_keep_to_their_size_and_are_numbered() -> None:
    shards = writing.plan_shards([planned(str(n), 40) for n in range(5)], limit=100)
    assert [[t.name for t in s.tensors] for s in shards] == [["0", "1"], ["2", "3"], ["4"]]
    assert shards[0].name == "model-00001-of-00003.safetensors"
    assert [s.name for s in writing.plan_shards([planned("a", 400)], limit=100)] == ["model.safetensors"]


def test_what_is_written_is_read_by_the_reference_implementation(tmp_path: Path) -> None:
    from safetensors import safe_open

    tensors = [planned("é", 3), planned("wide", 16, "F64"), planned("half", 6, "F16"), planned("none", 0)]
    about = writing.write_shard(tmp_path / "m.safetensors", writing.plan_shards(tensors)[0].tensors)
    assert about["bytes"] == (tmp_path / "m.safetensors").stat().st_size
    assert about["sha256"] == paths.sha256(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "np") as opened:
        assert {n: opened.get_tensor(n).shape for n in opened.keys()} == {"é": (3,), "wide": (2,), "half": (3,), "none": (0,)}  # noqa: SIM118
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "m.safetensors").rename(tmp_path / "model.safetensors")
    assert all(t.start % reading.WIDTHS[t.dtype] == 0 for t in reading.open_checkpoint(tmp_path).tensors.values())


CLAIMS = """
import sys
from pathlib import Path
from curator import artifact
from curator.checkpoints import writing
claims = {"checkpoint": lambda target: writing.work_folder(target, "job"), "build": artifact.new_folder}
with claims[sys.argv[1]](Path(sys.argv[2])):
    pass
"""


@pytest.mark.parametrize(("first", "second"), [("checkpoint", "checkpoint"), ("checkpoint", "build"), ("build", "checkpoint")])
def test_two_runs_do_not_write_one_folder(first: str, second: str, tmp_path: Path) -> None:
    holds = writing.work_folder(tmp_path / "out", "job") if first == "checkpoint" else artifact.new_folder(tmp_path / "out")
    with holds:
        other = subprocess.run([sys.executable, "-c", CLAIMS, second, tmp_path / "out"], capture_output=True, text=True)
    assert other.returncode == 1
    assert "UsageError" in other.stderr
    assert "another run is writing" in other.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_run_that_is_refused_leaves_nothing_and_takes_nothing_of_the_one_that_is_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "curate-stitch.json").write_text("old")
    replace = os.replace

    def interleaved(source: Path, place: Path) -> None:
        replace(source, place)
        if Path(source) == tmp_path / "out":  # between the two renames
            other = subprocess.run([sys.executable, "-c", CLAIMS, "checkpoint", tmp_path / "out"], capture_output=True, text=True)
            assert "another run is writing" in other.stderr

    monkeypatch.setattr(os, "replace", interleaved)
    with writing.work_folder(tmp_path / "out", "job", force=True) as work:
        (work.folder / "curate-stitch.json").write_text("new")
    assert (tmp_path / "out" / "curate-stitch.json").read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_file_that_shrinks_while_it_is_read_is_told(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(GOOD)
    found = reading.open_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(GOOD[:-1])
    with reading.Reader() as reader, pytest.raises(QuantizeError, match="became shorter"):
        reader.whole(found.tensors["b"])


def test_without_torch_the_commands_say_what_to_install(run: Callable[..., tuple[int, str, str]], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = run("dequantize", folder, "--out", folder.parent / "out")
    assert (code, "curate-calibration[awq]" in err) == (6, True)
    code, _, err = run("stitch", "--base", folder, "--experts", folder, "--out", folder.parent / "out")
    assert (code, "curate-calibration[awq]" in err) == (6, True)
