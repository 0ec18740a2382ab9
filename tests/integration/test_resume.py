"""A build that is killed goes on where it was: the same bytes, and nothing that was there is asked for again."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curator import cache
from tests.conftest import chat_rows, prose, small_tokenizer
from tests.hub import Fault, Hub
from tests.processes import Curate

Run = Callable[..., tuple[int, str, str]]
MOMENTS = 25


def bytes_of(build: Path) -> dict[str, bytes]:
    """What must not differ between two builds of one plan."""
    names = [*sorted(build.glob("data/*")), build / "samples.parquet", build / "documents.parquet", build / "quarantine.jsonl"]
    return {p.relative_to(build).as_posix(): p.read_bytes() for p in names}


def described(build: Path) -> dict[str, Any]:
    """The manifest without what may differ: times."""
    manifest = json.loads((build / "manifest.json").read_text(encoding="utf-8"))
    return {k: v for k, v in manifest.items() if k not in ("created_at", "seconds", "files")}


def pulled(hub: Hub, name: str) -> int:
    """Requests for bytes of a dataset's files."""
    return sum(count for request, count in hub.requests.items() if request.startswith(f"GET /datasets/{name}/resolve/"))


@pytest.fixture
def mix(dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> Path:
    """Six sources of different kinds, each of several batches; a template that counts, drops, and duplicates."""
    chat = {"columns": ["messages"], "formatter": "chat_completion", "category": "Chat"}
    text = {"columns": ["t"], "formatter": "raw_text", "category": "Text"}
    lines = b"".join(json.dumps({"t": prose(300, seed=50_000 + n)}).encode() + b"\n" for n in range(400)) + b"{broken\n"
    entries = [
        {"dataset": dataset("r-chat", chat_rows(800), groups=100), "num_samples": 60, **chat},
        {"dataset": dataset("r-twice", chat_rows(500), groups=100), "num_samples": 30, **chat},
        {"dataset": dataset("r-text", [{"t": prose(250, seed=10_000 + n)} for n in range(400)], groups=50), "num_samples": 80, **text},
        {
            "dataset": dataset("r-rotate", [{"t": prose(200, seed=20_000 + n)} for n in range(600)], groups=50),
            "num_samples": 100,
            **text,
            "formatter_params": {"prefix": "{{ rotate(['one', 'two', 'three', 'four', 'five']) }}: {{ row.t[:20] }}"},
        },
        {"dataset": dataset("r-lines", files={"a.jsonl": lines}), "data_files": "a.jsonl", "num_samples": 60, **text},
        {"dataset": dataset("r-dry", [{"t": prose(100, seed=30_000 + n)} for n in range(40)]), "num_samples": 40, **text},
    ]
    return write_mix(entries, tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))


def test_killed_at_any_moment_it_goes_on(mix: Path, hub: Hub, tmp_path: Path) -> None:
    reference, cache = tmp_path / "whole", tmp_path / "cache"
    assert Curate("build", mix, "--out", tmp_path / "first", "--no-cache", said=tmp_path / "said").wait() == 0
    started = time.monotonic()
    whole = Curate("build", mix, "--out", reference, "--jobs", 3, said=tmp_path / "said", CURATE_CACHE=str(cache))
    assert whole.wait() == 0, whole.said
    seconds = time.monotonic() - started
    names = {e["about"]["dataset"]: e["batches"] for e in _entries(cache)}
    assert len(names) == 6
    rng, killed, resumed = random.Random(25), 0, 0
    for number in range(MOMENTS):
        folder = tmp_path / f"k{number}"
        folder.mkdir()
        again = {"said": folder / "said", "CURATE_CACHE": str(folder / "cache")}
        run = Curate("build", mix, "--out", folder / "B", "--jobs", 3, **again)
        if number % 2:
            wait_for_batches(run, folder / "cache", rng.randint(1, sum(names.values()) - 1))
        else:
            run.wait(seconds * rng.uniform(0.05, 1.0))
        run.kill()
        code = run.wait()
        killed += code == -9
        assert code in (0, -9)
        assert (folder / "B").exists() or code == -9
        assert not (folder / "B").exists() or bytes_of(folder / "B") == bytes_of(reference), "what stands at its place is finished"
        kept = {e["about"].get("dataset"): e["batches"] for e in _entries(folder / "cache")}
        complete = [n for n, batches in names.items() if kept.get(n, 0) >= batches]
        hub.requests.clear()
        options = ["--force"] if (folder / "B").exists() else []
        run = Curate("build", mix, "--out", folder / "B", "--jobs", 2, *options, **again)
        assert run.wait() == 0, f"moment {number}: {run.said}"
        assert bytes_of(folder / "B") == bytes_of(reference), f"moment {number}"
        assert described(folder / "B") == described(reference), f"moment {number}"
        assert {n: pulled(hub, n) for n in complete} == dict.fromkeys(complete, 0), f"moment {number}"
        assert [p.name for p in folder.glob(".B.*") if p.suffix != ".lock"] == [], f"moment {number}: something is left over"
        resumed += bool(complete) and len(complete) < len(names)
    print(f"an uninterrupted build took {seconds:.2f} s; {killed} of {MOMENTS} were killed, {resumed} with some sources complete and others not")
    assert killed >= MOMENTS * 0.6
    assert resumed >= 3


