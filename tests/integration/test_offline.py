"""`--offline`: any mix from the embedded corpus, in its own shares, with no network at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curator import artifact, languages, verify
from tests.unit.test_mix import SHARES

# Every socket that is not a pipe to a child refuses: nothing here may reach for a network.
NO_NETWORK = "import socket\ndef refuse(*a, **k): raise OSError('network is off')\nsocket.socket.connect = refuse\nsocket.create_connection = refuse\n"


def build(mix: str, out: Path) -> dict[str, Any]:
    (out.parent / "site").mkdir(exist_ok=True)
    (out.parent / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    environment = os.environ | {"PYTHONPATH": str(out.parent / "site"), "PYTHONHASHSEED": str(len(out.name)), "HF_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "curator", "build", mix, "--offline", "--out", str(out)]
    done = subprocess.run(command, env=environment, cwd=out.parent, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "offline: the embedded starter corpus stands in for 52 sources" in done.stderr or mix != "calibrate_software_engineer.yaml"
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("offline") / "B"
    return out, build("calibrate_software_engineer.yaml", out)


def test_it_has_all_samples_shares_and_languages(built: tuple[Path, dict[str, Any]]) -> None:
    out, manifest = built
    assert manifest["offline"] is True
    assert manifest["max_seq_length"] >= 512
    data = pl.read_parquet(out / "data/*.parquet")
    assert data["input_ids"].list.len().to_list() == [manifest["max_seq_length"]] * 590
    samples = pl.read_parquet(out / "samples.parquet")
    assert dict(samples.group_by("category").len().iter_rows()) == SHARES
    documents = pl.read_parquet(out / "documents.parquet")
    assert set(languages.ids(languages.ALL)) <= set(documents["language"].unique())
    coverage = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    wanted = {g["required"] for g in coverage["gates"] if g["name"].endswith("(tokens)")}
    assert wanted == {4096 * manifest["max_seq_length"] // 8192}
    assert all(g["ok"] for g in coverage["gates"])


def test_it_verifies(built: tuple[Path, dict[str, Any]]) -> None:
    assert verify.verified(built[0], artifact.manifest(built[0])).faults == []


def test_no_document_is_placed_twice(built: tuple[Path, dict[str, Any]]) -> None:
    rows = pl.read_parquet(built[0] / "documents.parquet")["origin"].struct.field("row")
    assert rows.is_unique().all()


def test_it_says_what_it_is(built: tuple[Path, dict[str, Any]]) -> None:
    page = (built[0] / "report.html").read_text(encoding="utf-8")
    assert len(built[1]["replaced"]) == 52
    assert ", ".join(built[1]["replaced"]) in page
    for note in built[1]["notes"]:
        assert note in page
        assert note in (built[0] / "README.md").read_text(encoding="utf-8")


def test_the_same_bytes_on_every_run(built: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert build("calibrate_software_engineer.yaml", tmp_path / "again")["files"] == built[1]["files"]


def test_a_mix_of_the_users_own_with_a_category_that_the_corpus_lacks(tmp_path: Path) -> None:
    mix = tmp_path / "own.yaml"
    mix.write_text(
        "calibration_set:\n  max_seq_length: 2048\n  tokenizer: nobody/nothing\n  datasets:\n"
        "    - {dataset: nobody/at-all, columns: [x], formatter: raw_text, num_samples: 20, category: Gardening}\n"
        "    - {source: wikipedia, languages: [he, tr], num_samples: 4}\n"
    )
    manifest = build(str(mix), tmp_path / "B")
    samples = pl.read_parquet(tmp_path / "B/samples.parquet")
    assert dict(samples.group_by("category").len().iter_rows()) == {"Gardening": 20, "Multilingual": 4}
    assert manifest["max_seq_length"] <= 2048
