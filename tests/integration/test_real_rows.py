"""The main job on real rows: `curate build calibrate_software_engineer.yaml` from the loopback hub, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curator import artifact, languages, verify
from tests import recount
from tests.hub import serve

pytestmark = pytest.mark.mirror
# Notes every host that is looked up, so that a test can say that nobody but the hub was asked; and at its end the most memory that
# each process held. What wait4 tells of a child will not do: it counts what the parent held when the child was started.
WATCHED = """import atexit, socket
def note_memory():
    with open("/proc/self/status") as status, open({log!r} + ".peaks", "a") as stream:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=stream)
atexit.register(note_memory)
original = socket.getaddrinfo
def watched(host, *arguments, **options):
    with open({log!r}, "a") as stream:
        print(host, file=stream)
    return original(host, *arguments, **options)
socket.getaddrinfo = watched
"""
MIX = "calibrate_software_engineer.yaml"


@pytest.fixture(scope="module")
def endpoint(mirror: Path) -> Iterator[str]:
    with serve(mirror) as (address, _):
        yield address


def build(endpoint: str, out: Path, *, hash_seed: str, jobs: int) -> dict[str, Any]:
    (out.parent / "site").mkdir(exist_ok=True)
    (out.parent / "site" / "sitecustomize.py").write_text(WATCHED.format(log=str(out.parent / "lookups")))
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(out.parent / f"home{jobs}"), "PYTHONHASHSEED": hash_seed}
    environment["PYTHONPATH"] = str(out.parent / "site")
    command = [sys.executable, "-m", "curator", "build", MIX, "--out", str(out), "--jobs", str(jobs), "--json"]
    done = subprocess.run(command, env=environment, cwd=out.parent, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("real") / "B"
    return out, build(endpoint, out, hash_seed="1", jobs=1)


def test_590_samples_of_exactly_8192_tokens(built: tuple[Path, dict[str, Any]]) -> None:
    out, manifest = built
    data = pl.read_parquet(out / "data/*.parquet")
    assert data.height == manifest["samples"] == 590
    for column in ("input_ids", "position_ids"):
        assert data[column].list.len().unique().to_list() == [8192]
    assert manifest["padding_tokens"] == 0
    assert manifest["tokens"] == 590 * 8192


def test_the_shares_are_those_of_the_mix(built: tuple[Path, dict[str, Any]]) -> None:
    from tests.unit.test_mix import SHARES

    samples = pl.read_parquet(built[0] / "samples.parquet")
    assert dict(samples.group_by("category").len().iter_rows()) == SHARES
    coverage = json.loads((built[0] / "coverage.json").read_text(encoding="utf-8"))
    assert sum(row["share"] for row in coverage["by_category"]) == pytest.approx(1)
    assert all(gate["ok"] for gate in coverage["gates"])


def test_every_language_has_its_tokens_as_text(built: tuple[Path, dict[str, Any]]) -> None:
    documents = pl.read_parquet(built[0] / "documents.parquet")
    tokens = dict(documents.group_by("language").agg(pl.col("tokens").sum()).iter_rows())
    for language in languages.ALL:
        assert tokens.get(language.id, 0) >= 4096, language
    natural = documents.filter(pl.col("language").is_in(languages.ids(languages.NATURAL)))
    agreed = natural.filter(pl.col("language") == pl.col("language_detected"))
    recognised = dict(agreed.group_by("language").agg(pl.col("tokens").sum()).iter_rows())
    # Not only claimed: the tokens of the gate are there in documents that langdetect recognises.
    assert all(recognised.get(language.id, 0) >= 4096 for language in languages.NATURAL), recognised


def test_every_number_of_the_reports_is_that_of_a_second_count(built: tuple[Path, dict[str, Any]]) -> None:
    recount.check(built[0])


def test_it_verifies(built: tuple[Path, dict[str, Any]]) -> None:
    assert verify.verified(built[0], artifact.manifest(built[0])).faults == []


def test_real_code_is_split_evenly(built: tuple[Path, dict[str, Any]]) -> None:
    documents = pl.read_parquet(built[0] / "documents.parquet").filter(pl.col("source").is_in(["commitpack", "starter_code"]))
    tokens = dict(documents.group_by("language").agg(pl.col("tokens").sum()).iter_rows())
    assert len(tokens) == 60
    short = {language: count for language, count in tokens.items() if count != 2 * 8192}
    assert not short, short


def test_real_text_is_split_evenly(built: tuple[Path, dict[str, Any]]) -> None:
    documents = pl.read_parquet(built[0] / "documents.parquet").filter(pl.col("source").is_in(["wikipedia", "starter_text"]))
    tokens = dict(documents.group_by("language").agg(pl.col("tokens").sum()).iter_rows())
    assert tokens == dict.fromkeys(languages.ids(languages.NATURAL), 2 * 8192)


def test_positions_restart_with_every_document(built: tuple[Path, dict[str, Any]]) -> None:
    documents = pl.read_parquet(built[0] / "documents.parquet")
    starts = documents.group_by("sample", maintain_order=True).agg(pl.col("start"), pl.col("tokens"), pl.col("cut"))
    positions = pl.read_parquet(built[0] / "data/*.parquet")["position_ids"]
    for row in starts.iter_rows(named=True):
        expected = [i for length in row["tokens"] for i in range(length)]
        assert positions[row["sample"]].to_list() == expected
        assert not any(row["cut"][:-1]), "only the last document of a sample is cut"


def test_no_document_twice_and_no_none(built: tuple[Path, dict[str, Any]]) -> None:
    documents = pl.read_parquet(built[0] / "documents.parquet")
    assert documents["origin"].is_unique().all()
    whole = documents.filter(pl.col("cut") == 0)
    assert whole["text_sha256"].is_unique().all()


def test_the_same_bytes_with_another_hash_seed_and_eight_workers(built: tuple[Path, dict[str, Any]], endpoint: str, tmp_path: Path) -> None:
    again = build(endpoint, tmp_path / "B", hash_seed="4711", jobs=8)
    assert again["files"] == built[1]["files"]
    assert again["fingerprint"] == built[1]["fingerprint"]


def test_memory_stays_under_1500_megabytes(built: tuple[Path, dict[str, Any]]) -> None:
    assert built[1]["samples"] == 590
    peaks = [int(line) / 1024 for line in (built[0].parent / "lookups.peaks").read_text().split()]
    peak = max(peaks)
    assert peak > 300, "the build has noted its own"
    assert peak < 1500, f"{peak:.0f} MB"


def test_nobody_but_the_hub_is_asked(built: tuple[Path, dict[str, Any]]) -> None:
    hosts = set((built[0].parent / "lookups").read_text().split())
    assert hosts == {"127.0.0.1"}
