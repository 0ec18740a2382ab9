"""A lock holds a mix to what it meant: when the hub moves on, when it loses what was locked, when files change."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import _TREE, prose, small_tokenizer
from tests.hub import Fault, Hub
from tests.integration.test_resume import bytes_of

Run = Callable[..., tuple[int, str, str]]
CARD = "license: mit\nconfigs:\n- config_name: default\n  data_files: data/*.parquet"


def rows(seed: int) -> list[dict[str, Any]]:
    return [{"t": prose(120, seed=seed + n)} for n in range(60)]


@pytest.fixture
def mix(dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> Path:
    text = {"columns": ["t"], "formatter": "raw_text", "num_samples": 5}
    entries = [{"dataset": dataset(n, rows(s), card=CARD), **text} for n, s in (("l-one", 0), ("l-two", 1000))]
    return write_mix(entries, tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))


def new_commit(hub: Hub, name: str, *, keep_old: bool) -> None:
    """Other rows under the same name, as a new commit; the old one is still served, or is gone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = _TREE / "datasets" / name
    pq.write_table(pa.Table.from_pylist(rows(5000)), folder / "data" / "more.parquet")
    (folder / "README.md").write_text(f"---\n{CARD.replace('mit', 'apache-2.0')}\n---\n", encoding="utf-8")
    old = hub._repositories.pop(("datasets", name))
    if keep_old and old is not None:
        hub.past[old.commit] = old


def test_a_lock_is_read_in_a_diff(run: Run, mix: Path) -> None:
    code, _, err = run("lock", mix)
    assert code == 0, err
    locked = yaml.safe_load(mix.with_suffix(".lock").read_text(encoding="utf-8"))
    assert locked["format"] == "curate-lock/1"
    assert set(locked["sources"]) == {"l_one", "l_two"}
    one = locked["sources"]["l_one"]
    assert len(one["revision"]) == 40
    assert one["license"] == "mit"
    assert all(h.startswith(("git:", "sha256:")) for h in one["files"].values())
    assert {"sha256", "chat_template_sha256"} <= locked["tokenizer"].keys()
    assert "adapter hub" in locked["plugins"]
    code, _, err = run("lock", mix)
    assert code == 0
    assert "nothing has changed" in err


@pytest.mark.parametrize("cached", [True, False])
def test_the_hub_moves_on_and_frozen_builds_the_old_bytes(cached: bool, run: Run, mix: Path, hub: Hub, tmp_path: Path) -> None:
    assert run("lock", mix)[0] == 0
    assert run("build", mix, "--out", tmp_path / "old", *([] if cached else ["--no-cache"]))[0] == 0
    new_commit(hub, "tests/l-one", keep_old=not cached)
    code, _, err = run("build", mix, "--out", tmp_path / "frozen", "--frozen", *([] if cached else ["--no-cache"]))
    assert code == 0, err
    assert bytes_of(tmp_path / "frozen") == bytes_of(tmp_path / "old")
    assert run("build", mix, "--out", tmp_path / "default")[0] == 0
    assert bytes_of(tmp_path / "default") == bytes_of(tmp_path / "old"), "a lock that is there is used"


def planned(outcome: tuple[int, str, str]) -> dict[str, str]:
    assert outcome[0] == 0, outcome
    return {row["source"]: row["revision"] for row in json.loads(outcome[1])["quotas"]}


def test_a_plan_shows_what_a_build_would_take(run: Run, mix: Path, hub: Hub, tmp_path: Path, own_cache: Path) -> None:
    assert run("lock", mix)[0] == 0
    old = {key: s["revision"] for key, s in yaml.safe_load(mix.with_suffix(".lock").read_text())["sources"].items()}
    new_commit(hub, "tests/l-one", keep_old=True)
    new_commit(hub, "tests/l-two", keep_old=True)
    before = {p: p.read_bytes() for p in [*tmp_path.rglob("*"), *own_cache.rglob("*")] if p.is_file()}
    assert planned(run("plan", mix, "--json")) == old
    assert planned(run("plan", mix, "--frozen", "--json")) == old
    new = planned(run("plan", mix, "--json", "--update"))
    assert not set(new.values()) & set(old.values())
    assert planned(run("plan", mix, "--json", "--update", "l_one")) == {**old, "l_one": new["l_one"]}
    mix.with_suffix(".lock").rename(tmp_path / "kept")
    before[tmp_path / "kept"] = before.pop(mix.with_suffix(".lock"))
    assert planned(run("plan", mix, "--json")) == new
    assert planned(run("plan", mix, "--json", "--lock", tmp_path / "kept")) == old
    assert {p: p.read_bytes() for p in [*tmp_path.rglob("*"), *own_cache.rglob("*")] if p.is_file()} == before


