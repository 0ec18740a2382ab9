"""The whole way of a real checkpoint: FP8 to 16 bit, quantized by `curate quantize`, stitched to the original's FP8 attention."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import families

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

from tests.model import tiny  # noqa: E402
from tests.model.by_hand import TOLERANCE, apart, logits, logits_by_hand  # noqa: E402
from tests.model.stored import raw, tensors_of  # noqa: E402

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


@pytest.mark.parametrize("family", sorted(tiny.FAMILIES))
def test_dequantize_quantize_stitch(family: str, run: Callable[..., tuple[int, str, str]], small_build: Path, tmp_path: Path) -> None:
    made, fp8, whole, quantized, mixed = (tmp_path / name for name in ("made", "FP8", "BF16", "INT4", "MIXED"))
    families.save(family, made, dtype="bfloat16")
    tiny.save_fp8(made, fp8)
    for name in TOKENIZER:
        shutil.copyfile(made / name, fp8 / name)
    for asked in (
        ("dequantize", fp8, "--out", whole),
        ("quantize", small_build, "--model", whole, "--out", quantized, "--allow-uncovered"),
        ("stitch", "--base", fp8, "--experts", quantized, "--out", mixed),
        ("verify-checkpoint", quantized, "--source", whole),
        ("verify-checkpoint", mixed, "--source", fp8),
    ):
        code, out, err = run(*asked)
        assert code == 0, (asked, out, err)
    before, packed, now = (tensors_of(folder) for folder in (fp8, quantized, mixed))
    experts = [name for name in now if name.endswith("weight_packed")]
    layers = 1 if family == "deepseek_v3" else 2  # whose first is dense
    assert len(experts) == layers * 4 * 3
    assert all(raw(now[name]) == raw(packed[name]) for name in experts)
    attention = [name for name in before if ".self_attn." in name and f"{name}_scale_inv" in before]
    assert len(attention) == 2 * (5 if family == "deepseek_v3" else 4)
    assert all(now[name].dtype == "F8_E4M3" and raw(now[name]) == raw(before[name]) for name in attention)
    assert json.loads((mixed / "config.json").read_text())["quantization_config"]["format"] == "mixed-precision"
    models = SimpleNamespace(fp8=fp8, plain=whole, awq=quantized)
    stitched = logits(mixed)
    assert apart(stitched, logits_by_hand(models, tmp_path / "hand")) < TOLERANCE
    for part in ("post_attention_layernorm", ".gate.weight"):
        wrong = logits_by_hand(models, tmp_path / f"wrong{part}", from_base=lambda name, part=part: part in name)
        assert apart(stitched, wrong) > 10 * TOLERANCE, part
