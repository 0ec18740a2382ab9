"""What the cache takes for the same stream, and what it makes of files that are not as it wrote them."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from curator import cache, plugins
from tests.conftest import prose

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mix(write_mix: Callable[..., Path], tmp_path: Path) -> Path:
    """One small source of local text."""
    rows = [{"t": prose(200, seed=n)} for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return write_mix([{"path": "rows.jsonl", "columns": ["t"], "formatter": "raw_text", "filters": ["secrets"], "num_samples": 2, "category": "Text"}])


@pytest.fixture
def installed_anew() -> Iterator[Callable[[], None]]:
    """Have the next look at what is installed be a first one, as in a new process."""
    yield cache.own_code.cache_clear
    cache.own_code.cache_clear()


@pytest.mark.parametrize("library", ["detect-secrets", "langdetect", "transformers"])
def test_what_another_version_of_a_library_made_is_not_taken(
    library: str, run: Run, mix: Path, own_cache: Path, tmp_path: Path, installed_anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("build", mix, "--out", tmp_path / "before")[0] == 0
    about = tmp_path / "site" / f"{library.replace('-', '_')}-999.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 999.0\n")
    monkeypatch.syspath_prepend(about.parent)
    installed_anew()
    assert run("build", mix, "--out", tmp_path / "after")[0] == 0
    assert len(list(own_cache.glob("streams/*/*/000000.batch"))) == 2


def test_what_another_python_made_is_not_taken(installed_anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    installed_anew()
    here = cache.own_code()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
        installed_anew()
        assert cache.own_code() != here
    installed_anew()
    assert cache.own_code() == here


@pytest.mark.parametrize("damage", ["letters", "cut", "empty", "foreign", "another's"])
def test_a_damaged_answer_about_a_commit_is_named_and_asked_again(
    damage: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], own_cache: Path, tmp_path: Path
) -> None:
    entry = {"dataset": dataset("asked", [{"t": prose(200, seed=n)} for n in range(9)]), "columns": ["t"], "formatter": "raw_text", "num_samples": 2}
    mix = write_mix([{**entry, "category": "Text"}])
    assert run("build", mix, "--out", tmp_path / "first")[0] == 0
    answers = {f: f.read_bytes() for f in own_cache.glob("commits/*")}
    assert len(answers) == 2  # its splits, and the columns of a file
    for file, data in answers.items():
        (another,) = (d for f, d in answers.items() if f != file)
        changed = data[:-9] + data[-9:].upper()
        file.write_bytes({"letters": changed, "cut": data[:-9], "empty": b"", "foreign": b"PK\x03\x04", "another's": another}[damage])
    code, _, err = run("build", mix, "--out", tmp_path / "second")
    assert code == 0, err
    assert [err.count(f"{f} is damaged") for f in answers] == [1, 1]
    assert {f: f.read_bytes() for f in answers} == answers
    assert run("build", mix, "--out", tmp_path / "third")[2].count("damaged") == 0


def test_an_answer_of_another_shape_counts_for_nothing(own_cache: Path) -> None:
    asked = cache.Cache(own_cache).memo("hub")
    asked["pinned:x"] = [1, 2]
    (file,) = own_cache.glob("commits/*")
    kept = file.read_bytes()
    for body in (b'["pinned:x"]', b'"pinned:x"', b"7", b"null", b"[" * 100_000, b'{"key": "pinned:x", "value": null}', b'["pinned:y", 1]', b"\xff"):
        file.write_bytes(cache.sealed(cache.ANSWER, body))
        assert "pinned:x" not in cache.Cache(own_cache).memo("hub"), body
    file.write_bytes(kept)
    assert cache.Cache(own_cache).memo("hub")["pinned:x"] == [1, 2]


def entry(folder: Path, number: int) -> Path:
    """A stream of one batch, as far as a list is concerned."""
    place = folder / "streams" / f"{number % 256:02x}" / f"{number:064x}"
    place.mkdir(parents=True)
    (place / "000000.batch").write_bytes(b"x" * 10)
    (place / "about.json").write_text(json.dumps({"source": f"s{number}", "dataset": "d", "revision": None, "license": None, "tokenizer": "t"}))
    return place


@pytest.fixture
def gone_when_looked_into(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An entry that another process removes just before anybody lists its files."""
    place = entry(own_cache, 1)

    def looked(look: Callable[[Any], Any], path: Any = ".") -> Any:
        if path in (place, str(place)) and place.exists():
            place.rename(own_cache / "elsewhere")
        return look(path)

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, partial(looked, getattr(os, name)))
    return place


def test_an_entry_that_goes_while_it_is_listed_is_not_there(own_cache: Path, gone_when_looked_into: Path) -> None:
    stays = entry(own_cache, 2)
    assert [k.folder for k in cache.Cache(own_cache).entries()] == [stays]
    assert not gone_when_looked_into.exists()


def test_an_entry_that_goes_while_another_is_pruned_is_not_there(own_cache: Path, gone_when_looked_into: Path) -> None:
    goes = entry(own_cache, 2)
    cache.Cache(own_cache).prune(most=0)
    assert not gone_when_looked_into.exists()
    assert not goes.exists()


def answer(folder: Path, name: str, *, bytes: int, days_ago: float) -> Path:
    """Something kept about a commit, as far as sizes are concerned."""
    file = folder / "commits" / f"{hashlib.sha256(name.encode()).hexdigest()}.answer"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * bytes)
    os.utime(file, (time.time() - 86400 * days_ago,) * 2)
    return file


