"""Tiny models of the families with stitching rules: saved in block FP8, and with quantized experts as AWQ leaves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

BLOCK = (48, 32)  # neither divides every matrix below: ragged edges on both sides
GROUP = 16
HIDDEN = 80
Tensors = dict[str, torch.Tensor]


def minimax_m2() -> Any:
    from transformers import MiniMaxM2Config

    return MiniMaxM2Config(**common(), num_key_value_heads=2, head_dim=20, intermediate_size=64, num_local_experts=4, num_experts_per_tok=2)


def qwen3_moe() -> Any:
    from transformers import Qwen3MoeConfig

    return Qwen3MoeConfig(**common(), num_key_value_heads=2, head_dim=20, intermediate_size=96, moe_intermediate_size=64, num_experts=4, num_experts_per_tok=2)


def deepseek_v3() -> Any:
    from transformers import DeepseekV3Config

    return DeepseekV3Config(
        **common(),
        num_key_value_heads=4,
        intermediate_size=96,
        moe_intermediate_size=64,
        n_routed_experts=4,
        num_experts_per_tok=2,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        q_lora_rank=40,
        kv_lora_rank=32,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
    )


def common() -> dict[str, Any]:
    return {
        "vocab_size": 512,
        "hidden_size": HIDDEN,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "dtype": "bfloat16",
    }


FAMILIES: dict[str, Callable[[], Any]] = {"minimax_m2": minimax_m2, "deepseek_v3": deepseek_v3, "qwen3_moe": qwen3_moe}


def save_16_bit(family: str, folder: Path) -> Path:
    """A model with random weights, saved by transformers; its norms and router biases are random too."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(FAMILIES[family]()).to(torch.bfloat16)
    with torch.no_grad():
        for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif "e_score_correction_bias" in name:
                parameter.data = torch.rand(parameter.shape, dtype=torch.float32) / 50
            elif "inv_freq" not in name:
                parameter.normal_(0, 0.08)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text('{"not": "a tokenizer"}')
    return folder


def is_quantized(name: str, tensor: torch.Tensor) -> bool:
    """Whether official FP8 checkpoints store the tensor in FP8."""
    plain = ("embed_tokens", "lm_head", "norm", "mlp.gate.", "block_sparse_moe.gate.")
    return tensor.dim() == 2 and not any(p in name for p in plain)


def to_fp8(weight: torch.Tensor, block: tuple[int, int] = BLOCK) -> tuple[torch.Tensor, torch.Tensor]:
    """E4M3 codes and the float32 scale of each block."""
    rows, columns = weight.shape
    down, right = -(-rows // block[0]), -(-columns // block[1])
    padded = torch.zeros(down * block[0], right * block[1])
    padded[:rows, :columns] = weight.float()
    blocks = padded.reshape(down, block[0], right, block[1])
    scales = (blocks.abs().amax((1, 3)) / 448).clamp(min=1e-12)
    codes = (blocks / scales[:, None, :, None]).reshape(padded.shape)[:rows, :columns].to(torch.float8_e4m3fn)
    return codes.contiguous(), scales


def save_fp8(source: Path, folder: Path, *, block: tuple[int, int] = BLOCK, shards: int = 3) -> Path:
    """The model with block FP8 weights as its makers publish it: ``weight_scale_inv``, several shards, an index."""
    folder.mkdir()
    made: Tensors = {}
    for name, tensor in load_all(source).items():
        if is_quantized(name, tensor):
            made[name], made[f"{name}_scale_inv"] = to_fp8(tensor, block)
        else:
            made[name] = tensor
    save_shards(made, folder, shards)
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": list(block)}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    for file in ("tokenizer.json", "generation_config.json"):
        shutil.copy(source / file, folder / file)
    return folder


def load_all(folder: Path) -> Tensors:
    return {n: t for f in sorted(folder.glob("*.safetensors")) for n, t in load_file(f).items()}


def save_shards(tensors: Tensors, folder: Path, shards: int) -> None:
    names = sorted(tensors)
    mapping = {}
    for number in range(shards):
        part = names[number * len(names) // shards : (number + 1) * len(names) // shards]
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        save_file({n: tensors[n] for n in part}, folder / file, metadata={"format": "pt"})
        mapping |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": mapping}))


def scheme() -> Any:
    """Four bits, symmetric, a scale for each group of a row."""
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    weights = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=GROUP)
    return QuantizationScheme(targets=[r"re:.*\.experts\..*"], weights=weights, format="pack-quantized")


def pack(weight: torch.Tensor) -> Tensors:
    """What compressed-tensors stores of a weight that is rounded to the nearest step."""
    from compressed_tensors.compressors import BaseCompressor

    groups = weight.float().reshape(weight.shape[0], -1, GROUP)
    scale = (groups.abs().amax(-1) / 7.5).to(torch.bfloat16)
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    made = compressor.compress({"weight": weight.to(torch.bfloat16), "weight_scale": scale}, scheme())
    return {n: t.contiguous() for n, t in made.items()}


def is_routed_expert(name: str) -> bool:
    return ".experts." in name and name.endswith(".weight")


def reads_mlp_norm(name: str) -> bool:
    """Whether a weight reads what post_attention_layernorm gives."""
    parts = name.split(".")
    inside = "mlp" in parts or "block_sparse_moe" in parts
    return inside and parts[-2] in ("w1", "w3", "gate_proj", "up_proj", "gate") and parts[-1] == "weight"


def save_awq(source: Path, folder: Path, *, smooth: bool = True, router: bool = True, rename: Callable[[str], str] = str) -> Path:
    """A 16-bit model with quantized experts as AWQ leaves it: in every layer with experts the norm before them is divided by a
    scale for each channel, and every reader multiplied. ``router=False`` leaves that reader out, as a published recipe does."""
    folder.mkdir()
    tensors = load_all(source)
    layers = sorted({n.split(".")[2] for n in tensors if is_routed_expert(n)})
    torch.manual_seed(5)
    for layer in layers if smooth else ():
        scale = torch.rand(HIDDEN) * 1.5 + 0.5
        prefix = f"model.layers.{layer}."
        norm = f"{prefix}post_attention_layernorm.weight"
        tensors[norm] = (tensors[norm].float() / scale).to(tensors[norm].dtype)
        for name in [n for n in tensors if n.startswith(prefix) and reads_mlp_norm(n)]:
            if router or ".gate.weight" not in name:
                tensors[name] = (tensors[name].float() * scale).to(tensors[name].dtype)
    made: Tensors = {}
    for name, tensor in tensors.items():
        if is_routed_expert(name):
            made |= {f"{rename(name.removesuffix('weight'))}{part}": t for part, t in pack(tensor).items()}
        else:
            made[rename(name)] = tensor.to(torch.bfloat16)  # llm-compressor casts the router's bias too
    save_shards(made, folder, 2)
    config = json.loads((source / "config.json").read_text())
    group = json.loads(scheme().model_dump_json())
    about = {"quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed", "config_groups": {"group_0": group}}
    config["quantization_config"] = {**about, "ignore": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return folder
