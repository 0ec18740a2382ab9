"""The place of a build: what stands beside it, and what becomes of the one that it replaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator import artifact
from curator.checkpoints import writing


def beside(target: Path, suffix: str, holds: str) -> Path:
    """What a process that was killed leaves beside a target."""
    folder = target.with_name(f".{target.name}.k3x_90qa{suffix}")
    (folder / holds).mkdir(parents=True)
    (folder / holds / "whose").write_text(target.name)
    return folder


def test_a_build_takes_nothing_of_a_neighbour_whose_name_begins_alike(tmp_path: Path) -> None:
    theirs = [beside(tmp_path / "B.v2", suffix, "build") for suffix in (".old", ".partial")]
    artifact.recover(tmp_path / "B")
    assert not (tmp_path / "B").exists()
    assert all(folder.is_dir() for folder in theirs)
    mine = beside(tmp_path / "B", ".old", "build"), beside(tmp_path / "B", ".partial", "x")
    artifact.recover(tmp_path / "B")
    assert (tmp_path / "B" / "whose").read_text() == "B"
    assert not any(folder.exists() for folder in mine)
    assert all(folder.is_dir() for folder in theirs)


def test_a_checkpoint_takes_nothing_of_a_neighbour_whose_name_begins_alike(tmp_path: Path) -> None:
    theirs = beside(tmp_path / "M.v2", ".old", "model")
    writing._recover(tmp_path / "M")
    assert theirs.is_dir()
    assert not (tmp_path / "M").exists()
    beside(tmp_path / "M", ".old", "model")
    writing._recover(tmp_path / "M")
    assert (tmp_path / "M" / "whose").read_text() == "M"
