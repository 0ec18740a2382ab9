"""What a reviewer does with a build: its gates measured again, its reports written again, held against benchmarks, compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests import recount
from tests.conftest import REPOSITORY, chat_rows, prose

Run = Callable[..., tuple[int, str, str]]
CHAT = {"columns": ["messages"], "formatter": "chat_completion", "split": "train", "category": "General chat"}
HEBREW = (REPOSITORY / "sources/starter/text/he").glob("*.txt")


@pytest.fixture
def make(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Build rows into a folder: ``make("A", rows, seed=1, require={...})``."""

    def call(name: str, rows: list[dict[str, Any]], *options: object, code: int = 0, entry: dict[str, Any] | None = None, **settings: Any) -> Path:
        mix = write_mix([{"dataset": dataset(name, rows), "num_samples": 4, **CHAT, **(entry or {})}], **settings)
        got, _, err = run("build", mix, "--out", tmp_path / name, *options)
        assert got == code, err
        return tmp_path / name

    return call


def coverage(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "coverage.json").read_text(encoding="utf-8"))
    return value


def talk(texts: list[str]) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": f"Continue, part {n}."}, {"role": "assistant", "content": t}]} for n, t in enumerate(texts)]


def test_every_number_is_that_of_a_second_count(make: Callable[..., Path]) -> None:
    folder = make("counted", chat_rows(60), shuffle=True)
    recount.check(folder)
    for name, rows in coverage(folder).items():
        assert (folder / "coverage" / f"{name}.parquet").exists() == bool(rows), name
        if rows:
            assert pl.read_parquet(folder / "coverage" / f"{name}.parquet").height == len(rows)


def test_hebrew_that_is_only_asked_for_is_no_hebrew(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    entry = {"formatter_params": {"prefix": "Reply in Hebrew.\n"}}
    folder = make("asked", talk([prose(120, seed=n) for n in range(30)]), entry=entry)
    [named] = [row for row in coverage(folder)["named_languages"] if row["name"] == "he"]
    texts = pl.read_parquet(folder / "documents.parquet")["text"].to_list()
    assert named["documents_naming"] == sum("Reply in Hebrew." in t for t in texts) > 5
    assert (named["tokens"], named["real"]) == (0, False)
    gates = tmp_path / "gates.yaml"
    gates.write_text("require:\n  natural_languages: {languages: [he], min_tokens: 1}\n")
    code, out, _ = run("check", folder, "--require", gates)
    assert code == 1
    assert "not met: natural_languages: he (tokens): 0 of 1" in out
    assert run("check", folder)[0] == 0


def test_hebrew_that_is_there_counts_and_english_that_claims_to_be_does_not(
    run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path
) -> None:
    hebrew, english = [f.read_text(encoding="utf-8") for f in HEBREW], [prose(200, seed=n) for n in range(8)]
    rows = [{"text": t, "language": "Hebrew"} for t in hebrew + english]
    card = {"adapter": "hub", "dataset": dataset("claimed", rows), "columns": ["text"], "formatter": "text", "category": "Multilingual"}
    card |= {"language_column": "language", "languages": {"he": "Hebrew"}}
    (tmp_path / "catalog/sources").mkdir(parents=True)
    (tmp_path / "catalog/sources/claimed.yaml").write_text(json.dumps(card))
    mix = write_mix([{"source": "claimed", "languages": ["he"], "num_samples": "all"}])
    code, _, err = run("build", mix, "--catalog", tmp_path / "catalog", "--out", tmp_path / "B", "--allow-short")
    assert code == 0, err
    folder = tmp_path / "B"
    documents, tables = pl.read_parquet(folder / "documents.parquet"), coverage(folder)
    real = documents.filter(pl.col("language_detected") == "he")["tokens"].sum()
    assert real > 0
    assert [(r["name"], r["tokens"]) for r in tables["natural_languages"]] == [("he", real)]
    assert {r["detected"] for r in tables["disagreements"]} <= {"en", "no", "da", "nl", "af", "fr", "ro", "ca", "sv", "et"}
    assert len(tables["disagreements"]) == documents.filter(pl.col("language_detected") != "he").height > 0
    gates = tmp_path / "gates.yaml"
    gates.write_text(f"require:\n  natural_languages: {{languages: [Hebrew], min_tokens: {real + 1}}}\n")
    assert run("check", folder, "--require", gates)[0] == 1
    gates.write_text(f"require:\n  natural_languages: {{languages: [Hebrew], min_tokens: {real}}}\n")
    assert run("check", folder, "--require", gates)[0] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gates: 1\n", "give it one root key, `require`"),
        ("require: {languages: all}\n", "unknown key 'languages'"),
        ("require:\n  natural_languages: {languages: [klingon], min_tokens: 1}\n", "unknown language 'klingon'"),
        ("require: [\n", "expected"),
    ],
)
def test_a_wrong_file_of_gates_is_told(text: str, said: str, make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    folder = make("gated", chat_rows(30))
    (tmp_path / "gates.yaml").write_text(text)
    code, _, err = run("check", folder, "--require", tmp_path / "gates.yaml")
    assert code == 2
    assert "gates.yaml" in err
    assert said in err
    assert run("check", folder, "--require", tmp_path / "none.yaml")[0] == 2


def test_planted_repetitions_are_found(make: Callable[..., Path]) -> None:
    base = [prose(150, seed=n) for n in range(20)]
    again = " ".join(base[3].split()[:-4]) + " but it ends in another way"
    folder = make("repeated", talk([*base, again]), entry={"num_samples": "all"})
    texts = {(d["sample"], d["start"]): d["text"] for d in pl.read_parquet(folder / "documents.parquet").iter_rows(named=True)}
    found = [(texts[r["sample"], r["start"]], texts[r["other_sample"], r["other_start"]], r["kind"]) for r in coverage(folder)["duplicates"]]
    assert len(found) == 1
    assert found[0][2] == "near"
    assert all(base[3][:300] in text for text in found[0][:2])


def test_overlap_with_a_benchmark_is_told_and_nothing_is_dropped(make: Callable[..., Path], run: Run, dataset: Callable[..., str], tmp_path: Path) -> None:
    texts = [prose(150, seed=n) for n in range(20)]
    plain = make("plain", talk(texts), entry={"num_samples": "all"})
    words = texts[5].split()
    items = [{"id": 1, "question": {"text": " ".join(words[40:80]).upper()}}, {"id": 2, "question": {"text": prose(60, seed=999)}}, {"id": 3, "note": None}]
    file = tmp_path / "exam.jsonl"
    file.write_text("".join(json.dumps(i) + "\n" for i in items))
    hub = dataset("exam", [{"question": " ".join(words[:30])}], split="test")
    code, out, err = run("report", plain, "--against", file, "--against", hub, "--against", file)  # given twice, it counts once
    assert code == 0, err
    tables = coverage(plain)
    assert [(r["items"], r["items_overlapping"], r["documents_overlapping"]) for r in tables["overlap_benchmarks"]] == [(2, 1, 1), (1, 1, 1)]
    assert {r["share"] for r in tables["overlap"]} == {1.0}
    assert f"{file}: 1 of 2 items share 13 words in a row with 1 documents" in out
    documents = pl.read_parquet(plain / "documents.parquet")
    for row in tables["overlap"]:
        [text] = documents.filter((pl.col("sample") == row["sample"]) & (pl.col("start") == row["start"]))["text"]
        assert texts[5][:200] in text
    assert run("check", plain)[0] == 0
    assert run("report", plain, "--against", tmp_path / "none.jsonl")[0] == 2
    (tmp_path / "empty.jsonl").write_text("")
    assert run("report", plain, "--against", tmp_path / "empty.jsonl")[0] in (2, 3)
    assert run("report", plain, "--against", "tests/there_is_none")[0] == 3
    assert coverage(plain) == tables


@pytest.mark.parametrize(("name", "code"), [("none.jsonl", 2), ("../x", 2), ("tests/there_is_none", 3)])
def test_a_benchmark_that_is_not_there_is_told_before_a_row_is_read(
    name: str, code: int, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], own_cache: Path, tmp_path: Path
) -> None:
    mix = write_mix([{"dataset": dataset("early", chat_rows(40)), "columns": ["messages"], "formatter": "chat_completion", "num_samples": 2}])
    found, _, err = run("build", mix, "--out", tmp_path / "B", "--against", name)
    assert (found, f"--against {name}: " in err) == (code, True), err
    assert not list(own_cache.rglob("*.batch"))
    assert run("build", mix, "--out", tmp_path / "B")[0] == 0
    assert list(own_cache.rglob("*.batch"))


