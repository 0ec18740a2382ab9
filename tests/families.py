"""Tiny models of several families with random weights, and a small build for them, so that quantizing is tested within seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.builds import built
from tests.conftest import STARTER_TOKENIZER

SAMPLES = 8
LENGTH = 128
COMMON: dict[str, Any] = {
    "vocab_size": 32768,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SHARED: dict[str, Any] = {"moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1}
LATENT: dict[str, Any] = {"q_lora_rank": 32, "kv_lora_rank": 32, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "num_key_value_heads": 4}

FAMILIES: dict[str, dict[str, Any]] = {
    "minimax_m2": COMMON | {"intermediate_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": COMMON | {"moe_intermediate_size": 32, "num_experts": 4, "num_experts_per_tok": 2},
    "mixtral": COMMON | {"intermediate_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2},
    "deepseek_v3": COMMON | SHARED | LATENT | {"n_group": 2, "topk_group": 2},
    "glm4_moe": COMMON | SHARED,
    "qwen3": COMMON | {"tie_word_embeddings": True},
}
MIXTURES = ("minimax_m2", "qwen3_moe", "mixtral", "deepseek_v3", "glm4_moe")


def save(family: str, folder: Path, *, dtype: str = "float32", shard: str = "5GB") -> Path:
    """A model of ``family`` in ``folder``, with the starter tokenizer. Its weights are large enough for layers to matter."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **FAMILIES[family]), dtype=getattr(torch, dtype))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(5)
            elif name.endswith("layernorm.weight"):
                parameter.mul_(torch.empty_like(parameter).uniform_(0.25, 4))
    model.save_pretrained(folder, max_shard_size=shard)
    AutoTokenizer.from_pretrained(STARTER_TOKENIZER).save_pretrained(folder)
    return folder


def build(folder: Path) -> Path:
    """A build of a few short samples of the embedded corpus, made by the real pipeline."""
    settings = {"max_seq_length": LENGTH, "tokenizer": "starter", "datasets": [{"source": "starter_text", "num_samples": SAMPLES}]}
    return built(folder.parent / "mix.yaml", folder, settings=settings, jobs=2, allow_short=True)