def wait_for_batches(run: Curate, cache: Path, count: int) -> None:
    """Wait until so many batches are kept, or the run has ended."""
    while run.wait(0.002) is None and len(list(cache.glob("streams/*/*/*.batch"))) < count:
        pass


def _entries(cache: Path) -> list[dict[str, Any]]:
    from curator.cache import Cache

    return [{"about": k.about, "batches": k.batches} for k in Cache(cache).entries()]


def test_with_and_without_a_cache_the_bytes_are_the_same(run: Run, mix: Path, hub: Hub, tmp_path: Path) -> None:
    for name, options in (("none", ["--no-cache"]), ("cold", []), ("warm", ["--jobs", "1"]), ("many", ["--jobs", "16"])):
        code, _, err = run("build", mix, "--out", tmp_path / name, *options)
        assert code == 0, err
        assert bytes_of(tmp_path / name) == bytes_of(tmp_path / "none"), name
        assert described(tmp_path / name) == described(tmp_path / "none"), name
        if name == "warm":
            assert not [r for r in hub.requests if "/resolve/" in r], "a warm cache asks for no bytes"
        hub.requests.clear()


def test_a_larger_share_goes_on_from_what_is_kept(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> None:
    entry = {
        "dataset": dataset("grow", [{"t": prose(250, seed=n)} for n in range(900)], groups=50),
        "columns": ["t"],
        "formatter": "raw_text",
        "formatter_params": {"prefix": "{{ rotate(['one', 'two', 'three']) }}: {{ row.t[:20] }}"},
    }
    mix = write_mix([{**entry, "num_samples": 30}])
    assert run("build", mix, "--out", tmp_path / "small")[0] == 0
    mix = write_mix([{**entry, "num_samples": 300}])
    code, _, err = run("build", mix, "--out", tmp_path / "large")
    assert code == 0, err
    assert "goes on after" in err
    assert run("build", mix, "--out", tmp_path / "fresh", "--no-cache")[0] == 0
    assert bytes_of(tmp_path / "large") == bytes_of(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign", "another's"])
def test_a_damaged_file_is_noticed_named_and_made_again(damage: str, run: Run, mix: Path, own_cache: Path, tmp_path: Path) -> None:
    assert run("build", mix, "--out", tmp_path / "first")[0] == 0
    victim = sorted(own_cache.glob("streams/*/*/000001.batch"))[0]
    data = victim.read_bytes()
    middle = len(data) // 2
    victim.write_bytes(
        {
            "another's": victim.with_name("000000.batch").read_bytes(),
            "cut": data[:middle],
            "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
            "empty": b"",
            "foreign": b"PK\x03\x04",
        }[damage]
    )
    code, _, err = run("build", mix, "--out", tmp_path / "second")
    assert code == 0, err
    assert f"{victim} is damaged" in err
    assert bytes_of(tmp_path / "second") == bytes_of(tmp_path / "first")
    assert victim.read_bytes() == data, "the batch is made again, the same"


def test_four_builds_share_one_cache(mix: Path, hub: Hub, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    runs = [Curate("build", mix, "--out", tmp_path / f"B{n}", said=tmp_path / f"said{n}", CURATE_CACHE=cache) for n in range(4)]
    assert [r.wait() for r in runs] == [0] * 4, "\n".join(r.said for r in runs)
    for number in range(1, 4):
        assert bytes_of(tmp_path / f"B{number}") == bytes_of(tmp_path / "B0")
    assert all("damaged" not in r.said for r in runs)
    assert not list(Path(cache).glob("streams/*/*/.*.partial"))


def test_what_did_come_is_kept_when_a_source_fails_for_good(run: Run, mix: Path, hub: Hub, tmp_path: Path) -> None:
    for name in ("tests/r-text", "tests/r-dry"):
        hub.fail(name, Fault(status=503, path="*.parquet"))
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--retry-budget", "1")
    assert code == 3
    assert "2 sources cannot be used" in err
    assert "tests/r-text" in err
    assert "tests/r-dry" in err
    assert "answered 503" in err
    hub.faults.clear()
    hub.requests.clear()
    assert run("build", mix, "--out", tmp_path / "B")[0] == 0


def test_interrupted_it_says_so_and_goes_on(mix: Path, hub: Hub, tmp_path: Path) -> None:
    hub.fail("tests/r-text", Fault(delay=1.0, path="*.parquet"))
    run = Curate("build", mix, "--out", tmp_path / "B", said=tmp_path / "said", CURATE_CACHE=str(tmp_path / "cache"))
    time.sleep(1.5)
    run.interrupt()
    assert run.wait(20) == 130, run.said
    assert "the next run goes on" in run.said
    assert not (tmp_path / "B").exists()


SOON = 10  # seconds within which an interrupted build ends, where it waited for a minute and more


def test_interrupted_while_the_hub_asks_to_wait_it_ends(mix: Path, hub: Hub, tmp_path: Path) -> None:
    hub.fail("tests/r-text", Fault(status=429, retry_after="60"))
    run = Curate("plan", mix, said=tmp_path / "said", CURATE_RETRY_BUDGET="300")
    while not any("/tests/r-text" in r for r in list(hub.requests)):
        assert run.wait(0.05) is None, run.said
    time.sleep(0.5)
    run.interrupt()
    assert run.wait(SOON) == 130, run.said


def test_interrupted_while_another_build_makes_its_batch_it_ends(mix: Path, tmp_path: Path) -> None:
    import filelock

    cache = tmp_path / "cache"
    settings = {"said": tmp_path / "said", "CURATE_CACHE": str(cache)}
    assert Curate("build", mix, "--out", tmp_path / "A", **settings).wait() == 0
    entry = next(cache.glob("streams/*/*/000000.batch")).parent
    for batch in entry.glob("*.batch"):
        batch.unlink()
    with filelock.FileLock(entry.with_suffix(".lock")):
        run = Curate("build", mix, "--out", tmp_path / "B", **settings)
        assert run.wait(4) is None, run.said
        run.interrupt()
        assert run.wait(SOON) == 130, run.said


def test_interrupted_among_rows_that_are_skipped_it_ends(dataset: Callable[..., str], write_mix: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    rows = [{"t": prose(20, seed=n % 50), "lang": "Go" if n < 9900 else "Rust"} for n in range(10_000)]
    card = {
        "dataset": dataset("rare", rows, groups=100),
        "sampling": "head",
        "columns": ["t"],
        "formatter": "raw_text",
        "language_column": "lang",
        "category": "Code",
        "languages": {"rust": "Rust"},
    }
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    (tmp_path / "catalog" / "sources" / "rare.yaml").write_text(json.dumps(card))
    mix = write_mix([{"source": "rare", "languages": "all", "num_samples": 3}], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    hub.fail("tests/rare", Fault(delay=1.0, path="*.parquet"))
    run = Curate("build", mix, "--out", tmp_path / "B", "--catalog", tmp_path / "catalog", said=tmp_path / "said", CURATE_CACHE=str(tmp_path / "cache"))
    while pulled(hub, "tests/rare") < 4:
        assert run.wait(0.05) is None, run.said
    run.interrupt()
    assert run.wait(SOON) == 130, run.said
    assert pulled(hub, "tests/rare") < 20


def test_the_cache_is_listed_pruned_and_cleared(run: Run, mix: Path, own_cache: Path, tmp_path: Path) -> None:
    assert run("build", mix, "--out", tmp_path / "B")[0] == 0
    listed = json.loads(run("cache", "list", "--json")[1])
    assert {e["dataset"] for e in listed["entries"]} == {f"tests/r-{n}" for n in ("chat", "twice", "text", "rotate", "lines", "dry")}
    assert "tests/r-rotate" in run("cache", "list")[1]
    half = listed["bytes"] // 2
    code, out, _ = run("cache", "prune", "--max-size", half)
    assert code == 0
    assert "removed" in out
    assert json.loads(run("cache", "list", "--json")[1])["bytes"] <= half
    assert run("cache", "clear")[0] == 0
    assert json.loads(run("cache", "list", "--json")[1])["entries"] == []
    assert run("cache", "prune", "--max-size", "lots")[0] == 2


@pytest.mark.parametrize("most", [100, 1 << 30])
def test_a_batch_that_unpacks_to_more_than_any_has_is_pulled_again(
    most: int, run: Run, mix: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("build", mix, "--out", tmp_path / "first")[0] == 0
    monkeypatch.setattr(cache, "MOST_BATCH_BYTES", most)
    code, _, err = run("build", mix, "--out", tmp_path / "second")
    assert code == 0, err
    assert ("unpacks to more than" in err) == (most == 100)
    assert bytes_of(tmp_path / "second") == bytes_of(tmp_path / "first")


def test_what_killed_runs_had_half_written_is_swept_away(run: Run, mix: Path, own_cache: Path, tmp_path: Path) -> None:
    assert run("build", mix, "--out", tmp_path / "B")[0] == 0
    entry = next(own_cache.glob("streams/*/*/000000.batch")).parent
    for folder in (entry, own_cache / "commits"):
        for name, age in ((".old.partial", 7200), (".new.partial", 0)):
            (folder / name).write_bytes(b"x")
            os.utime(folder / name, (time.time() - age,) * 2)
    assert run("cache", "prune", "--max-size", "1G")[0] == 0
    assert sorted(p.name for p in own_cache.rglob(".*.partial")) == [".new.partial"] * 2


def test_a_batch_that_cannot_be_read_now_is_not_thrown_away(run: Run, mix: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("build", mix, "--out", tmp_path / "first")[0] == 0
    victim = sorted(own_cache.glob("streams/*/*/000001.batch"))[0]
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path == victim:
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    code, _, err = run("build", mix, "--out", tmp_path / "second")
    monkeypatch.undo()
    assert code == 0, err
    assert f"{victim} cannot be read (Input/output error)" in err
    assert bytes_of(tmp_path / "second") == bytes_of(tmp_path / "first")