def test_what_others_keep_there_is_neither_listed_nor_removed(run: Run, own_cache: Path, tmp_path: Path) -> None:
    work = tmp_path / "home" / f"{7:064x}"
    photos = own_cache / "streams" / "mine" / "photos"
    for folder in (work, photos, own_cache / "commits"):
        folder.mkdir(parents=True)
        (folder / "kept.txt").write_text("x")
    (own_cache / "streams" / "07").symlink_to(work.parent)
    (own_cache / "streams" / "08").mkdir()
    (own_cache / "streams" / "08" / f"{8:064x}").symlink_to(work)
    (own_cache / "commits" / f"{9:064x}.answer").symlink_to(work / "kept.txt")
    assert listed(run)["entries"] == []
    run("cache", "clear")
    assert all((folder / "kept.txt").is_file() for folder in (work, photos, own_cache / "commits"))


def listed(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("cache", "list", "--json")[1])
    return found


def test_what_is_kept_about_commits_counts_and_is_pruned_by_its_last_use(run: Run, own_cache: Path) -> None:
    stream = entry(own_cache, 1)
    (stream / "000000.batch").write_bytes(b"x" * 5000)
    os.utime(stream, (time.time() - 86400 * 5,) * 2)
    old, new = answer(own_cache, "old", bytes=3000, days_ago=9), answer(own_cache, "new", bytes=2000, days_ago=1)
    size = 10_000 + (stream / "about.json").stat().st_size
    assert listed(run)["bytes"] == size
    assert run("cache", "prune", "--max-size", size)[1] == "removed 0 streams, 0 B\n"
    assert run("cache", "prune", "--max-size", size - 1)[1] == "removed 0 streams, 3 KiB\n"
    assert (old.exists(), stream.exists(), new.exists()) == (False, True, True)
    assert run("cache", "prune", "--max-size", 2000)[1] == "removed 1 streams, 5 KiB\n"
    assert (stream.exists(), new.exists()) == (False, True)
    run("cache", "prune", "--unused", 2)
    assert new.exists()
    run("cache", "prune", "--unused", 0.5)
    assert not new.exists()


def test_a_cleared_cache_has_nothing(run: Run, own_cache: Path) -> None:
    entry(own_cache, 1)
    answer(own_cache, "new", bytes=10, days_ago=0)
    answer(own_cache, ".half.partial", bytes=10, days_ago=0)
    assert run("cache", "clear")[0] == 0
    assert not [p for p in own_cache.rglob("*") if p.is_file()]
    assert listed(run)["bytes"] == 0


def test_an_answer_is_of_one_adapter_and_its_code(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.Cache(own_cache).memo("hub")["pinned:x"] = 1
    assert "pinned:x" not in cache.Cache(own_cache).memo("files")
    with monkeypatch.context() as patch:
        patch.setattr(plugins, "code", lambda *_: "mended")
        assert "pinned:x" not in cache.Cache(own_cache).memo("hub")
    assert cache.Cache(own_cache).memo("hub")["pinned:x"] == 1


def test_an_answer_that_is_used_again_is_young_again(own_cache: Path) -> None:
    cache.Cache(own_cache).memo("hub")["pinned:x"] = 1
    (file,) = own_cache.glob("commits/*")
    os.utime(file, (1, 1))
    assert cache.Cache(own_cache).memo("hub")["pinned:x"] == 1
    cache.Cache(own_cache).prune(most=1 << 30, unused_for=3600)
    assert file.exists()


UNKNOWN = dict.fromkeys(("source", "dataset", "revision", "license", "tokenizer"))


@pytest.mark.parametrize(
    ("about", "known"),
    [
        (b"", {}),
        (b"{", {}),
        (b"\xff", {}),
        (b"[1]", {}),
        (b'"x"', {}),
        (b"null", {}),
        (b"[" * 100_000, {}),
        (b'{"source": 5, "dataset": ["x"], "revision": {"a": 1}, "license": true, "tokenizer": null}', {}),
        (b'{"source": "s", "key": "k", "bytes": "many", "used": 7}', {"source": "s"}),
    ],
)
def test_a_stream_whose_description_is_of_another_shape_is_listed_as_unknown(about: bytes, known: dict[str, str], run: Run, own_cache: Path) -> None:
    place = entry(own_cache, 1)
    (place / "about.json").write_bytes(about)
    code, out, err = run("cache", "list")
    assert code == 0, err
    assert out.splitlines()[1].split()[:4] == [known.get("source", "?"), "?", "?", "?"]
    (found,) = listed(run)["entries"]
    assert {k: found[k] for k in UNKNOWN} == UNKNOWN | known
    assert (found["key"], found["batches"], found["bytes"]) == (place.name, 1, 10 + len(about))


def test_a_stream_whose_name_is_not_utf_8_is_listed_and_its_commit_shortened(run: Run, own_cache: Path) -> None:
    (entry(own_cache, 1) / "about.json").write_bytes(rb'{"source": "a\udcff", "revision": "0123456789abcdef0123456789abcdef01234567"}')
    assert run("cache", "list")[1].splitlines()[1].split()[:4] == ["a\\xdcff", "?", "0123456789ab", "?"]
    assert listed(run)["entries"][0]["source"] == "a\udcff"
