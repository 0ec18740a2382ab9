"""The file of a lock: how it is written, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from curator import lock
from curator.errors import UsageError


def a_lock(name: str = "mix.yaml") -> lock.Lock:
    return lock.Lock(
        format=lock.FORMAT, curate="0", mix={"name": name, "sha256": "0" * 64}, fingerprint="1" * 64, tokenizer={"id": "t"}, plugins={}, sources={}
    )


def test_what_lies_beside_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".mix.lock.partial").symlink_to(tmp_path / "precious")
    lock.write(tmp_path / "mix.lock", a_lock())
    assert (tmp_path / "precious").read_text() == "mine"
    assert lock.read(tmp_path / "mix.lock") == a_lock()
    assert (tmp_path / "mix.lock").stat().st_mode & 0o777 == 0o644
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mix.lock.partial", "mix.lock", "precious"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "full").mkdir(parents=True)
    for place in (tmp_path / "file" / "x.lock", tmp_path / "none" / "x.lock", tmp_path / "folder"):
        with pytest.raises(UsageError, match=r"cannot be written.*--lock"):
            lock.write(place, a_lock())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("mix", [{"name": "mix.yaml"}, {}, {"sha256": "0"}])
def test_a_lock_of_no_mix_is_none(mix: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "mix.lock"
    file.write_text(yaml.safe_dump(a_lock().model_dump(mode="json") | {"mix": mix}))
    with pytest.raises(UsageError, match=r"mix\.lock: not a lock.*mix: .*no "):
        lock.read(file)
