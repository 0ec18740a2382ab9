"""The ledger against the routers' own logits: in a plain pass, while AWQ searches its grid, and while GPTQ runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curator.errors import QuantizeError, ShortfallError
from tests.conftest import STARTER_TOKENIZER
from tests.tiny_moe import EXPERTS, FAMILIES, TOP_K, load_model, samples, save_model

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
from curator.quantize import ledger as ledgers  # noqa: E402
from curator.quantize import masks  # noqa: E402

pytestmark = pytest.mark.model
EXPERT_LINEARS = r"re:.*experts\.\d+\..*"


@pytest.fixture(autouse=True)
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWQ pins its cache in memory for an accelerator, and fails where there is none."""
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.accelerator.is_available():
        monkeypatch.setattr(IntermediatesCache, "pin_memory", lambda *arguments, **options: None)
    torch.set_num_threads(1)


def chosen(family: str, logits: Any) -> Any:
    """[tokens, top_k]: the experts that a family picks by its router's logits, worked out anew."""
    scores = logits.double().sigmoid()
    if family == "deepseek_v3":  # two groups of experts, of which the one with the better best two is open
        groups = scores.reshape(len(scores), 2, EXPERTS // 2)
        shut = groups.topk(2, dim=-1).values.sum(-1).argmin(-1)
        groups[torch.arange(len(scores)), shut] = -1
        scores = groups.reshape(len(scores), EXPERTS)
    return scores.topk(TOP_K, dim=-1).indices


def routers(model: Any) -> dict[int, Any]:
    found = [m for name, m in model.named_modules() if name.endswith(".gate") and hasattr(m, "weight")]
    return dict(zip([number for number, *_ in ledgers._experts(model)], found, strict=True))


def independent(model: Any, family: str, batches: list[Any]) -> dict[int, Any]:
    """{layer: [samples, tokens, top_k]} by the logits that leave the routers in a plain pass, sample by sample."""
    kept: dict[int, list[Any]] = {number: [] for number in routers(model)}
    handles = [r.register_forward_hook(lambda _m, _i, out, n=n: kept[n].append(chosen(family, out[0]))) for n, r in routers(model).items()]
    with torch.no_grad():
        for batch in batches:
            model(**batch.inputs(), use_cache=False)
    for handle in handles:
        handle.remove()
    return {number: torch.stack(parts) for number, parts in kept.items()}


def wanted(picked: dict[int, Any], documents: pl.DataFrame) -> pl.DataFrame:
    """The table that the ledger should give, token by token."""
    rows = []
    for number, assignments in picked.items():
        for line in documents.iter_rows(named=True):
            part = assignments[line["sample"], line["start"] : line["start"] + line["tokens"]].flatten().tolist()
            rows += [(number, expert, line["source"], line["category"], line["language"]) for expert in part]
    keys = ["layer", "expert", "source", "category", "language"]
    frame = pl.DataFrame(rows, schema=dict(zip(keys, [pl.Int32, pl.Int32, pl.String, pl.String, pl.String], strict=True)), orient="row")
    return frame.group_by(keys).agg(tokens=pl.len().cast(pl.Int64)).sort(keys)


def given(counted: Any) -> pl.DataFrame:
    return ledgers.table(counted).filter(pl.col("tokens") > 0).sort("layer", "expert", "source", "category", "language")


def calibrate(model: Any, batches: list[Any], method: str, *, watch: Any, every: bool = True, targets: str = EXPERT_LINEARS) -> None:
    """llm-compressor over the samples, in an order of its own."""
    from datasets import Dataset
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQMapping, AWQModifier

    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
    group: Any = {"config_groups": {"experts": {"targets": [targets], "weights": weights}}}
    # Layers are named: the library looks for a router beside every norm, and DeepSeek's first layer has none.
    routed = r"re:.*layers\.(" + "|".join(str(number) for number, *_ in ledgers._experts(model)) + r")\."
    mapping = AWQMapping(routed + "post_attention_layernorm$", [routed + r"mlp\.gate$", routed + "mlp.*gate_proj$", routed + "mlp.*up_proj$"])
    recipe = [GPTQModifier(**group)] if method == "gptq" else [AWQModifier(n_grid=4, mappings=[mapping]), QuantizationModifier(**group)]
    from transformers import AutoTokenizer

    rows = [{"input_ids": b.input_ids[0].tolist(), "position_ids": b.position_ids[0].tolist()} for b in reversed(batches)]
    with masks.made_when_run(model), watch.attach(model, batches):
        oneshot(
            model=model,
            processor=AutoTokenizer.from_pretrained(STARTER_TOKENIZER),
            dataset=Dataset.from_list(rows),
            recipe=recipe,
            num_calibration_samples=len(rows),
            max_seq_length=4096,
            pipeline="sequential",
            moe_calibrate_all_experts=every,
            shuffle_calibration_samples=True,
        )


@pytest.mark.parametrize("apart", [False, True], ids=["fused", "apart"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_pass_counts_what_the_routers_say(family: str, apart: bool, tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", family), apart=apart)
    counted = ledgers.count(model, batches, documents)
    assert given(counted).equals(wanted(independent(model, family, batches), documents))
    for layer in counted.layers:
        assert layer.totals.sum() == counted.tokens * TOP_K == 6 * 96 * TOP_K
        assert layer.calibrated is None
    assert [layer.number for layer in counted.layers] == ([1, 2] if family == "deepseek_v3" else [0, 1])
    by_source = ledgers.table(counted).group_by("layer", "source").agg(pl.col("tokens").sum())
    assert by_source["tokens"].to_list() == [3 * 96 * TOP_K] * 4
    assert not any(m._forward_pre_hooks for m in model.modules())


@contextmanager
def noted(model: Any, family: str, batches: list[Any]) -> Iterator[dict[int, Any]]:
    """{layer: [samples, tokens, top_k]} by the logits of the first pass through each layer of a calibration, which is the one
    that gathers statistics; known by nothing but the order of things: what enters the embeddings first enters each layer first."""
    ids = {tuple(b.input_ids[0].tolist()): b.sample for b in batches}
    order: list[int] = []
    kept: dict[int, list[Any]] = {number: [] for number in routers(model)}

    def embed(_: Any, inputs: Any) -> None:
        if not inputs[0].is_meta and len(order) < len(batches):
            order.append(ids[tuple(inputs[0][0].tolist())])

    handles = [r.register_forward_hook(lambda _m, _i, out, n=n: kept[n].append(chosen(family, out[0]))) for n, r in routers(model).items()]
    handles.append(model.get_input_embeddings().register_forward_pre_hook(embed))
    found: dict[int, Any] = {}
    yield found
    for handle in handles:
        handle.remove()
    assert sorted(order) == [b.sample for b in batches] != order
    by_sample = [order.index(b.sample) for b in batches]
    found |= {number: torch.stack(parts[: len(batches)])[by_sample] for number, parts in kept.items()}
    assert all(len(parts) > len(batches) for parts in kept.values())


def moved(one: pl.DataFrame, other: pl.DataFrame) -> float:
    """The share of assignments in which two tables differ."""
    keys = ["layer", "expert", "source", "category", "language"]
    both = one.join(other, on=keys, how="full", nulls_equal=True).fill_null(0)
    return float((both["tokens"] - both["tokens_right"]).abs().sum() / 2 / one["tokens"].sum())


@pytest.mark.parametrize("family", FAMILIES)
def test_awq_with_its_grid_search_counts_each_sample_once(family: str, tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", family), apart=True)
    before = wanted(independent(model, family, batches), documents)
    watch = ledgers.Ledger(documents)
    calls: list[int] = []
    ledgers._experts(model)[0][2].register_forward_pre_hook(lambda *_: calls.append(1))
    with noted(model, family, batches) as picked:
        calibrate(model, batches, "awq", watch=watch)
    assert len(calls) > 3 * len(batches)  # for statistics, for the grid search, and to carry on
    assert given(watch.result()).equals(wanted(picked, documents))
    # Smoothing leaves what the model computes as it was, but for the last digits.
    assert moved(given(watch.result()), before) < 0.005
    for layer in watch.result().layers:
        assert layer.calibrated is not None
        assert layer.calibrated.tolist() == [watch.result().tokens] * EXPERTS


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("every", [True, False], ids=["all", "routed"])
def test_gptq_counts_what_the_layers_before_it_make_of_the_samples(family: str, every: bool, tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", family), apart=True)
    before = wanted(independent(model, family, batches), documents)
    watch = ledgers.Ledger(documents)
    with noted(model, family, batches) as picked:
        calibrate(model, batches, "gptq", watch=watch, every=every)
    assert given(watch.result()).equals(wanted(picked, documents))
    # The layers below are rounded by the time that a layer is calibrated: it is sent what it will be sent.
    after = wanted(independent(model, family, batches), documents)
    assert moved(given(watch.result()), after) < 0.005 < moved(before, after)
    for layer in watch.result().layers:
        assert layer.calibrated is not None
        assert layer.calibrated.tolist() == ([watch.result().tokens] * EXPERTS if every else layer.totals.tolist())
        assert layer.totals.sum() == watch.result().tokens * TOP_K


def test_an_expert_that_never_fires_is_zero_and_ends_the_run(tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "minimax_m2"), apart=True)
    model.model.layers[1].mlp.e_score_correction_bias[3] = -10.0
    counted = ledgers.count(model, batches, documents)
    assert counted.layers[1].totals[3] == 0
    assert ledgers.below(counted, 1) == [(1, 3, 0)]
    with pytest.raises(ShortfallError, match=r"1 of 16 experts were sent fewer than 1 tokens:\n\* layer 1, expert 3: 0\n") as failure:
        ledgers.require(counted, 1)
    assert failure.value.exit_code == 4
    ledgers.require(counted, 0)
    assert ledgers.default_minimum(counted) == 4 * 64
    facts = ledgers.write(tmp_path, counted, 1)
    assert facts == json.loads((tmp_path / "expert_tokens.json").read_text())
    assert facts["model"] == "m"  # the folder's name, and not where it lies
    assert facts["below_minimum"] == [[1, 3, 0]]
    assert facts["per_layer"][1]["zero"] == 1
    assert facts["per_layer"][1]["min"] == 0
    written = pl.read_parquet(tmp_path / "expert_tokens.parquet")
    assert written.schema == {"layer": pl.Int32, "expert": pl.Int32, "source": pl.String, "category": pl.String, "language": pl.String, "tokens": pl.Int64}
    assert written.filter((pl.col("layer") == 1) & (pl.col("expert") == 3))["tokens"].sum() == 0
    assert written["tokens"].sum() == 2 * TOP_K * counted.tokens


def test_a_dense_model_has_an_empty_ledger_that_says_so(tmp_path: Path) -> None:
    batches, documents = samples()
    counted = ledgers.count(load_model(save_model(tmp_path / "m", "llama"), apart=True), batches, documents)
    assert ledgers.default_minimum(counted) == 0
    ledgers.require(counted, 0)
    facts = ledgers.write(tmp_path, counted, ledgers.default_minimum(counted))
    assert facts["note"].startswith("a dense model")
    assert facts["layers"] == facts["experts"] == 0
    assert len(pl.read_parquet(tmp_path / "expert_tokens.parquet")) == 0


def test_counts_that_do_not_add_up_are_a_bug_that_stops_the_run(tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "mixtral"), apart=True)
    watch = ledgers.Ledger(documents)

    def leave_one_out() -> None:
        with torch.no_grad(), watch.attach(model, batches):
            for batch in batches[:-1]:
                model(**batch.inputs(), use_cache=False)

    with pytest.raises(QuantizeError, match=r"does not add up: sample 5 .* this is a bug"):
        leave_one_out()
    with pytest.raises(QuantizeError, match="nothing to show"):
        watch.result()


def test_an_expert_that_fails_in_the_middle_leaves_no_hook(tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "mixtral"), apart=True)
    failing = ledgers._experts(model)[1][2]
    last = next(m for m in reversed(list(failing.modules())) if isinstance(m, torch.nn.Linear))

    def fail(*_: object) -> None:
        raise RuntimeError("no memory left")

    def run_to_the_end() -> None:
        with torch.no_grad(), ledgers.Ledger(documents).attach(model, batches):
            for batch in batches:
                model(**batch.inputs(), use_cache=False)

    handle = last.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no memory left"):
        run_to_the_end()
    handle.remove()
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in model.modules())


def test_of_two_stages_the_first_is_counted(tmp_path: Path) -> None:
    """AWQ, then GPTQ: every sample passes all that is watched twice, and with other routing the second time."""
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "mixtral"), apart=True)
    before = wanted(independent(model, "mixtral", batches), documents)
    watch = ledgers.Ledger(documents)
    with watch.attach(model, batches):
        for method in ("awq", "gptq"):
            calibrate(model, batches, method, watch=ledgers.Ledger(documents), every=False)
    assert moved(given(watch.result()), before) < 0.005
    assert moved(before, wanted(independent(model, "mixtral", batches), documents)) > 0.005
    for layer in watch.result().layers:
        assert layer.calibrated is not None
        assert layer.calibrated.tolist() == layer.totals.tolist()


