"""Every formatter on real rows, and a mix of the original's kind, unchanged, over real rows of all its datasets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import polars as pl
import pytest

from curator import plan as planning
from curator import plugins
from curator.adapters import reading
from curator.adapters.reading import File
from curator.catalog import Card, Catalog
from curator.data import Conversation, Drop
from curator.formatters import Options
from curator.plan import Source
from tests import recount
from tests.conftest import REPOSITORY
from tests.hub import serve
from tests.unit.test_mix import SHARES

pytestmark = pytest.mark.mirror
CATALOG = Catalog.find()
HUB_CARDS = sorted(n for n in CATALOG.card_files if CATALOG.card(n).adapter == "hub")
NOT_THERE = {"aya_dataset", "commitpackft", "rosetta_code"}  # cards for public sets of which there are no real rows here
SHOWN = 60


def files(folder: Path, card: Card) -> list[File]:
    """The files of a card's first language, split or subset."""
    name = card.rule(next(iter(card.languages))).name if card.languages else ""
    if card.data_files:
        found = sorted(folder.glob(card.data_files[0].replace("{language}", name)))
    else:
        inside = folder / card.subset.replace("{language}", name) if card.subset else folder
        found = sorted(p for p in inside.rglob("*.parquet") if p.name.startswith(f"{card.split}-"))
    return [File(p.name, lambda p=p: p.open("rb")) for p in found]


@pytest.mark.parametrize("name", [n for n in HUB_CARDS if n not in NOT_THERE])
def test_a_card_reads_its_real_rows(name: str, mirror: Path) -> None:
    card = CATALOG.card(name)
    (stream, *_) = planning.streams(Source(name, card, 1, tuple(card.languages)[:1]), seed=42)
    rows = list(islice(reading.read(files(mirror / "datasets" / str(card.dataset), card), stream.where, seed="s", sampling="head"), SHOWN))
    assert rows, "there are rows"
    formatter = plugins.load("formatters", card.formatter or "")
    results = [formatter(r.values, Options(card.columns, planning.instruction(card), stream.language, card.formatter_params)) for r in rows]
    kept = [r for r in results if isinstance(r, Conversation)]
    assert len(kept) >= 0.8 * len(rows), [r for r in results if isinstance(r, Drop)][:5]
    for conversation in kept:
        texts = [conversation.text] if conversation.text is not None else [m.content for m in conversation.messages]
        assert all(isinstance(t, str) for t in texts)
        assert "None" not in texts


def test_the_cards_use_every_formatter() -> None:
    assert {CATALOG.card(n).formatter for n in CATALOG.card_files} == set(plugins.names("formatters"))


def test_tool_calls_of_real_rows_keep_their_roles(mirror: Path) -> None:
    card = CATALOG.card("hermes_reasoning_tool_use")
    (stream,) = planning.streams(Source(card.name, card, 1), seed=42)
    rows = islice(reading.read(files(mirror / "datasets" / str(card.dataset), card), stream.where, seed="s", sampling="head"), 200)
    talks = [plugins.load("formatters", "sharegpt")(r.values, Options(card.columns)) for r in rows]
    messages = [m for t in talks if isinstance(t, Conversation) for m in t.messages]
    assert sum(bool(m.tool_calls) for m in messages) > 50
    assert sum(m.role == "tool" for m in messages) > 50
    assert sum(bool(m.reasoning) for m in messages) > 50
    assert not any("<tool_response>" in m.content for m in messages if m.role == "tool")


def test_a_mix_of_the_originals_kind_builds_unchanged(mirror: Path, tmp_path: Path) -> None:
    mix = REPOSITORY / "tests" / "golden" / "original_kind.yaml"
    with serve(mirror) as (endpoint, _):
        environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "curator", "build", str(mix), "--tokenizer", "MiniMaxAI/MiniMax-M2.1", "--out", str(tmp_path / "B")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    samples = pl.read_parquet(tmp_path / "B/samples.parquet")
    counted = dict(samples.group_by("category").len().iter_rows())
    assert {c: n for c, n in counted.items() if c != "Misc"} == {c: n for c, n in SHARES.items() if c != "Misc"}
    assert counted["Misc"] >= 1, "the last entry asks for all that there is"
    assert samples["tokens"].unique().to_list() == [512]
    assert json.loads((tmp_path / "B/manifest.json").read_text())["padding_tokens"] == 0
    recount.check(tmp_path / "B")
    check_what_is_really_there(tmp_path / "B")


def check_what_is_really_there(folder: Path) -> None:
    """The report says which of the languages that the instructions name are nowhere in the set."""
    named = json.loads((folder / "coverage.json").read_text(encoding="utf-8"))["named_languages"]
    assert {"he", "fortran", "zephir", "vulkan"} <= {r["name"] for r in named if r["documents_naming"]}
    assert {"fortran", "zephir", "vulkan"} <= {r["name"] for r in named if not r["real"]}
    assert {r["name"]: r["tokens"] for r in named}["he"] <= 512, "at most a stray document"
    text = (folder / "report.md").read_text(encoding="utf-8")
    for kind, total in (("programming", 60), ("natural", 12)):
        real = sum(r["real"] for r in named if r["kind"] == kind)
        assert 0 < real < total
        assert f"{real} of {total} {kind} languages" in text


def test_the_starter_corpus_has_300000_tokens_of_a_large_vocabulary(mirror: Path) -> None:
    from tokenizers import Tokenizer

    from curator.adapters.starter import corpus_root, manifest

    tokenizer = Tokenizer.from_file(str(mirror / "models/MiniMaxAI/MiniMax-M2.1/tokenizer.json"))
    assert tokenizer.get_vocab_size() > 130_000
    texts = [(corpus_root() / entry["file"]).read_text(encoding="utf-8") for entry in manifest()]
    assert sum(len(e.ids) for e in tokenizer.encode_batch_fast(texts)) >= 300_000
