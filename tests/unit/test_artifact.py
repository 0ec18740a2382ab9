"""The place of a build: what stands beside it, and what becomes of the one that it replaces."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from curator import artifact, paths
from curator.checkpoints import writing
from curator.errors import UsageError


def beside(target: Path, suffix: str, holds: str) -> Path:
    """What a process that was killed leaves beside a target."""
    folder = target.with_name(f".{target.name}.k3x_90qa{suffix}")
    (folder / holds).mkdir(parents=True)
    (folder / holds / "whose").write_text(target.name)
    return folder


def test_a_build_takes_nothing_of_a_neighbour_whose_name_begins_alike(tmp_path: Path) -> None:
    theirs = [beside(tmp_path / "B.v2", suffix, "build") for suffix in (".old", ".partial")]
    paths.recover(tmp_path / "B")
    assert not (tmp_path / "B").exists()
    assert all(folder.is_dir() for folder in theirs)
    mine = beside(tmp_path / "B", ".old", "build"), beside(tmp_path / "B", ".partial", "x")
    paths.recover(tmp_path / "B")
    assert (tmp_path / "B" / "whose").read_text() == "B"
    assert not any(folder.exists() for folder in mine)
    assert all(folder.is_dir() for folder in theirs)


def test_a_checkpoint_takes_nothing_of_a_neighbour_whose_name_begins_alike(tmp_path: Path) -> None:
    theirs = beside(tmp_path / "M.v2", ".old", "model")
    paths.recover(tmp_path / "M")
    assert theirs.is_dir()
    assert not (tmp_path / "M").exists()
    beside(tmp_path / "M", ".old", "model")
    paths.recover(tmp_path / "M")
    assert (tmp_path / "M" / "whose").read_text() == "M"


@contextmanager
def stopped(target: Path) -> Iterator[writing.Work]:
    """A checkpoint into ``target`` that is stopped at the end of the block."""
    with suppress(KeyboardInterrupt), writing.work_folder(target, "job") as work:
        yield work
        raise KeyboardInterrupt


def test_a_build_takes_nothing_of_a_checkpoint_whose_name_ends_as_a_folder_of_its_own_does(tmp_path: Path) -> None:
    shard = writing.Shard(writing.SINGLE, (writing.given("a", "U8", (3,), b"abc"),))
    with stopped(tmp_path / "B.iter_001") as work:
        work.add(shard)
    with artifact.new_folder(tmp_path / "B"):
        pass
    with stopped(tmp_path / "B.iter_001") as work:
        assert list(work.finished) == [shard.name]


def test_a_checkpoint_takes_nothing_of_a_build_that_is_under_way(tmp_path: Path) -> None:
    with artifact.new_folder(tmp_path / "B") as folder:
        (folder / "mine").touch()
        with stopped(folder.with_name(folder.stem[1:])):
            pass
        assert (folder / "mine").exists()


@contextmanager
def refused_checkpoint(target: Path) -> Iterator[None]:
    with pytest.raises(UsageError, match="was not written by"), writing.work_folder(target, "job", force=True):
        pass
    yield


@pytest.mark.parametrize("holds", ["build", "model", "B"])
@pytest.mark.parametrize("comes", [paths.claimed, refused_checkpoint])
def test_what_was_being_replaced_is_put_back_by_whatever_comes_next(comes: Callable[[Path], Any], holds: str, tmp_path: Path) -> None:
    old = beside(tmp_path / "B", ".old", holds)
    with comes(tmp_path / "B"):
        assert (tmp_path / "B" / "whose").read_text() == "B"
    assert not old.exists()


def a_build(target: Path, says: str = "old") -> Path:
    target.mkdir()
    (target / artifact.MANIFEST).write_text(says)
    return target


def replacing_fails(patch: pytest.MonkeyPatch, fails: Callable[[Path, Path], bool]) -> None:
    """Have a rename fail as a disk does where ``fails`` says so."""
    replace = os.replace

    def failing(source: Path, place: Path) -> None:
        if fails(Path(source), Path(place)):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        replace(source, place)

    patch.setattr(os, "replace", failing)


def test_what_the_next_run_cannot_put_back_either_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = beside(tmp_path / "B", ".old", "B")
    replacing_fails(monkeypatch, lambda source, _: source.parent == old)
    with artifact.new_folder(tmp_path / "B"):
        pass
    assert (old / "B" / "whose").read_text() == "B"


def test_what_is_kept_outlives_a_model_of_somebody_else_in_its_place(tmp_path: Path) -> None:
    old, target = beside(tmp_path / "M", ".old", "M"), tmp_path / "M"
    target.mkdir()
    for file in (old / "M/curate-stitch.json", old / "M/config.json", target / "config.json"):
        file.write_text("{}")
    paths.recover(target)
    assert (old / "M/curate-stitch.json").is_file()
    (target / "curate-stitch.json").write_text("{}")
    paths.recover(target)
    assert not old.exists()


def test_an_old_build_that_cannot_be_put_back_is_kept_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = a_build(tmp_path / "B")
    replacing_fails(monkeypatch, lambda _, place: place == target)
    with pytest.raises(UsageError, match="kept in") as raised, artifact.new_folder(target, force=True) as folder:
        (folder / artifact.MANIFEST).write_text("new")
    (old,) = tmp_path.glob(".B.*.old")
    (kept,) = old.iterdir()
    assert str(kept) in str(raised.value)
    assert (kept / artifact.MANIFEST).read_text() == "old"
    assert not list(tmp_path.glob(".B.*.partial"))
    monkeypatch.undo()
    target.mkdir()
    (target / "mine").write_text("in the way")
    with paths.claimed(target):
        assert (kept / artifact.MANIFEST).read_text() == "old"
    (target / "mine").unlink()
    target.rmdir()
    with paths.claimed(target):
        assert (target / artifact.MANIFEST).read_text() == "old"


@pytest.mark.parametrize("first", [True, False])
def test_a_replacement_that_fails_leaves_the_old_build_and_nothing_beside_it(first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = a_build(tmp_path / "B")
    replacing_fails(monkeypatch, lambda source, _: source == target if first else source.suffix == ".partial")
    with pytest.raises(UsageError, match=os.strerror(errno.EIO)), artifact.new_folder(target, force=True) as folder:
        (folder / artifact.MANIFEST).write_text("new")
    assert (target / artifact.MANIFEST).read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["B"]


def test_a_replacement_of_a_checkpoint_that_fails_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "M"
    target.mkdir()
    (target / writing.MANIFESTS[0]).write_text("old")
    replacing_fails(monkeypatch, lambda source, _: source.suffix == ".unfinished")
    with pytest.raises(UsageError, match=os.strerror(errno.EIO)), writing.work_folder(target, "job", force=True) as work:
        (work.folder / writing.MANIFESTS[0]).write_text("new")
    assert (target / writing.MANIFESTS[0]).read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == [".M.unfinished", "M"]  # what was made is kept for the next run


@pytest.mark.parametrize("force", [True, False])
def test_a_mount_point_is_refused_before_any_work(force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is a mount point; name a folder in it"):
        artifact.refuse_target(Path("/"), force=force)
    target = a_build(tmp_path / "B")
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == target)
    with pytest.raises(UsageError, match="mount point"):
        artifact.refuse_target(target, force=force)
    artifact.refuse_target(target / "in it", force=force)
    (target / writing.MANIFESTS[0]).write_text("{}")
    with pytest.raises(UsageError, match="mount point"):
        writing.refuse_target(target, force=force)


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_place_that_takes_no_rename_is_told(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UsageError, match="choose another --out"), artifact.new_folder(tmp_path / "B"):
        pass
