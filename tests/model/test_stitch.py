"""A stitched checkpoint computes what FP8 attention and INT4 experts compute by hand, in every family with rules."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")
pytestmark = pytest.mark.model

from curator.checkpoints import reading, stitch, verify  # noqa: E402
from curator.checkpoints.dequantize import dequantize  # noqa: E402
from curator.errors import QuantizeError, UsageError  # noqa: E402
from tests.model import tiny  # noqa: E402
from tests.model.by_hand import TOLERANCE, apart, by_hand, logits, logits_by_hand, multiplied  # noqa: E402

Run = Callable[..., tuple[int, str, str]]


def prepare(family: str, folder: Path, **awq: Any) -> SimpleNamespace:
    """The folders of one family: official FP8, 16 bit, with quantized experts; and where the stitched one goes."""
    places = SimpleNamespace(fp8=folder / "fp8", plain=folder / "plain", awq=folder / "awq", out=folder / "out")
    tiny.save_fp8(tiny.save_16_bit(family, folder / "made"), places.fp8)
    dequantize(places.fp8, places.plain)
    tiny.save_awq(places.plain, places.awq, **awq)
    return places


@pytest.fixture(params=sorted(tiny.FAMILIES))
def models(request: pytest.FixtureRequest, tmp_path: Path) -> SimpleNamespace:
    return prepare(request.param, tmp_path)


@pytest.fixture
def minimax(tmp_path: Path) -> SimpleNamespace:
    return prepare("minimax_m2", tmp_path)


def test_the_stitched_model_computes_what_is_computed_by_hand(models: SimpleNamespace, tmp_path: Path, run: Run) -> None:
    code, _, err = run("stitch", "--base", models.fp8, "--experts", models.awq, "--out", models.out, "--shard-size", "0.0001")
    assert code == 0, err
    assert "note" not in err
    stitched, right = logits(models.out), logits_by_hand(models, tmp_path / "hand")
    assert apart(stitched, right) < TOLERANCE
    # Had either come from the base, the model would be another one by far.
    for part in ("post_attention_layernorm", ".gate.weight"):
        wrong = logits_by_hand(models, tmp_path / f"wrong{part}", from_base=lambda name, part=part: part in name)
        assert apart(stitched, wrong) > 1000 * TOLERANCE, part


def test_each_tensor_is_where_it_belongs(models: SimpleNamespace) -> None:
    manifest = stitch.stitch(models.fp8, models.awq, models.out)
    base, awq, out = (tiny.load_all(f) for f in (models.fp8, models.awq, models.out))
    expected, fp8 = by_hand(models)
    for name in expected:
        module = name.removesuffix(".weight")
        if tiny.is_routed_expert(name):
            parts = [f"{name}_{p}" for p in ("packed", "scale", "shape")]
            assert all(torch.equal(out[p], awq[p]) and manifest["tensors"][p] == "experts: quantized" for p in parts)
            assert name not in out
        elif module in fp8:
            assert torch.equal(out[name].view(torch.uint8), base[name].view(torch.uint8))
            assert torch.equal(out[f"{name}_scale"], base[f"{name}_scale_inv"])
            assert manifest["tensors"][name] == manifest["tensors"][f"{name}_scale"] == "base: as it was"
        elif manifest["tensors"][name] == "experts: rescaled":
            assert torch.equal(out[name], awq[name])
            assert tiny.reads_mlp_norm(name) or "post_attention_layernorm" in name
            assert base[name].dtype == torch.float8_e4m3fn or not torch.equal(base[name], out[name])
        else:
            assert torch.equal(out[name], base[name])
            assert out[name].dtype == base[name].dtype
    assert not [n for n in out if n.endswith("_scale_inv")]
    assert set(manifest["tensors"]) == set(out)
    assert (models.out / "tokenizer.json").read_bytes() == (models.fp8 / "tokenizer.json").read_bytes()


def test_norms_and_routers_of_the_base_are_not_taken(models: SimpleNamespace) -> None:
    stitch.stitch(models.fp8, models.awq, models.out)
    base, awq, out = (tiny.load_all(f) for f in (models.fp8, models.awq, models.out))
    layers = {n.split(".")[2] for n in base if tiny.is_routed_expert(n)}
    names = [n for n in base if n.split(".")[2:3] and n.split(".")[2] in layers and n.endswith((".gate.weight", "post_attention_layernorm.weight"))]
    assert len(names) == 2 * len(layers)
    assert all(torch.equal(out[n], awq[n]) and not torch.equal(out[n], base[n]) for n in names)


def test_block_scales_mean_in_compressed_tensors_what_they_meant_before(minimax: SimpleNamespace) -> None:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig

    stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    config = json.loads((minimax.out / "config.json").read_text())["quantization_config"]
    assert (config["quant_method"], config["format"]) == ("compressed-tensors", "mixed-precision")
    group = QuantizationConfig.model_validate(config).config_groups["group_0"]
    out, base = tiny.load_all(minimax.out), tiny.load_all(minimax.fp8)
    name = "model.layers.1.self_attn.o_proj.weight"
    stored = {"weight": out[name], "weight_scale": out[f"{name}_scale"]}
    made = BaseCompressor.get_value_from_registry(group.format).decompress(stored, group)["weight"]
    assert torch.equal(made, multiplied(base[name], base[f"{name}_scale_inv"]))


def config_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text())["quantization_config"])


def matching(names: list[str], targets: list[str]) -> set[str]:
    return {n for n in names if any(re.match(t[3:], n) if t.startswith("re:") else t == n for t in targets)}


def test_the_config_says_of_every_matrix_how_it_is_stored(models: SimpleNamespace) -> None:
    stitch.stitch(models.fp8, models.awq, models.out)
    config, out = config_of(models.out), tiny.load_all(models.out)
    fp8, packed = config["config_groups"]["group_0"], config["config_groups"]["group_1"]
    assert fp8["targets"] == ["Linear"]
    assert fp8["weights"]["block_structure"] == list(tiny.BLOCK)
    assert (fp8["format"], packed["format"]) == ("float-quantized", "pack-quantized")
    assert (packed["weights"]["num_bits"], packed["weights"]["group_size"]) == (4, tiny.GROUP)
    modules = sorted({n.rpartition(".")[0] for n in out})
    assert matching(modules, packed["targets"]) == {m for m in modules if f"{m}.weight_packed" in out}
    plain = {m for m in modules if f"{m}.weight" in out and out[f"{m}.weight"].dim() == 2 and f"{m}.weight_scale" not in out and "embed" not in m}
    assert matching(modules, config["ignore"]) == plain
    assert "lm_head" in config["ignore"]


def test_targets_are_those_of_the_published_checkpoint_and_of_what_servers_ask_for(minimax: SimpleNamespace) -> None:
    stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    targets = config_of(minimax.out)["config_groups"]["group_1"]["targets"]
    assert targets[0] == r"re:.*block_sparse_moe\.experts\.\d+\.(w1|w2|w3)$"
    for asked in ("model.layers.1.mlp.experts.0.gate_proj", "model.layers.1.block_sparse_moe.experts.0.down_proj"):
        assert matching([asked], targets), asked


def test_a_model_with_the_names_of_llm_compressor_gives_the_same(minimax: SimpleNamespace, tmp_path: Path) -> None:
    stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    words = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
    other = tiny.save_awq(minimax.plain, tmp_path / "renamed", rename=lambda name: ".".join(words.get(p, p) for p in name.split(".")))
    assert any("gate_proj" in n for n in tiny.load_all(other))
    stitch.stitch(minimax.fp8, other, tmp_path / "again")
    one, two = tiny.load_all(minimax.out), tiny.load_all(tmp_path / "again")
    assert set(one) == set(two)
    assert all(torch.equal(one[n].view(torch.uint8), two[n].view(torch.uint8)) for n in one if one[n].dim())


def test_on_an_unquantized_base_it_is_one_format_and_any_server_loads_it(models: SimpleNamespace, tmp_path: Path) -> None:
    stitch.stitch(models.plain, models.awq, models.out)
    config, out = config_of(models.out), tiny.load_all(models.out)
    assert config["format"] == "pack-quantized"
    assert list(config["config_groups"]) == ["group_0"]
    assert not [n for n, t in out.items() if t.dtype == torch.float8_e4m3fn]
    attention = {n.removesuffix(".weight") for n, t in out.items() if "self_attn" in n and t.dim() == 2}
    assert matching(sorted(attention), config["ignore"]) == attention
    assert apart(logits(models.out), logits(models.awq)) < TOLERANCE


def test_an_awq_model_that_left_the_router_unscaled_gets_a_note(tmp_path: Path, run: Run) -> None:
    models = prepare("minimax_m2", tmp_path, router=False)
    code, _, err = run("stitch", "--base", models.fp8, "--experts", models.awq, "--out", models.out)
    assert code == 0
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert len(notes) == 3
    assert all("post_attention_layernorm.weight was rescaled" in n and "block_sparse_moe.gate.weight" in n for n in notes)


def test_a_model_quantized_without_smoothing_takes_norms_and_routers_from_the_base(tmp_path: Path) -> None:
    models = prepare("minimax_m2", tmp_path, smooth=False)
    counts = stitch.stitch(models.fp8, models.awq, models.out)["counts"]
    assert counts == {"base: as it was": 33, "experts: quantized": 36}


def test_weights_dequantized_by_a_program_that_rounds_twice_are_still_known(minimax: SimpleNamespace) -> None:
    def nudge(tensors: dict[str, Any]) -> None:
        bits = tensors["model.layers.0.self_attn.o_proj.weight"].view(torch.int16)
        bits[::7] += 1

    edit(minimax.awq, nudge)
    manifest = stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    assert manifest["tensors"]["model.layers.0.self_attn.o_proj.weight"] == "base: as it was"


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors = tiny.load_all(folder)
    change(tensors)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    tiny.save_shards(tensors, folder, 2)


def test_every_tensor_without_a_place_is_listed(minimax: SimpleNamespace) -> None:
    layer = "model.layers.1"

    def spoil(tensors: dict[str, Any]) -> None:
        del tensors[f"{layer}.input_layernorm.weight"]
        tensors[f"{layer}.block_sparse_moe.gate.weight"] = tensors[f"{layer}.block_sparse_moe.gate.weight"][:3].clone()
        tensors["model.odd.weight"] = torch.ones(2)
        tensors[f"{layer}.self_attn.q_proj.weight"] = tensors[f"{layer}.self_attn.q_proj.weight"] * 1.5
        tensors["model.norm.weight"] = tensors["model.norm.weight"] * 2
        tensors[f"{layer}.block_sparse_moe.experts.0.w1.weight_packed"] = tensors[f"{layer}.block_sparse_moe.experts.0.w1.weight_packed"][:-1].clone()
        for part, value in tiny.pack(tensors.pop(f"{layer}.self_attn.o_proj.weight")).items():
            tensors[f"{layer}.self_attn.o_proj.{part}"] = value

    edit(minimax.awq, spoil)
    with pytest.raises(QuantizeError) as error:
        stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    told = dict(line.removeprefix("* ").split(": ", 1) for line in str(error.value).splitlines()[1:])
    reasons = {
        f"{layer}.input_layernorm.weight": "in the base only",
        f"{layer}.block_sparse_moe.gate.weight": "shape [4, 80] in the base, [3, 80]",
        "model.odd.weight": "in the experts' model only",
        f"{layer}.self_attn.q_proj.weight": "no longer fits",
        "model.norm.weight": "no rule",
        f"{layer}.block_sparse_moe.experts.0.w1.weight": "packed rows [63]",
        f"{layer}.self_attn.o_proj.weight": "no rule takes it",
    }
    assert set(told) == set(reasons)
    assert [n for n, reason in reasons.items() if reason not in told[n]] == []
    assert not minimax.out.exists()


def test_layers_that_draft_tokens_may_be_in_the_base_only(tmp_path: Path) -> None:
    models = prepare("deepseek_v3", tmp_path)

    def add(tensors: dict[str, Any]) -> None:
        for name in [n for n in tensors if n.startswith("model.layers.2.")]:
            tensors[name.replace("layers.2.", "layers.3.")] = tensors[name].clone()
        tensors["model.layers.3.eh_proj.weight"] = torch.ones(80, 160, dtype=torch.bfloat16)

    edit(models.fp8, add)
    stitch.stitch(models.fp8, models.awq, models.out)
    config, out = config_of(models.out), tiny.load_all(models.out)
    assert out["model.layers.3.mlp.experts.0.up_proj.weight"].dtype == torch.float8_e4m3fn
    modules = sorted({n.rpartition(".")[0] for n in out})
    assert matching(modules, config["config_groups"]["group_1"]["targets"]) == {m for m in modules if f"{m}.weight_packed" in out}
    assert "model.layers.3.eh_proj" in matching(modules, config["ignore"])


def test_a_head_in_fp8_is_not_ignored(tmp_path: Path) -> None:
    """Ignored, its codes would be taken for 16-bit numbers."""
    models = prepare("qwen3_moe", tmp_path)

    def to_fp8(tensors: dict[str, Any]) -> None:
        tensors["lm_head.weight"], tensors["lm_head.weight_scale_inv"] = tiny.to_fp8(tensors["lm_head.weight"])

    edit(models.fp8, to_fp8)
    dequantize(models.fp8, tmp_path / "again")
    tiny.save_awq(tmp_path / "again", tmp_path / "awq8")
    stitch.stitch(models.fp8, tmp_path / "awq8", models.out)
    assert matching(["lm_head"], config_of(models.out)["ignore"]) == set()
    assert verify.faults(models.out, source=models.fp8) == []


def record(folder: Path, **tensors: Any) -> None:
    (folder / "curate-quantize.json").write_text(json.dumps({"format": "curate-quantized/1", "tensors": tensors}))


def test_the_record_of_curate_quantize_is_held_against_the_numbers(minimax: SimpleNamespace) -> None:
    names = tiny.load_all(minimax.awq)
    quantized = {n.removesuffix(".weight_packed"): [] for n in names if n.endswith(".weight_packed")}
    smoothed = [n for n in names if n.endswith((".gate.weight", "post_attention_layernorm.weight"))]
    record(minimax.awq, quantized=quantized, smoothed=smoothed)
    stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    assert "curate-quantize.json" not in [p.name for p in minimax.out.iterdir()]
    record(minimax.awq, quantized=quantized, smoothed=[*smoothed[1:], "model.norm.weight"])
    with pytest.raises(QuantizeError) as error:
        stitch.stitch(minimax.fp8, minimax.awq, minimax.out, force=True)
    assert f"{smoothed[0]}: rescaled by its numbers, not by" in str(error.value)
    assert "model.norm.weight: rescaled by curate-quantize.json, not by its numbers" in str(error.value)


def test_what_cannot_be_stitched_is_refused(minimax: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(QuantizeError, match="no weight_packed"):
        stitch.stitch(minimax.fp8, minimax.plain, minimax.out)
    with pytest.raises(QuantizeError, match="quantized, but not in FP8"):
        stitch.stitch(minimax.awq, minimax.awq, minimax.out)
    stitch.stitch(minimax.fp8, minimax.awq, tmp_path / "stitched")
    with pytest.raises(QuantizeError, match="is FP8; --experts is a 16-bit model"):
        stitch.stitch(minimax.fp8, tmp_path / "stitched", minimax.out)
    other = prepare("qwen3_moe", tmp_path / "other")
    with pytest.raises(QuantizeError, match="the base is a minimax_m2, the experts' model a qwen3_moe"):
        stitch.stitch(minimax.fp8, other.awq, minimax.out)
    config = json.loads((minimax.fp8 / "config.json").read_text())
    for key, value, kind, said in (
        ("model_type", "llama", UsageError, "no rules for model_type 'llama'; known: deepseek_v3"),
        ("quantization_config", {**config["quantization_config"], "activation_scheme": "static"}, QuantizeError, "'static'"),
    ):
        (minimax.fp8 / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(kind, match=said):
            stitch.stitch(minimax.fp8, minimax.awq, minimax.out)


def test_a_model_that_is_read_is_never_replaced(minimax: SimpleNamespace) -> None:
    for target in (minimax.plain, minimax.plain / "inside", minimax.awq):
        with pytest.raises(UsageError, match="which is read"):
            stitch.stitch(minimax.plain, minimax.awq, target, force=True)
    with pytest.raises(UsageError, match="which is read"):
        dequantize(minimax.fp8, minimax.fp8, force=True)


def test_a_group_that_does_not_fit_its_tensors_is_told(minimax: SimpleNamespace) -> None:
    config = json.loads((minimax.awq / "config.json").read_text())
    config["quantization_config"]["config_groups"]["group_0"]["weights"]["group_size"] = 128
    (minimax.awq / "config.json").write_text(json.dumps(config))
    with pytest.raises(QuantizeError, match=r"experts\.0\.w1: no group"):
        stitch.stitch(minimax.fp8, minimax.awq, minimax.out)


def test_a_weight_that_is_there_twice_is_told(minimax: SimpleNamespace) -> None:
    """One of the two would be taken, and nobody could say which."""
    gate, w1 = "model.layers.1.block_sparse_moe.gate.weight", "model.layers.1.block_sparse_moe.experts.0.w1.weight"

    def double(tensors: dict[str, Any]) -> None:
        tensors[gate.replace("block_sparse_moe", "mlp")] = tensors[gate] * 2
        tensors[w1] = torch.zeros(64, 80, dtype=torch.bfloat16)

    edit(minimax.awq, double)
    with pytest.raises(QuantizeError) as error:
        stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    assert "model.layers.1.mlp.gate.weight: two names of one tensor" in str(error.value)
    assert f"{w1}: there as itself and quantized" in str(error.value)


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("weight_packed", lambda t: t.float(), "packed as F32, not I32"),
        ("weight_shape", lambda t: t * 0 + 7, r"shape \[64, 80\] in the base, weight_shape \[7, 7\]"),
        ("weight_shape", lambda t: t.float(), r"weight_shape \[\] in"),
    ],
)
def test_packed_integers_that_mean_another_weight_are_told(minimax: SimpleNamespace, part: str, change: Callable[[Any], Any], said: str) -> None:
    name = f"model.layers.1.block_sparse_moe.experts.0.w1.{part}"
    edit(minimax.awq, lambda tensors: tensors.update({name: change(tensors[name])}))
    with pytest.raises(QuantizeError, match=said):
        stitch.stitch(minimax.fp8, minimax.awq, minimax.out)


@pytest.mark.parametrize("name", ["block_sparse_moe.experts.0.w1.weight_scale", "block_sparse_moe.gate.weight", "post_attention_layernorm.weight"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_quantized_model_with_numbers_that_are_none_is_refused(minimax: SimpleNamespace, name: str, number: float) -> None:
    edit(minimax.awq, lambda tensors: tensors[f"model.layers.1.{name}"].view(-1)[-1:].fill_(number))
    with pytest.raises(QuantizeError, match=f"model.layers.1.{name}: has numbers that are infinite or none"):
        stitch.stitch(minimax.fp8, minimax.awq, minimax.out)
    assert not minimax.out.exists()


def test_two_models_of_one_shape_are_not_stitched(minimax: SimpleNamespace) -> None:
    """On a 16-bit base a recipe may rescale attention, and no recipe the embeddings: those are another model's."""
    edit(minimax.awq, lambda tensors: tensors.update({n: t * 2 for n, t in tensors.items() if "embed" in n or n.endswith("norm.weight")}))
    with pytest.raises(QuantizeError) as error:
        stitch.stitch(minimax.plain, minimax.awq, minimax.out)
    told = [line.removeprefix("* ").partition(":")[0] for line in str(error.value).splitlines()[1:]]
    assert told == ["model.embed_tokens.weight", "model.norm.weight"]
    assert "were both made of one model?" in str(error.value)