def test_a_plan_says_what_a_build_would_say_of_the_lock(run: Run, mix: Path, tmp_path: Path) -> None:
    assert run("plan", mix, "--frozen")[0] == 2, "there is none"
    assert run("lock", mix)[0] == 0
    assert run("plan", mix, "--update", "l_on")[0] == 2
    mix.write_text(mix.read_text(encoding="utf-8").replace("tests/l-two", "tests/l-one"), encoding="utf-8")
    said = [run("plan", mix)[2], run("build", mix, "--out", tmp_path / "B")[2]]
    notes = [[line for line in err.splitlines() if line.startswith("note: ")] for err in said]
    assert notes[0] == notes[1]
    assert "not in the lock" in notes[0][0]
    code, _, err = run("plan", mix, "--frozen")
    assert (code, "has changed" in err) == (2, True), err


@pytest.mark.parametrize("command", ["lock", "build"])
def test_the_hashes_of_files_are_asked_for_within_the_budget_of_their_source(
    command: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], hub: Hub, tmp_path: Path
) -> None:
    lines = "".join(json.dumps(r) + "\n" for r in rows(0)).encode()
    card = {"dataset": dataset("hashed", files={f"{n}/a.jsonl": lines for n in ("rust", "c", "go")}), "data_files": ["{language}/*.jsonl"], "columns": ["t"]}
    (tmp_path / "catalog" / "sources").mkdir(parents=True)
    languages = {"rust": "rust", "c": "c", "go": "go"}
    text = json.dumps({**card, "formatter": "raw_text", "category": "Code", "languages": languages})
    (tmp_path / "catalog" / "sources" / "hashed.yaml").write_text(text, encoding="utf-8")
    mix = write_mix([{"source": "hashed", "languages": "all", "num_samples": 3}], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    hub.fail("tests/hashed", Fault(status=503, path="paths-info"))
    more = ["--out", tmp_path / "B", "--update"] if command == "build" else []
    code, _, err = run(command, mix, *more, "--catalog", tmp_path / "catalog", "--retry-budget", "2")
    assert code == 3, err
    failed = [int(n) for n in re.findall(r"(\d+) × answered 503", err)]
    assert len(failed) == 3
    assert failed == sorted(set(failed)), f"each goes on from what the source has lost: {err}"
    assert not mix.with_suffix(".lock").exists()
    assert not (tmp_path / "B").exists()


def test_what_is_gone_is_named(run: Run, mix: Path, hub: Hub, tmp_path: Path) -> None:
    assert run("lock", mix)[0] == 0
    revision = yaml.safe_load(mix.with_suffix(".lock").read_text())["sources"]["l_one"]["revision"]
    new_commit(hub, "tests/l-one", keep_old=False)
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--frozen", "--no-cache")
    assert code == 3
    assert "tests/l-one" in err
    assert revision[:12] in err
    assert "--update" in err
    assert "tests/l-two" not in err


def test_update_shows_what_changed(run: Run, mix: Path, hub: Hub, tmp_path: Path) -> None:
    code, _, err = run("lock", mix)
    assert code == 0, err
    assert run("build", mix, "--out", tmp_path / "old")[0] == 0
    new_commit(hub, "tests/l-one", keep_old=True)
    new_commit(hub, "tests/l-two", keep_old=True)
    code, _, err = run("build", mix, "--out", tmp_path / "new", "--update", "l_one")
    assert code == 0, err
    (line,) = [x for x in err.splitlines() if "l_one: revision" in x]
    assert "licence mit → apache-2.0" in line
    assert "1 added" in line
    assert "l_two: revision" not in err
    assert bytes_of(tmp_path / "new") != bytes_of(tmp_path / "old")
    code, _, err = run("build", mix, "--out", tmp_path / "all", "--update")
    assert code == 0, err
    assert "l_two: revision" in err
    assert run("build", mix, "--out", tmp_path / "again", "--frozen")[0] == 0
    assert bytes_of(tmp_path / "again") == bytes_of(tmp_path / "all")


def test_a_source_to_update_that_is_not_there_is_refused(run: Run, mix: Path, hub: Hub, tmp_path: Path) -> None:
    hub.requests.clear()
    for command in (["build", mix, "--out", tmp_path / "B"], ["lock", mix]):
        code, _, err = run(*command, "--update", "l_on")
        assert code == 2, err
        assert "--update l_on" in err
        assert "did you mean 'l_one'?" in err
        code, _, err = run(*command, "--update", "l_one", "--update", "xyz")
        assert code == 2, err
        assert "it has l_one, l_two" in err
    assert not hub.requests
    assert not mix.with_suffix(".lock").exists()
    for name in ("l_two", "tokenizer"):
        assert run("lock", mix, "--update", name)[0] == 0


def test_frozen_takes_nothing_else(run: Run, mix: Path, tmp_path: Path) -> None:
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--frozen")
    assert code == 2
    assert "curate lock" in err
    assert run("lock", mix)[0] == 0
    assert run("build", mix, "--out", tmp_path / "B", "--frozen", "--update")[0] == 2
    text = mix.read_text(encoding="utf-8")
    mix.write_text(text.replace('"num_samples": 5', '"num_samples": 4'), encoding="utf-8")
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--frozen")
    assert code == 2
    assert "has changed" in err
    mix.write_text(text, encoding="utf-8")
    template = tmp_path / "tokenizer" / "tokenizer_config.json"
    template.write_text(template.read_text().replace("<s>{{", "<s> {{"), encoding="utf-8")
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--frozen")
    assert code == 2
    assert "chat_template_sha256" in err
    assert not (tmp_path / "B").exists()


def test_a_lock_that_cannot_be_written_is_told_before_the_build(run: Run, mix: Path, tmp_path: Path) -> None:
    for command in (("build", mix, "--out", tmp_path / "B", "--update"), ("lock", mix)):
        code, _, err = run(*command, "--lock", tmp_path / "none" / "x.lock")
        assert (code, "x.lock: cannot be written: no such folder; make it" in err) == (2, True), err
    assert not (tmp_path / "B").exists()


def test_a_lock_that_is_named_has_to_be_there(run: Run, mix: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent.lock"
    for command in (("build", mix, "--out", tmp_path / "B"), ("plan", mix)):
        code, _, err = run(*command, "--lock", absent)
        assert code == 2
        assert f"{absent}: no such lock; write it with `curate lock`" in err
    assert not (tmp_path / "B").exists()
    code, _, err = run("build", mix, "--offline", "--lock", absent)
    assert code == 2
    assert "--offline and --lock" in err
    assert run("build", mix, "--out", tmp_path / "B", "--lock", absent, "--update")[0] == 0  # it is written there
    assert absent.is_file()
    assert run("plan", mix, "--lock", absent, "--frozen")[0] == 0


def test_offline_and_frozen_exclude_each_other(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    mix = write_mix([{"path": ".", "num_samples": 1}])
    for locked in (False, True):
        if locked:
            mix.with_suffix(".lock").write_text("whatever", encoding="utf-8")
        code, _, err = run("build", mix, "--out", tmp_path / "B", "--offline", "--frozen")
        assert code == 2
        assert "--offline and --frozen" in err
    assert not (tmp_path / "B").exists()


@pytest.mark.parametrize("update", [["--update"], ["--update", "tokenizer"], ["--update", "no_such_source"]])
def test_offline_and_update_exclude_each_other(update: list[str], run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    mix = write_mix([{"path": ".", "num_samples": 1}])
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--offline", *update)
    assert code == 2
    assert "--offline and --update" in err
    assert not (tmp_path / "B").exists()


def test_local_files_that_change_are_named(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    for name in ("a", "b"):
        (tmp_path / "rows" / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(ord(name) * 100)), encoding="utf-8")
    entry = {"path": "rows", "adapter": "files", "data_files": "*.jsonl", "columns": ["t"], "formatter": "raw_text", "num_samples": 5}
    mix = write_mix([entry], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    assert run("lock", mix)[0] == 0
    assert run("build", mix, "--out", tmp_path / "B", "--frozen")[0] == 0
    (tmp_path / "rows" / "b.jsonl").write_text(json.dumps(rows(1)[0]) + "\n", encoding="utf-8")
    code, _, err = run("build", mix, "--out", tmp_path / "C", "--frozen")
    assert code == 2
    assert "b.jsonl" in err
    assert "a.jsonl" not in err
    code, _, err = run("build", mix, "--out", tmp_path / "C")
    assert code == 0
    assert "not as locked" in err


def test_a_language_that_a_card_claims_is_part_of_the_plan(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    card, rows_file = tmp_path / "catalog" / "sources" / "local.yaml", tmp_path / "rows.jsonl"
    card.parent.mkdir(parents=True)
    rows_file.write_text("".join(json.dumps(r) + "\n" for r in rows(7)), encoding="utf-8")
    facts = {"adapter": "files", "path": "rows.jsonl", "columns": ["t"], "formatter": "raw_text", "category": "Text"}
    mix = write_mix([{"source": "local", "num_samples": 3}], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    catalog = ("--catalog", tmp_path / "catalog")
    card.write_text(json.dumps(facts | {"language": "fr"}), encoding="utf-8")
    assert run("lock", mix, *catalog)[0] == 0
    assert run("build", mix, "--out", tmp_path / "B", "--frozen", *catalog)[0] == 0
    card.write_text(json.dumps(facts | {"language": "de"}), encoding="utf-8")
    code, _, err = run("build", mix, "--out", tmp_path / "C", "--frozen", *catalog)
    assert code == 2, err
    assert "the plan is another" in err
    card.write_text(json.dumps(facts | {"language": "german"}), encoding="utf-8")
    code, _, err = run("build", mix, "--out", tmp_path / "C", *catalog)
    assert code == 2, err
    assert all(said in err for said in (f"{card}: language: ", "'german' is no language id", "did you mean 'de'?", "fr"))


def test_a_file_name_that_is_not_utf_8_is_told(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "tree") + b"/caf\xe9.py")).write_text("x = 1\n", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes no such name")
    entry = {"path": "tree", "columns": ["text", "path"], "formatter": "code_file", "num_samples": 1}
    mix = write_mix([entry], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    for command in (["build", mix, "--out", tmp_path / "B"], ["lock", mix], ["plan", mix]):
        code, _, err = run(*command)
        assert code == 3, err
        assert "caf\\udce9.py" in err
        assert "not UTF-8" in err
    assert not mix.with_suffix(".lock").exists()


def test_the_licence_of_a_local_source_is_as_locked(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(3)), encoding="utf-8")
    entry = {"path": "rows.jsonl", "license": "MIT", "columns": ["t"], "formatter": "raw_text", "num_samples": 3}
    mix = write_mix([entry], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    assert run("lock", mix)[0] == 0
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 0, err
    assert "as locked" not in err
    assert run("verify", tmp_path / "B", "--lock", mix.with_suffix(".lock"))[0] == 0


@pytest.mark.parametrize("text", ["[]", "format: curate-lock/9", "a: &a [*a]", "\0", "x: !!python/object/apply:os.system [ls]"])
def test_a_lock_that_is_none_is_refused(text: str, run: Run, mix: Path, tmp_path: Path) -> None:
    mix.with_suffix(".lock").write_text(text, encoding="utf-8")
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 2
    assert "mix.lock" in err


def test_verify_goes_through_a_build(run: Run, mix: Path, tmp_path: Path) -> None:
    assert run("lock", mix)[0] == 0
    build = tmp_path / "B"
    assert run("build", mix, "--out", build)[0] == 0
    code, out, err = run("verify", build, "--lock", mix.with_suffix(".lock"))
    assert code == 0, out + err
    assert json.loads(run("verify", build, "--lock", mix.with_suffix(".lock"), "--json")[1])["checks"][-1] == "lock"
    (build / "README.md").write_text("x")
    code, out, _ = run("verify", build)
    assert code == 1
    assert "README.md: changed" in out


@pytest.mark.parametrize("what", ["text", "tokens", "sample"])
def test_verify_finds_what_a_forged_manifest_hides(what: str, run: Run, mix: Path, tmp_path: Path) -> None:
    import polars as pl

    from curator import artifact

    build = tmp_path / "B"
    assert run("build", mix, "--out", build)[0] == 0
    manifest = json.loads((build / "manifest.json").read_text(encoding="utf-8"))
    documents = pl.read_parquet(build / "documents.parquet")
    if what == "text":
        documents.with_columns(text=pl.lit("other words")).write_parquet(build / "documents.parquet")
    elif what == "tokens":
        documents.with_columns(tokens=pl.col("tokens") + 1).write_parquet(build / "documents.parquet")
    else:
        manifest["sources"][0]["samples"] += 1
    artifact.write_json(build / "manifest.json", manifest | {"files": artifact.file_table(build)})
    assert run("check", build)[0] == (what == "tokens"), "its digests are right; documents that do not fill their samples cannot be counted"
    code, out, _ = run("verify", build)
    assert code == 1, out
    assert {"text": "text_sha256", "tokens": "documents.parquet: ", "sample": "l_one: samples"}[what] in out
