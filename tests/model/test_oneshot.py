"""llm-compressor takes the dataset of a build as it is, and the model that it calibrates gets its tokens and positions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import STARTER_TOKENIZER, chat_rows

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

SAMPLES = 4


@pytest.fixture
def calibration(run: Callable[..., tuple[int, str, str]], dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> Any:
    """The dataset of a small build."""
    from datasets import load_dataset

    entry = {"dataset": dataset("oneshot", chat_rows(60, words=25)), "columns": ["messages"], "formatter": "chat_completion", "category": "Chat"}
    mix = write_mix([{**entry, "num_samples": SAMPLES}])
    code, _, err = run("build", mix, "--out", mix.parent / "B", "--json")
    assert code == 0, err
    return load_dataset(str(mix.parent / "B"), split="train", cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Any:
    """A MiniMax-M2 of one layer with random weights, loaded as llm-compressor wants it: every expert a module of its own."""
    from llmcompressor.utils import load_context
    from transformers import AutoModelForCausalLM, AutoTokenizer, MiniMaxM2Config, MiniMaxM2ForCausalLM

    torch.manual_seed(0)
    config = MiniMaxM2Config(
        vocab_size=32768,
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        num_local_experts=4,
        num_experts_per_tok=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    MiniMaxM2ForCausalLM(config).save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(STARTER_TOKENIZER).save_pretrained(tmp_path / "model")
    with load_context():
        return AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)


def recipe(method: str) -> list[Any]:
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    what: dict[str, Any] = {"targets": ["re:.*experts.*"], "scheme": "W4A16", "ignore": ["lm_head"]}
    return [GPTQModifier(**what)] if method == "gptq" else [AWQModifier(), QuantizationModifier(**what)]


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_oneshot_takes_the_dataset_as_it_is(method: str, calibration: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmcompressor import oneshot
    from llmcompressor.pipelines.cache import IntermediatesCache

    if not torch.accelerator.is_available():
        # AWQ pins its cache in memory for an accelerator, and fails where there is none, whatever device is asked for.
        monkeypatch.setattr(IntermediatesCache, "pin_memory", lambda *arguments, **options: None)
    got: dict[str, list[Any]] = {"ids": [], "positions": []}

    def note(name: str, tensor: Any) -> None:
        if not tensor.is_meta:  # as when the model is traced, before any sample
            got[name].append(tuple(tensor[0].tolist()))

    model.model.embed_tokens.register_forward_pre_hook(lambda _, inputs: note("ids", inputs[0]))
    model.model.rotary_emb.register_forward_pre_hook(
        lambda _, inputs, named: note("positions", named["position_ids"] if "position_ids" in named else inputs[1]), with_kwargs=True
    )
    oneshot(model=model, dataset=calibration, recipe=recipe(method), num_calibration_samples=SAMPLES, max_seq_length=256, pipeline="sequential")
    wanted = {(tuple(row["input_ids"]), tuple(row["position_ids"])) for row in calibration}
    assert all(positions.count(0) > 1 for _, positions in wanted)
    # In any order, and as often as a method needs them; nothing else, and nothing cut.
    assert set(zip(got["ids"], got["positions"], strict=True)) == wanted
    assert len(wanted) == SAMPLES
    experts = [m for n, m in model.named_modules() if "experts." in n and isinstance(m, torch.nn.Linear)]
    assert experts
    assert all(hasattr(m, "weight_scale") for m in experts)