def test_reports_are_written_again_from_the_folder_alone(make: Callable[..., Path], run: Run) -> None:
    folder = make("again", chat_rows(40))
    before = {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    code, out, err = run("report", folder)
    assert (code, out.strip()) == (0, f"{folder}/report.html"), err
    assert {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()} == before
    (folder / "report.html").unlink()
    assert run("report", folder)[0] == 2
    (folder / "report.html").write_bytes(before["report.html"])
    (folder / "documents.parquet").write_bytes(before["documents.parquet"][:-1])
    code, _, err = run("report", folder)
    assert code == 2
    assert "documents.parquet: changed since the build" in err
    assert run("report", folder.parent)[0] == 2


def test_diff_says_what_changed(make: Callable[..., Path], run: Run, tmp_path: Path) -> None:
    a, b = make("a", chat_rows(40)), make("b", chat_rows(40), seed=7)
    code, out, _ = run("diff", a, a)
    assert code == 0
    assert "the same" in out
    code, out, err = run("diff", a, b, "--json", "--html", tmp_path / "diff.html", "--markdown", tmp_path / "diff.md")
    assert code == 1, err
    found = json.loads(out)
    assert not found["same"]
    texts = [set(pl.read_parquet(f / "documents.parquet")["text_sha256"]) for f in (a, b)]
    assert found["documents"]["shared"] == len(texts[0] & texts[1])
    assert found["documents"]["only_a"] == len(texts[0] - texts[1])
    assert {r["text_sha256"] for r in found["gained"]} == texts[1] - texts[0]
    assert any(line.startswith('+  "seed": 7') for line in found["mix_diff"])
    assert {r["source"] for r in found["sources"]} == {"a", "b"}
    assert "<title>" in (tmp_path / "diff.html").read_text()
    assert f"{len(texts[0] & texts[1]):,} documents are in both" in (tmp_path / "diff.md").read_text()
    code, out, _ = run("diff", a, b)
    assert code == 1
    assert f"{len(texts[0] & texts[1]):,} in both" in out
    assert run("diff", a, tmp_path)[0] == 2