def test_what_is_no_sample_is_not_counted(tmp_path: Path) -> None:
    """As when held-out samples pass through the model between two stages of a calibration."""
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "mixtral"), apart=True)
    watch = ledgers.Ledger(documents)
    with torch.no_grad(), watch.attach(model, batches):
        for batch in [*batches, *batches]:
            model(**batch.inputs(), use_cache=False)
            model(input_ids=batch.input_ids[:, :-1])
    assert given(watch.result()).equals(wanted(independent(model, "mixtral", batches), documents))


def test_documents_that_do_not_cover_their_sample_are_refused(tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "mixtral"), apart=True)
    with pytest.raises(QuantizeError, match="sample 0: its documents do not cover its 96 tokens"):
        ledgers.count(model, batches, documents.filter(pl.col("start") > 0))


@pytest.mark.parametrize("family", [*FAMILIES, "llama"])
def test_a_calibration_masks_as_a_plain_pass_does(family: str, tmp_path: Path) -> None:
    """Each token sees those before it in its document; without masks.made_when_run, some families' tokens see all."""
    batches, documents = samples(2)
    model = load_model(save_model(tmp_path / "m", family), apart=True)
    seen: list[Any] = []
    model.model.layers[-1].self_attn.register_forward_pre_hook(lambda _m, _i, named: seen.append(named["attention_mask"]), with_kwargs=True)
    calibrate(model, batches, "gptq", watch=ledgers.Ledger(documents), targets="Linear" if family == "llama" else EXPERT_LINEARS)
    assert len(seen) == 4
    by_size = {int((mask == 0).sum()) for mask in seen}
    assert by_size == {sum(n * (n + 1) // 2 for n in documents.filter(pl.col("sample") == b.sample)["tokens"]) for b in batches}


def test_a_model_whose_routing_cannot_be_read_is_not_taken_for_a_dense_one(tmp_path: Path) -> None:
    batches, documents = samples()
    model = load_model(save_model(tmp_path / "m", "llama"), apart=False)
    model.config.num_experts = 4
    with pytest.raises(QuantizeError, match="4 experts by its configuration"):
        ledgers.count(model, batches, documents)


def test_gini_of_even_and_of_one_sided_shares() -> None:
    assert ledgers.gini(np.array([5, 5, 5, 5])) == 0.0
    assert ledgers.gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert ledgers.gini(np.array([0, 0])) == 0.0
