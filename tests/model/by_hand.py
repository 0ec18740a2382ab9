"""FP8 attention and INT4 experts worked out by hand from what is stored, to hold a stitched model against."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tests.model import tiny

TOLERANCE = 1e-4  # of the logits' root mean square; both compute in float32


def unpacked(packed: Any, scale: Any, shape: list[int]) -> Any:
    """INT4 by hand: eight numbers in each int32, lowest bits first, eight added to each; a scale for each group, in whose type the
    weight comes out."""
    numbers = torch.stack([(packed >> (4 * n)) & 15 for n in range(8)], dim=-1).reshape(shape[0], -1)[:, : shape[1]] - 8
    return (numbers.float().reshape(*scale.shape, -1) * scale.float()[..., None]).reshape(shape).to(scale.dtype).float()


def multiplied(codes: Any, scales: Any) -> Any:
    """FP8 by hand: each number times the scale of its block."""
    spread = scales.float().repeat_interleave(tiny.BLOCK[0], 0).repeat_interleave(tiny.BLOCK[1], 1)
    return codes.float() * spread[: codes.shape[0], : codes.shape[1]]


def by_hand(models: SimpleNamespace, *, from_base: Callable[[str], bool] = lambda name: False) -> tuple[dict[str, Any], set[str]]:
    """Float32 weights: FP8 ones of the base, INT4 experts, and of the AWQ model whatever reads a norm that it changed and the norm.

    ``models`` has the folders ``fp8``, ``plain`` (16 bit) and ``awq``; ``from_base`` names weights to take from the base
    instead. Gives the FP8 modules too.
    """
    base, awq = tiny.load_all(models.fp8), tiny.load_all(models.awq)
    made, fp8 = {}, set()
    scaled_layers = {n.split(".")[2] for n in base if tiny.is_routed_expert(n)}
    for name in base:
        if name.endswith("_scale_inv"):
            continue
        rescaled = name.startswith("model.layers.") and name.split(".")[2] in scaled_layers and (tiny.reads_mlp_norm(name) or "post_attention" in name)
        if tiny.is_routed_expert(name):
            stem = f"{name}_"
            made[name] = unpacked(awq[f"{stem}packed"], awq[f"{stem}scale"], awq[f"{stem}shape"].tolist())
        elif rescaled and not from_base(name):
            made[name] = awq[name].float()
        elif base[name].dtype == torch.float8_e4m3fn:
            made[name] = multiplied(base[name], base[f"{name}_scale_inv"])
            fp8.add(name.removesuffix(".weight"))
        else:
            made[name] = base[name].float()
    return made, fp8


def rounded_inputs(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a dynamic FP8 activation is: each token in E4M3 with a scale of its own.

    compressed-tensors takes the first two dimensions for those of tokens; in DeepSeek's kv_b_proj, which gets four in
    transformers, all tokens so share a scale.
    """
    scale = (inputs[0].abs().amax(tuple(range(2, inputs[0].dim())), keepdim=True) / 448).clamp(min=1e-12)
    return ((inputs[0] / scale).to(torch.float8_e4m3fn).float() * scale, *inputs[1:])


IDS = torch.arange(3, 51)[None] * 7 % 512


def logits(folder: Path, fp8: set[str] | None = None) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        model(input_ids=IDS)  # compressed-tensors decompresses on the first pass, experts in bfloat16
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    for name in fp8 or ():
        model.get_submodule(name).register_forward_pre_hook(rounded_inputs)
    with torch.no_grad():
        return model(input_ids=IDS).logits[0]


def logits_by_hand(models: SimpleNamespace, folder: Path, **options: Any) -> Any:
    tensors, fp8 = by_hand(models, **options)
    folder.mkdir()
    tiny.save_shards(tensors, folder, 1)
    shutil.copy(models.plain / "config.json", folder / "config.json")
    return logits(folder, fp8)


def apart(one: Any, other: Any) -> float:
    return float((one - other).square().mean().sqrt() / other.square().mean().sqrt())
