"""Builds of small mixes against the loopback hub: the folder, the exit codes, what is said when a source is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import chat_rows, prose
from tests.hub import Fault, Hub

Run = Callable[..., tuple[int, str, str]]
ENTRY = {"columns": ["messages"], "formatter": "chat_completion", "category": "Chat"}


def build(run: Run, mix: Path, *options: str) -> tuple[int, str, str]:
    """Build, and see that what was built holds."""
    outcome = run("build", mix, "--out", mix.parent / "B", "--json", *options)
    assert outcome[0] or run("verify", mix.parent / "B")[0] == 0
    return outcome


def manifest(mix: Path) -> dict[str, Any]:
    return json.loads((mix.parent / "B" / "manifest.json").read_text(encoding="utf-8"))


def test_a_build_is_exact_and_says_where_everything_came_from(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    mix = write_mix([{"dataset": dataset("chat", chat_rows(200)), "num_samples": 10, **ENTRY}], num_samples=10)
    code, out, err = build(run, mix)
    assert code == 0, err
    described = manifest(mix)
    assert json.loads(out)["fingerprint"] == described["fingerprint"]
    data = pl.read_parquet(mix.parent / "B/data/*.parquet")
    assert data.columns == ["input_ids", "position_ids"]
    assert data["input_ids"].list.len().to_list() == data["position_ids"].list.len().to_list() == [256] * 10
    documents = pl.read_parquet(mix.parent / "B/documents.parquet")
    assert documents["tokens"].sum() == described["tokens"] == 2560
    assert described["padding_tokens"] == 0
    for row in documents.iter_rows(named=True):
        positions = data["position_ids"][row["sample"]].to_list()[row["start"] : row["start"] + row["tokens"]]
        assert positions == list(range(row["tokens"]))
    (source,) = described["sources"]
    assert source["planned_samples"] == source["samples"] == 10
    assert source["rows_read"] >= documents.height
    assert documents["origin"].struct.field("dataset").unique().to_list() == ["tests/chat"]
    assert documents["origin"].struct.field("revision").unique().to_list() == [source["revision"]]


def test_the_documents_table_gives_the_very_tokens_of_the_data(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    from transformers import AutoTokenizer

    from tests.conftest import STARTER_TOKENIZER

    mix = write_mix([{"dataset": dataset("whole", chat_rows(60)), "num_samples": 4, **ENTRY}])
    assert build(run, mix)[0] == 0
    tokenizer = AutoTokenizer.from_pretrained(STARTER_TOKENIZER)
    data = pl.read_parquet(mix.parent / "B/data/*.parquet")
    for row in pl.read_parquet(mix.parent / "B/documents.parquet").filter(pl.col("cut") == 0).iter_rows(named=True):
        ids = data["input_ids"][row["sample"]].to_list()[row["start"] : row["start"] + row["tokens"]]
        assert tokenizer(row["text"], add_special_tokens=False)["input_ids"] == ids


def test_load_dataset_takes_the_folder(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> None:
    from datasets import load_dataset

    mix = write_mix([{"dataset": dataset("loads", chat_rows(60)), "num_samples": 3, **ENTRY}])
    assert build(run, mix)[0] == 0
    loaded = load_dataset(str(mix.parent / "B"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names == ["input_ids", "position_ids"]
    assert [len(r["input_ids"]) for r in loaded] == [256] * 3


def test_three_bad_sources_are_told_together(run: Run, hub: Hub, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    gated = dataset("gated", chat_rows(5))
    hub.gated.add(gated)
    mix = write_mix(
        [
            {"dataset": "tests/missing", "num_samples": 1, **ENTRY},
            {"dataset": gated, "num_samples": 1, **ENTRY},
            {"dataset": dataset("columns", chat_rows(5)), "num_samples": 1, **ENTRY, "columns": ["turns"]},
            {"dataset": dataset("splits", chat_rows(5), split="test"), "num_samples": 1, **ENTRY},
            {"dataset": dataset("fine", chat_rows(5)), "num_samples": 1, **ENTRY},
        ]
    )
    code, _, err = build(run, mix)
    assert code == 3
    assert "4 sources cannot be used" in err
    for said in (
        "tests/missing: no such dataset",
        "tests/gated: gated; accept its terms",
        "no column 'turns'; it has messages",
        "no split 'train'; it has test",
    ):
        assert said in err, err
    assert "Traceback" not in err
    assert not (mix.parent / "B").exists()


def test_a_wrong_column_of_json_lines_is_told_with_the_others(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    lines = b"".join(json.dumps(r).encode() + b"\n" for r in chat_rows(150))
    files = {"data/rust/a.jsonl": lines}
    mix = write_mix(
        [{"dataset": dataset(n, files=files), "data_files": "data/*/*.jsonl", "num_samples": 1, **ENTRY, "columns": ["turns"]} for n in ("one", "two")]
    )
    code, _, err = build(run, mix)
    assert code == 3
    assert err.count("no column 'turns'; it has messages") == 2


@pytest.mark.parametrize(("status", "said"), [(401, "no such dataset|log in"), (500, "answered 500"), (404, "no such dataset")])
def test_what_the_hub_answers_is_told(status: int, said: str, run: Run, hub: Hub, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    name = dataset(f"status{status}", chat_rows(5))
    hub.fail(name, Fault(status=status))
    code, _, err = build(run, write_mix([{"dataset": name, "num_samples": 1, **ENTRY}]))
    assert code == 3
    assert any(s in err for s in said.split("|")), err


def test_a_category_that_runs_dry_fails_and_can_be_accepted(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    mix = write_mix([{"dataset": dataset("dry", chat_rows(10)), "num_samples": 50, **ENTRY}])
    code, _, err = build(run, mix)
    assert code == 4
    assert "Chat: " in err
    assert "of 50 samples missing" in err
    assert not (mix.parent / "B").exists()
    code, _, err = build(run, mix, "--allow-short")
    assert code == 0, err
    described = manifest(mix)
    assert described["short"]["Chat"] == 50 - described["samples"]
    assert f"{described['short']['Chat']} samples fewer than the mix asks for" in (mix.parent / "B/report.html").read_text()


def test_what_one_source_lacks_passes_to_its_category_alone(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    mix = write_mix(
        [
            {"dataset": dataset("little", chat_rows(10)), "num_samples": 10, **ENTRY},
            {
                "dataset": dataset("plenty", [{"t": prose(200, seed=n)} for n in range(100)]),
                "num_samples": 4,
                "columns": ["t"],
                "formatter": "raw_text",
                "category": "Chat",
            },
            {
                "dataset": dataset("other", [{"t": prose(200, seed=1000 + n)} for n in range(40)]),
                "num_samples": 4,
                "columns": ["t"],
                "formatter": "text",
                "category": "Other",
            },
        ]
    )
    code, _, err = build(run, mix)
    assert code == 0, err
    given = {s["source"]: s["samples"] for s in manifest(mix)["sources"]}
    assert given["little"] + given["plenty"] == 14
    assert given["little"] < 10
    assert given["other"] == 4


def test_languages_are_split_evenly_and_a_fallback_serves_the_same_language(
    run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path
) -> None:
    rows = {"rust": 40, "go": 40, "c++": 2}
    files = {
        f"data/{k}/x.jsonl": b"".join(json.dumps({"c": prose(90, seed=hash_of(k, n))}).encode() + b"\n" for n in range(count)) for k, count in rows.items()
    }
    spare = {"data/cpp/x.jsonl": b"".join(json.dumps({"c": prose(90, seed=hash_of("spare", n))}).encode() + b"\n" for n in range(40))}
    catalog = tmp_path / "catalog" / "sources"
    catalog.mkdir(parents=True)
    head = 'data_files: ["data/{language}/*.jsonl"]\ncolumns: [c]\nformatter: code_file\ncategory: Code\n'
    (catalog / "many.yaml").write_text(f"dataset: {dataset('many', files=files)}\n{head}languages: {{rust: rust, go: go, cpp: c++}}\n")
    (catalog / "spare.yaml").write_text(f"dataset: {dataset('spare', files=spare)}\n{head}languages: {{cpp: cpp}}\n")
    gate = {"programming_languages": {"languages": ["rust", "go", "C++"], "min_tokens": 512}}
    mix = write_mix([{"source": "many", "languages": "all", "num_samples": 7, "fallback": "spare"}], require=gate)
    code, _, err = build(run, mix, "--catalog", str(tmp_path / "catalog"))
    assert code == 0, err
    documents = pl.read_parquet(mix.parent / "B/documents.parquet")
    tokens = dict(documents.group_by("language").agg(pl.col("tokens").sum()).iter_rows())
    assert set(tokens) == {"rust", "go", "cpp"}
    assert all(t >= 512 for t in tokens.values()), tokens
    assert documents.filter(pl.col("source") == "spare")["tokens"].sum() >= 256
    assert documents.filter(pl.col("source") == "spare")["language"].unique().to_list() == ["cpp"]
    assert documents.group_by("sample").agg(pl.col("source").n_unique())["source"].max() == 1


def hash_of(text: str, number: int) -> int:
    return sum(text.encode()) * 1000 + number


def test_bad_rows_are_dropped_and_counted(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    good = chat_rows(60)
    bad = [
        {"messages": None},
        {"messages": [{"role": "narrator", "content": "x"}]},
        {"messages": [{"role": "user", "content": "nul \0 byte"}]},
        good[0],
    ]
    lines = b"".join(json.dumps(r).encode() + b"\n" for r in [*bad, *good]) + b"{broken\n"
    mix = write_mix([{"dataset": dataset("bad", files={"a.jsonl": lines}), "data_files": "a.jsonl", "num_samples": "all", **ENTRY}])
    code, _, err = build(run, mix)
    assert code == 0, err
    (source,) = manifest(mix)["sources"]
    assert source["dropped"] == {"duplicate": 1, "empty": 1, "nul_bytes": 1, "unknown_role": 1, "unreadable": 1}
    assert source["rows_read"] == 65
    quarantine = [json.loads(line) for line in (mix.parent / "B/quarantine.jsonl").read_text().splitlines()]
    assert len(quarantine) == 5
    assert "None" not in pl.read_parquet(mix.parent / "B/documents.parquet")["text"].str.join(" ").item()


def test_a_local_repository_is_a_source(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    for n in range(40):
        (tmp_path / "repo").mkdir(exist_ok=True)
        (tmp_path / "repo" / f"m{n}.py").write_text(prose(100, seed=n))
    mix = write_mix([{"path": "repo", "num_samples": 4, "category": "Ours"}])
    code, _, err = build(run, mix)
    assert code == 0, err
    assert pl.read_parquet(mix.parent / "B/documents.parquet")["language"].unique().to_list() == ["python"]


def test_a_mix_of_the_original_kind_builds_as_it_is(run: Run, dataset: Callable[..., str], tmp_path: Path) -> None:
    chat, plain = dataset("original_chat", chat_rows(40)), dataset("original_text", [{"prompt": prose(80, seed=n)} for n in range(30)])
    mix = tmp_path / "mix.yaml"
    mix.write_text(
        f"""calibration_set:
  _templates:
    programming_languages: &programming_languages "Solve it in {{{{ ['Zephyr', 'C#'][hash(row|string) % 2] }}}}\\n***\\n"
  max_seq_length: 128
  shuffle: true
  seed: 42
  datasets:
    - dataset: {chat}
      columns: [messages]
      split: train
      formatter: chat_completion
      num_samples: 5
      streaming: true
    - dataset: {plain}
      split: train
      columns: [prompt]
      formatter: raw_text
      num_samples: all
      formatter_params:
        prefix: *programming_languages
