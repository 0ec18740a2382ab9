"""Documents packed into one sample are to a model what each is alone, by their position_ids and no attention_mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.conftest import chat_rows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.model

Sample = tuple[Any, Any, list[tuple[int, int]]]  # input_ids, position_ids (1 x tokens), (start, tokens) of each document
TOLERANCE, DIFFERENT = 1e-5, 1e-3


@pytest.fixture
def samples(run: Callable[..., tuple[int, str, str]], dataset: Callable[..., str], write_mix: Callable[..., Path]) -> list[Sample]:
    """The samples of a small build, each with at least two documents."""
    entry = {"dataset": dataset("packed", chat_rows(60, words=25)), "columns": ["messages"], "formatter": "chat_completion", "category": "Chat"}
    mix = write_mix([{**entry, "num_samples": 4}])
    code, _, err = run("build", mix, "--out", mix.parent / "B", "--json")
    assert code == 0, err
    data = pl.read_parquet(mix.parent / "B/data/*.parquet")
    documents = pl.read_parquet(mix.parent / "B/documents.parquet")
    made = []
    for number, row in enumerate(data.iter_rows(named=True)):
        spans = [(d["start"], d["tokens"]) for d in documents.filter(pl.col("sample") == number).iter_rows(named=True)]
        assert len(spans) > 1
        assert sum(length for _, length in spans) == len(row["input_ids"]) == 256
        made.append((torch.tensor([row["input_ids"]]), torch.tensor([row["position_ids"]]), spans))
    return made


@pytest.fixture(scope="module")
def model() -> Any:
    """A MiniMax-M2 of two layers with random weights."""
    from transformers import MiniMaxM2Config, MiniMaxM2Model

    torch.manual_seed(0)
    config = MiniMaxM2Config(
        vocab_size=32768,
        hidden_size=128,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        num_local_experts=8,
        num_experts_per_tok=2,
    )
    return MiniMaxM2Model(config).to(torch.float32).eval()


def hidden(model: Any, ids: Any, **more: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False, **more).last_hidden_state[0]


def furthest(model: Any, sample: Sample, packed: Any, *, leave_out: int = 0) -> float:
    """The largest difference between a packed sample and its documents alone, the first ``leave_out`` documents aside."""
    ids, _, spans = sample
    alone = [(start, length, hidden(model, ids[:, start : start + length])) for start, length in spans[leave_out:]]
    return max(float((packed[start : start + length] - states).abs().max()) for start, length, states in alone)


def test_each_document_is_as_it_is_alone(model: Any, samples: list[Sample]) -> None:
    for sample in samples:
        ids, positions, _ = sample
        assert furthest(model, sample, hidden(model, ids, position_ids=positions)) < TOLERANCE


def test_positions_that_run_on_let_documents_see_their_neighbours(model: Any, samples: list[Sample]) -> None:
    for sample in samples:
        ids = sample[0]
        assert furthest(model, sample, hidden(model, ids, position_ids=torch.arange(256)[None]), leave_out=1) > DIFFERENT


def test_a_mask_of_ones_lets_documents_see_their_neighbours(model: Any, samples: list[Sample]) -> None:
    for sample in samples:
        ids, positions, _ = sample
        packed = hidden(model, ids, position_ids=positions, attention_mask=torch.ones_like(ids))
        assert furthest(model, sample, packed, leave_out=1) > DIFFERENT