@pytest.mark.parametrize("tensors", [{"quantized": 5}, {"smoothed": {"a": 1}}, {"smoothed": [3]}, [], None])
def test_a_record_that_says_nothing_is_no_record(minimax: SimpleNamespace, tensors: Any) -> None:
    (minimax.awq / "curate-quantize.json").write_text(json.dumps({"tensors": tensors}))
    assert any("does not say what was done" in note for note in stitch.stitch(minimax.fp8, minimax.awq, minimax.out)["notes"])


KILLED = """
import os, signal, sys
from pathlib import Path
from curator.checkpoints.stitch import stitch
stitch(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), limit=50_000, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_killed_run_goes_on(minimax: SimpleNamespace, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, minimax.fp8, minimax.awq, minimax.out]
    assert subprocess.run(command, timeout=100, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode == -signal.SIGKILL
    assert not minimax.out.exists()
    first = next(tmp_path.glob(".out.unfinished/*.safetensors"))
    inode = first.stat().st_ino
    manifest = stitch.stitch(minimax.fp8, minimax.awq, minimax.out, limit=50_000)
    assert (minimax.out / first.name).stat().st_ino == inode
    assert manifest == stitch.stitch(minimax.fp8, minimax.awq, tmp_path / "whole", limit=50_000)
    assert reading.open_checkpoint(minimax.out).files
