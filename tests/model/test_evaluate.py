"""Perplexity and KL divergence against float64 computed the plain way, and who is held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curator.errors import QuantizeError, UsageError
from tests.tiny_moe import VOCABULARY, load_model, samples, save_model

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
from curator.quantize import evaluate  # noqa: E402

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), "minimax_m2")


def disturbed(model: Any) -> Any:
    """The same model with every expert's weights a little off, as rounding leaves them."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "experts" in name:
                parameter += 0.02 * torch.randn_like(parameter)
    return model


def log_probabilities(model: Any, batch: Any) -> Any:
    with torch.no_grad():
        return torch.log_softmax(model(**batch.inputs(), use_cache=False).logits[0].double(), dim=-1)


def by_hand(source: list[Any], other: list[Any], batches: list[Any]) -> list[tuple[float, float, float]]:
    rows = []
    for p, q, batch in zip(source, other, batches, strict=True):
        ids, positions = batch.input_ids[0].tolist(), batch.position_ids[0].tolist()
        for at in range(len(ids) - 1):
            if positions[at + 1] == positions[at] + 1:
                rows.append((float(-p[at, ids[at + 1]]), float(-q[at, ids[at + 1]]), float((p[at].exp() * (p[at] - q[at])).sum())))
    return rows


@pytest.fixture(params=[(1024, 8192), (7, 100)], ids=["whole", "tiles"])
def measured(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[pl.DataFrame, list[tuple[float, float, float]]]:
    monkeypatch.setattr(evaluate, "POSITIONS", request.param[0])
    monkeypatch.setattr(evaluate, "VOCABULARY", request.param[1])
    batches, documents = samples()
    model = load_model(folder, apart=True)
    kept = evaluate.reference(model, batches)
    source = [log_probabilities(model, b) for b in batches]
    disturbed(model)
    other = [log_probabilities(model, b) for b in batches]
    return evaluate.token_table(kept, evaluate.compare(kept, model), documents), by_hand(source, other, batches)


def test_each_token_is_scored_as_by_hand(measured: tuple[pl.DataFrame, list[tuple[float, float, float]]]) -> None:
    tokens, wanted = measured
    assert len(tokens) == len(wanted) == 6 * (96 - 4)
    np.testing.assert_allclose(tokens.select("source_loss", "loss", "kl").to_numpy(), wanted, rtol=1e-4, atol=2e-6)
    assert tokens["kl"].mean() > 1e-3  # the disturbance is one that the comparison can see


def test_the_figures_are_those_of_the_tokens(measured: tuple[pl.DataFrame, list[tuple[float, float, float]]]) -> None:
    tokens, wanted = measured
    figures = evaluate.cost(tokens)
    losses = np.array(wanted)
    overall = figures["overall"]
    assert overall["perplexity_source"]["value"] == pytest.approx(np.exp(losses[:, 0].mean()), rel=1e-5)
    assert overall["perplexity"]["value"] == pytest.approx(np.exp(losses[:, 1].mean()), rel=1e-5)
    assert overall["kl_mean"]["value"] == pytest.approx(losses[:, 2].mean(), rel=1e-4)
    assert overall["kl_p99"]["value"] == pytest.approx(np.quantile(losses[:, 2], 0.99, method="inverted_cdf"), rel=1e-3)
    assert [row["name"] for row in figures["by_category"]] == ["Chat", "Code"]
    assert [row["name"] for row in figures["by_language"]] == ["fr", "python"]  # a document without a language is in neither
    assert sum(row["tokens"] for row in figures["by_category"]) == overall["tokens"] == len(tokens)
    assert overall["documents"] == 23  # one of the 24 has a single token, and nothing of its own to predict


def test_a_model_does_not_differ_from_itself(folder: Path) -> None:
    batches, documents = samples(2)
    model = load_model(folder, apart=False)
    kept = evaluate.reference(model, batches)
    figures = evaluate.cost(evaluate.token_table(kept, evaluate.compare(kept, model), documents))["overall"]
    assert abs(figures["kl_mean"]["value"]) < 1e-12
    assert figures["perplexity"] == figures["perplexity_source"]


def test_huge_logits_and_far_apart_models_stay_finite() -> None:
    torch.manual_seed(0)
    hidden, other = 30 * torch.randn(9, 16), 30 * torch.randn(9, 16)
    head = evaluate.Head(torch.randn(50, 16), torch.randn(50))
    wanted = torch.arange(9)
    got = evaluate.divergence(hidden, head, other, head, wanted)
    p, q = (torch.log_softmax(x.double() @ head.weight.double().T + head.bias.double(), -1) for x in (hidden, other))
    np.testing.assert_allclose(got.kl, (p.exp() * (p - q)).sum(-1).numpy(), rtol=1e-5)
    np.testing.assert_allclose(got.loss, -q[range(9), wanted].numpy(), rtol=1e-5, atol=1e-5)


def test_standard_errors_are_those_of_documents_and_not_of_tokens() -> None:
    """Documents whose tokens are all alike tell as much as one token each."""
    chance = np.random.default_rng(3)
    each = chance.normal(2, 1, 400)
    tokens = pl.DataFrame(
        {"document": np.repeat(np.arange(400), 50), "category": "c", "language": None, "source_loss": 0.0, "loss": 0.0, "kl": np.repeat(each, 50)}
    )
    overall = evaluate.cost(tokens)["overall"]
    assert overall["kl_mean"]["se"] == pytest.approx(each.std(ddof=1) / 20, rel=1e-9)
    assert overall["kl_p99"]["se"] == pytest.approx(np.std([np.quantile(chance.choice(each, 400), 0.99) for _ in range(400)]), rel=0.35)
    assert evaluate.cost(tokens.filter(pl.col("document") == 0))["overall"]["kl_mean"]["se"] is None


def test_each_category_gives_its_share_of_what_is_held_out() -> None:
    frame = pl.DataFrame({"sample": range(100), "category": ["a"] * 60 + ["b"] * 30 + ["c"] * 10})
    held = evaluate.hold_out(frame, 10, seed=42)
    assert [sum(n < 60 for n in held), sum(60 <= n < 90 for n in held), sum(n >= 90 for n in held)] == [6, 3, 1]
    assert held == sorted(set(held)) == evaluate.hold_out(frame, 10, seed=42) != evaluate.hold_out(frame, 10, seed=43)
    assert len(evaluate.hold_out(frame, 99, seed=1)) == 99
    for count in (0, 100):
        with pytest.raises(UsageError, match=f"--evaluate {count}: the build has 100 samples"):
            evaluate.hold_out(frame, count, seed=1)


def test_logits_that_are_changed_after_the_output_layer_are_refused(folder: Path) -> None:
    batches, _ = samples(1)
    model = load_model(folder, apart=False)
    plain = model.forward
    model.forward = lambda **given: type("Out", (), {"logits": 5 * torch.tanh(plain(**given).logits / 5)})()
    with pytest.raises(QuantizeError, match="changes its logits after its output layer"):
        evaluate.reference(model, batches)
    assert model.config.vocab_size == VOCABULARY
