"""Tiny models of the mixture-of-experts families, with random weights, and samples with documents to run through them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from curator.quantize.data import Batch

VOCABULARY, EXPERTS, TOP_K, LAYERS = 512, 8, 2, 2
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts_per_tok": TOP_K,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}


def _minimax(transformers: Any) -> Any:
    return transformers.MiniMaxM2Config(**SHAPE, num_local_experts=EXPERTS)


def _qwen(transformers: Any) -> Any:
    return transformers.Qwen3MoeConfig(**SHAPE, moe_intermediate_size=64, num_experts=EXPERTS, decoder_sparse_step=1, mlp_only_layers=[])


def _mixtral(transformers: Any) -> Any:
    return transformers.MixtralConfig(**SHAPE, num_local_experts=EXPERTS)


def _deepseek(transformers: Any) -> Any:
    shape = {**SHAPE, "num_key_value_heads": 4, "head_dim": 8}
    low_rank = {"q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
    experts = {"n_routed_experts": EXPERTS, "n_shared_experts": 1, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "moe_intermediate_size": 64}
    return transformers.DeepseekV3Config(**{**shape, "num_hidden_layers": 3}, **low_rank, **experts)


def _glm(transformers: Any) -> Any:
    experts = {"n_routed_experts": EXPERTS, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 0, "moe_intermediate_size": 64}
    return transformers.Glm4MoeConfig(**SHAPE, **experts)


def _llama(transformers: Any) -> Any:
    return transformers.LlamaConfig(**{k: v for k, v in SHAPE.items() if k != "num_experts_per_tok"})


FAMILIES: dict[str, Callable[[Any], Any]] = {"minimax_m2": _minimax, "qwen3_moe": _qwen, "mixtral": _mixtral, "deepseek_v3": _deepseek, "glm4_moe": _glm}


def save_model(folder: Path, family: str) -> Path:
    """A model of the family in a folder, its weights drawn from one seed."""
    import torch
    import transformers

    torch.manual_seed(0)
    make = _llama if family == "llama" else FAMILIES[family]
    model = transformers.AutoModelForCausalLM.from_config(make(transformers), dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def load_model(folder: Path, *, apart: bool) -> Any:
    """The model again; ``apart`` makes every expert a module of its own, as for a calibration."""
    import torch
    from llmcompressor.modeling.moe.linearize import linearize_moe
    from transformers import AutoModelForCausalLM

    # After loading, and not while loading: the library's patch for that asks transformers for torchvision.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return linearize_moe(model) if apart else model


def samples(count: int = 6, tokens: int = 96) -> tuple[list[Batch], pl.DataFrame]:
    """Samples of a few documents each, numbered from 0, and their documents.parquet; languages may be null."""
    import torch

    chance = np.random.default_rng(7)
    batches, rows = [], []
    for sample in range(count):
        cuts = sorted(chance.choice(np.arange(1, tokens), 3, replace=False).tolist())
        starts, ends = [0, *cuts], [*cuts, tokens]
        ids = torch.from_numpy(chance.integers(1, VOCABULARY, (1, tokens)))
        positions = torch.cat([torch.arange(end - start) for start, end in zip(starts, ends, strict=True)])[None]
        batches.append(Batch(sample, ids, positions))
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            language = [None, "fr", "python"][number % 3]
            rows.append((sample, start, end - start, 0, f"source{sample % 2}", "Code" if sample % 2 else "Chat", language))
    schema = {"sample": pl.Int32, "start": pl.Int32, "tokens": pl.Int32, "cut": pl.Int32, "source": pl.String, "category": pl.String, "language": pl.String}
    return batches, pl.DataFrame(rows, schema=schema, orient="row")
