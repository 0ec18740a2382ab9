"""Disks that are full or read-only, targets that exist, builds side by side: clear errors, and the old build intact."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import prose, small_tokenizer
from tests.hub import Fault, Hub
from tests.integration.test_resume import bytes_of
from tests.processes import Curate

Run = Callable[..., tuple[int, str, str]]
MOMENTS = 10


@pytest.fixture
def mix(dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> Path:
    rows = [{"t": prose(200, seed=n)} for n in range(500)]
    entry = {"dataset": dataset("disk", rows, groups=50), "columns": ["t"], "formatter": "raw_text", "num_samples": 150}
    return write_mix([entry], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of ``size`` bytes, where this machine lets us have one."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def used(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def test_a_disk_that_is_full_at_ten_moments(mix: Path, tmp_path: Path) -> None:
    """The cache lies on the same small disk: it gives up first, and the build goes on as far as there is room."""
    whole = Curate("build", mix, "--out", tmp_path / "whole", said=tmp_path / "said", CURATE_CACHE=str(tmp_path / "cache"))
    assert whole.wait() == 0, whole.said
    build, cache = used(tmp_path / "whole"), used(tmp_path / "cache")
    codes = []
    for number in range(MOMENTS):
        size = int(2 * (build + cache) * (number + 0.5) / MOMENTS)  # files take whole pages there
        with small_disk(tmp_path / f"disk{number}", max(size, 1 << 16)) as disk:
            run = Curate("build", mix, "--out", disk / "B", said=tmp_path / "said", CURATE_CACHE=str(disk / "cache"))
            code = run.wait()
            codes.append(code)
            assert code in (0, 2), run.said
            assert "Traceback" not in run.said
            if code == 0:
                assert bytes_of(disk / "B") == bytes_of(tmp_path / "whole")
            else:
                assert "cannot be written" in run.said
                assert "make room" in run.said
                assert not (disk / "B").exists(), "nothing half-written looks finished"
                assert not list(disk.glob(".B.*.partial"))
    assert codes.count(2) >= 3, codes
    assert 0 in codes, codes
    print(f"{build} bytes of build, {cache} of cache; exit codes on disks of 10 % to 190 % of that: {codes}")


def test_a_disk_that_is_full_leaves_the_old_build(mix: Path, tmp_path: Path) -> None:
    assert Curate("build", mix, "--out", tmp_path / "whole", "--no-cache", said=tmp_path / "said").wait() == 0
    with small_disk(tmp_path / "disk", int(1.5 * used(tmp_path / "whole"))) as disk:
        options = ["--no-cache", "--force"]
        run = Curate("build", mix, "--out", disk / "B", *options, said=tmp_path / "said")
        assert run.wait() == 0, run.said
        run = Curate("build", mix, "--out", disk / "B", *options, said=tmp_path / "said")
        assert run.wait() == 2, run.said
        assert bytes_of(disk / "B") == bytes_of(tmp_path / "whole")


def test_a_target_that_cannot_be_written(run: Run, mix: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    code, _, err = run("build", mix, "--out", tmp_path / "file" / "B")
    assert code == 2
    assert "choose another --out" in err
    code, _, err = run("build", mix, "--out", "/proc/B")
    assert code == 2
    assert "choose another --out" in err


def test_reports_that_cannot_be_written(run: Run, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``report`` has no --out, and a place that is read-only has room enough."""
    target = tmp_path / "B"
    assert run("build", mix, "--out", target)[0] == 0
    before = bytes_of(target)
    for number, room in ((30, False), (28, True)):

        def failing(*_: object, number: int = number, **__: object) -> str:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("tempfile.mkdtemp", failing)
        code, _, err = run("report", target)
        assert code == 2
        assert f"{target}: cannot be written: {os.strerror(number)}; " in err
        assert "copy the build to where you may write, and name the copy" in err
        assert "--out" not in err
        assert ("make room" in err) is room
    assert bytes_of(target) == before


def test_force_replaces_a_build_whole_and_nothing_else(run: Run, mix: Path, tmp_path: Path) -> None:
    target = tmp_path / "B"
    assert run("build", mix, "--out", target)[0] == 0
    (target / "stray.txt").write_text("mine")
    assert run("build", mix, "--out", target)[0] == 2
    assert run("build", mix, "--out", target, "--force")[0] == 0
    assert not (target / "stray.txt").exists()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("x")
    assert run("build", mix, "--out", tmp_path / "folder", "--force")[0] == 2
    assert (tmp_path / "folder" / "mine").exists()


def test_two_builds_into_one_target(mix: Path, hub: Hub, tmp_path: Path) -> None:
    hub.fail("tests/disk", Fault(delay=0.3, path="*.parquet"))
    runs = [Curate("build", mix, "--out", tmp_path / "B", "--no-cache", said=tmp_path / f"said{n}") for n in range(2)]
    assert sorted(r.wait() or 0 for r in runs) == [0, 2], [r.said for r in runs]
    assert "another run is writing there" in "".join(r.said for r in runs)
    assert (tmp_path / "B" / "manifest.json").exists()


def test_a_replacement_killed_halfway_is_put_back(run: Run, mix: Path, tmp_path: Path) -> None:
    target = tmp_path / "B"
    assert run("build", mix, "--out", target)[0] == 0
    before = bytes_of(target)
    old = tmp_path / ".B.x0000000.old"
    old.mkdir()
    os.replace(target, old / "build")
    (tmp_path / ".B.y_000000.partial").mkdir()
    code, _, err = run("build", mix, "--out", target)
    assert code == 2
    assert "exists" in err
    assert bytes_of(target) == before
    assert not old.exists()
    assert not (tmp_path / ".B.y_000000.partial").exists()


def test_a_replacement_that_fails_halfway_is_put_back_at_once(run: Run, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "B"
    assert run("build", mix, "--out", target)[0] == 0
    before = bytes_of(target)
    replace = os.replace

    def failing(source: Path, place: Path) -> None:
        if str(source).endswith(".partial") and Path(place) == target:
            raise OSError(28, "No space left on device")
        replace(source, place)

    monkeypatch.setattr(os, "replace", failing)
    code, _, err = run("build", mix, "--out", target, "--force")
    assert code == 2, err
    assert "No space left" in err
    assert bytes_of(target) == before
    assert not list(tmp_path.glob(".B.*.old"))


def test_a_cache_that_cannot_be_written_is_told_and_does_without(run: Run, mix: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no-folder").write_text("x")
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path / "no-folder"))
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 0, err
    assert err.count("cannot be written") == 1
    assert "goes on without keeping" in err