"""
    )
    code, _, err = build(run, mix, "--tokenizer", "starter")
    assert code == 0, err
    texts = pl.read_parquet(tmp_path / "B/documents.parquet").filter(pl.col("source") == "original_text")["text"].to_list()
    assert {t.split("Solve it in ")[1].split("\n")[0] for t in texts} == {"Zephyr", "C#"}
    mix.write_text(mix.read_text().replace("  seed: 42", "  seed: 42\n  packing: truncate"))
    code, _, err = build(run, mix, "--tokenizer", "starter", "--force")
    assert code == 0, err
    sizes = pl.read_parquet(tmp_path / "B/data/*.parquet")["input_ids"].list.len()
    assert sizes.len() == 35
    assert sizes.max() <= 128


def test_the_target_is_never_mixed(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> None:
    mix = write_mix([{"dataset": dataset("target", chat_rows(40)), "num_samples": 2, **ENTRY}])
    (tmp_path / "B").mkdir()
    (tmp_path / "B/mine.txt").write_text("keep")
    assert build(run, mix)[0] == 2
    assert build(run, mix, "--force")[0] == 2
    assert (tmp_path / "B/mine.txt").read_text() == "keep"
    (tmp_path / "B/mine.txt").unlink()
    assert build(run, mix)[0] == 0
    assert build(run, mix)[0] == 2
    assert build(run, mix, "--force")[0] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["B", "mix.yaml"]


def test_check_show_and_a_damaged_build(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"<script>alert({n})</script> \x1b[31m {prose(60, seed=n)}"}]} for n in range(30)]
    mix = write_mix([{"dataset": dataset("shown", rows), "num_samples": 2, **ENTRY}])
    assert build(run, mix)[0] == 0
    assert run("check", tmp_path / "B")[0] == 0
    code, out, _ = run("show", tmp_path / "B", 1)
    assert code == 0
    assert "<script>alert(" in out
    assert "\x1b[31m" not in out
    assert run("show", tmp_path / "B", 2)[0] == 2
    (tmp_path / "B/samples.parquet").write_bytes(b"x")
    (tmp_path / "B/README.md").unlink()
    code, _, err = run("check", tmp_path / "B")
    assert code == 1
    assert "README.md: missing" in err
    assert "samples.parquet: changed" in err
    assert run("show", tmp_path)[0] == 2


def test_plan_reads_no_row(run: Run, hub: Hub, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    lines = b"".join(json.dumps(r).encode() + b"\n" for r in chat_rows(10))
    name = dataset("planned", files={"a.jsonl": lines}, card="license: mit")
    mix = write_mix([{"dataset": name, "data_files": "a.jsonl", "num_samples": 3, **ENTRY}])
    code, out, err = run("plan", mix, "--json")
    assert code == 0, err
    (quota,) = json.loads(out)["quotas"]
    assert (quota["license"], quota["samples"], quota["tokens"], quota["gated"]) == ("mit", 3, 768, False)
    assert not any("resolve" in r and "a.jsonl" in r for r in hub.requests), hub.requests
    assert run("plan", mix)[0] == 0


def test_a_bug_becomes_a_crash_file(run: Run, write_mix: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from curator import build as building

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(building, "check", broken)
    code, _, err = run("validate", write_mix([{"source": "no_robots", "num_samples": 1}]))
    assert code == 70
    crash = Path(err.split("details are in ")[1].split(":")[0])
    assert "ZeroDivisionError: inside" in crash.read_text()
    crash.unlink()


def test_the_schema_accepts_the_packaged_mix_and_refuses_a_wrong_one(run: Run) -> None:
    import jsonschema
    import yaml

    from curator.catalog import Catalog

    schema = json.loads(run("schema")[1])
    for file in Catalog.find().mix_files.values():
        jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"calibration_set": {"max_seq_length": 64, "datasets": [{"num_samples": 1, "sourc": "x"}]}}, schema)


def test_a_source_tree_has_one_name_wherever_the_command_runs(
    run: Run, write_mix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text(prose(300))
    mix = write_mix([{"path": ".", "num_samples": 1, "category": "Ours"}])
    prints = []
    for folder in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(folder)
        code, out, err = run("plan", mix, "--json")
        assert code == 0, err
        prints.append(json.loads(out)["fingerprint"])
    assert prints[0] == prints[1]


def test_a_tokenizer_from_the_hub_is_pinned_to_its_commit(run: Run, hub: Hub, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    import shutil

    from tests.conftest import _TREE, STARTER_TOKENIZER

    shutil.copytree(STARTER_TOKENIZER, _TREE / "models" / "tests" / "tokenizer", dirs_exist_ok=True)
    mix = write_mix([{"dataset": dataset("pinned", chat_rows(60)), "num_samples": 2, **ENTRY}], tokenizer="tests/tokenizer")
    code, _, err = build(run, mix)
    assert code == 0, err
    tokenizer = manifest(mix)["tokenizer"]
    repository = hub.repository("models", "tests/tokenizer")
    assert repository is not None
    assert tokenizer["revision"] == repository.commit
    code, _, err = build(run, mix, "--force", "--tokenizer", "tests/absent")
    assert code == 3
    assert "tokenizer tests/absent: not found on the hub" in err


def test_a_tokenizer_that_is_none_is_a_mistake_and_no_failure_of_the_network(run: Run, hub: Hub, write_mix: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text(prose(2000))
    mix = write_mix([{"path": "rows.txt", "adapter": "files", "num_samples": 1, **ENTRY, "formatter": "raw_text", "columns": ["text"]}])
    (tmp_path / "T").mkdir()
    code, _, err = build(run, mix, "--tokenizer", str(tmp_path / "T"))
    assert (code, "an empty folder; name one with tokenizer.json" in err) == (2, True), err
    (tmp_path / "T/tokenizer.json").write_text("{}")
    for name in (str(tmp_path / "T/tokenizer.json"), "T/tokenizer.json"):  # the second beside the mix
        code, _, err = build(run, mix, "--tokenizer", name)
        assert (code, f"a file; name the folder that it is in ({tmp_path}/T)" in err) == (2, True), err
    code, _, err = build(run, mix, "--tokenizer", "/no/such/folder")
    assert (code, "neither a folder nor a hub id" in err) == (2, True), err
    assert not hub.requests
    mixed = write_mix([{"dataset": "tests/there_is_none", "num_samples": 1, **ENTRY}])
    assert build(run, mixed, "--tokenizer", str(tmp_path / "T/tokenizer.json"))[0] == 3
