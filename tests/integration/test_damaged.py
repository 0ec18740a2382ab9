"""Builds that are damaged, may not be read, or have a manifest that no build wrote: told, with the code that says whose turn it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curator import artifact
from tests.builds import built
from tests.conftest import REPOSITORY

Run = Callable[..., tuple[int, str, str]]
READERS = ["check", "verify", "report", "show", "diff"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small build of files that lie beside its mix."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"t": f"row {n} " + "of words that differ " * 30}) + "\n" for n in range(40)))
    entry = {"path": "rows.jsonl", "adapter": "files", "columns": ["t"], "formatter": "raw_text", "num_samples": 3, "category": "Text"}
    return built(folder / "mix.yaml", folder / "B", settings={"max_seq_length": 256, "tokenizer": "starter", "datasets": [entry]})


@pytest.fixture
def build(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "B"))


def asked(command: str, folder: Path) -> list[object]:
    """The command over a build, with what else it needs."""
    return [command, folder, *{"show": [0], "diff": [folder]}.get(command, [])]


@pytest.mark.parametrize("command", READERS)
def test_a_file_that_may_not_be_read(command: str, build: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refusing(file: Path, *arguments: Any, **options: Any) -> Any:
        if file.name == "documents.parquet":
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    code, _, err = run(*asked(command, build))
    assert code == 2, err
    assert f"{build}/documents.parquet: cannot be read: Permission denied; see that you may read it" in err


@pytest.mark.parametrize(("command", "expected"), [("check", 1), ("verify", 1), ("report", 2), ("show", 2), ("diff", 2)])
def test_a_table_that_was_cut(command: str, expected: int, build: Path, run: Run) -> None:
    file = build / "documents.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    code, out, err = run(*asked(command, build))
    assert code == expected, err
    assert "documents.parquet: " in out + err
    assert "bug" not in err


@pytest.mark.parametrize(("command", "expected"), [("check", 1), ("verify", 1), ("report", 2)])
def test_a_cut_table_that_the_manifest_vouches_for(command: str, expected: int, build: Path, run: Run) -> None:
    file = build / "documents.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    vouched(build)
    code, out, err = run(*asked(command, build))
    assert code == expected, err
    assert "documents.parquet: is no parquet file, or only a part of one" in out + err


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda build: (build / "documents.parquet").write_bytes(b""),
        lambda build: (build / "manifest.json").write_text("{"),
        lambda build: rewritten(build, format="curate-build/9"),
        lambda build: rewritten(build, samples=-1),
    ],
    ids=["table", "json", "format", "value"],
)
def test_what_to_do_about_a_damaged_build_is_told(damage: Callable[[Path], Any], command: str, build: Path, run: Run) -> None:
    damage(build)
    code, out, err = run(*asked(command, build))
    assert code in (1, 2)
    assert "take the build from where it was made, or build again" in err or (command == "verify" and "wrong: " in out)


def test_a_build_without_data(build: Path) -> None:
    shutil.rmtree(build / "data")
    with pytest.raises(artifact.Damaged, match=r"data/train-\*\.parquet: missing"):
        artifact.read_data(build)


GONE = object()


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("files", 3, "files: "),
        ("files", {"README.md": 3}, "files.README.md: "),
        ("tokenizer", None, "tokenizer: "),
        ("tokenizer", {"id": "x", "sha256": "x", "vocab_size": "many"}, "tokenizer.vocab_size: "),
        ("mix", GONE, "mix: "),
        ("mix", {"sha256": "x", "text": "x"}, "mix.name: "),
        ("samples", "x", "samples: "),
        ("samples", True, "samples: "),
        ("samples", -1, "samples: "),
        ("sources", [{}], "sources.0.source: "),
        ("special_tokens", {}, "special_tokens: "),
        ("required", [], "required: "),
        ("notes", None, "notes: "),
        ("format", [], "format []"),
    ],
)
def test_a_manifest_with_odd_values(key: str, value: object, named: str, build: Path, run: Run) -> None:
    described = json.loads((build / "manifest.json").read_text())
    described[key] = value
    if value is GONE:
        del described[key]
    (build / "manifest.json").write_text(json.dumps(described))
    for command in READERS:
        code, _, err = run(*asked(command, build))
        assert code == 2, err
        assert named in err


@pytest.mark.parametrize("text", ["[]", "3", "null", "{", "[" * 100_000])
def test_a_manifest_that_is_none(text: str, build: Path, run: Run) -> None:
    (build / "manifest.json").write_text(text)
    assert run("check", build)[0] == 2


def vouched(build: Path) -> None:
    """Have the manifest say that the files are as they are now."""
    rewritten(build, files=artifact.file_table(build))


def rewritten(build: Path, **values: object) -> None:
    described = json.loads((build / "manifest.json").read_text())
    artifact.write_json(build / "manifest.json", described | values)


ROW = {"name": "x", "samples": 1, "documents": 1, "tokens": 1, "share": 0.5}
TABLES = {"by_category": [ROW], "programming_languages": [ROW], "natural_languages": [ROW], "named_languages": [], "gates": []}


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ([], "it is no object of tables"),
        (3, "it is no object of tables"),
        ({}, "no table by_category"),
        (TABLES | {"gates": 3}, "gates: is no list of rows"),
        (TABLES | {"gates": [3]}, "gates: row 0: is no object"),
        (TABLES | {"gates": [{"name": "x", "required": 1, "got": "many", "ok": True}]}, "gates: row 0: got is 'many'"),
        (TABLES | {"by_category": [ROW, ROW | {"share": "x"}]}, "by_category: row 1: share is 'x'"),
        (TABLES | {"by_category": [ROW | {"tokens": None}]}, "by_category: row 0: no tokens"),
        (TABLES | {"by_category": [ROW | {"name": 3}]}, "by_category: row 0: name is 3"),
        (TABLES | {"owed": [{"source": ["x"]}]}, "owed: row 0: source is ['x']"),
        (TABLES | {"cut": [{"tokens": 10**30}]}, "cut: row 0: tokens is 1000"),
        (TABLES | {"named_languages": [{"name": "x"}]}, "named_languages: row 0: no kind"),
    ],
)
def test_a_coverage_file_of_another_shape(tables: object, named: str, build: Path, run: Run, tmp_path: Path) -> None:
    artifact.write_json(build / "coverage.json", tables)
    assert run("check", build)[0] == 1, "it is not the file that was written"
    vouched(build)
    for command in (["show", build], ["diff", build, build], ["diff", build, build, "--markdown", tmp_path / "x.md"]):
        code, _, err = run(*command)
        assert code == 2, err
        assert f"coverage.json: {named}" in err
    code, out, _ = run("verify", build)
    assert code == 1
    assert f"coverage.json: {named}" in out
    assert run("report", build)[0] == 0, "it is measured again"
    assert run("show", build)[0] == 0


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"gates": "\\ud800"}', "\xff"])
def test_a_coverage_file_that_is_no_json(text: str, build: Path, run: Run) -> None:
    (build / "coverage.json").write_bytes(text.encode("latin-1"))
    vouched(build)
    for command, expected in (("show", 2), ("verify", 1)):
        code, out, err = run(command, build)
        assert code == expected, err
        assert "coverage.json: cannot be read" in out + err


def test_a_folder_that_is_not_there(run: Run, tmp_path: Path) -> None:
    code, _, err = run("check", tmp_path / "none")
    assert code == 2
    assert f"{tmp_path}/none: no such folder" in err
    assert "no manifest.json there" in run("check", tmp_path)[2]


def test_a_path_that_the_locale_cannot_spell(build: Path) -> None:
    folder = build.rename(build.parent / "Bücher")
    surroundings = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-m", "curator", "show", str(folder), "0"], env=surroundings, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"words that differ" in done.stdout
