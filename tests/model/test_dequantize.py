"""FP8 to 16 bit: each number is what exact arithmetic rounds to, and nothing else is touched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.model

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from curator.checkpoints import dequantize, fp8, reading  # noqa: E402
from curator.errors import QuantizeError, UsageError  # noqa: E402
from tests.model import tiny  # noqa: E402

PRECISION = {
    "bfloat16": (8, -125, 128),
    "float16": (11, -13, 16),
}  # significant bits, and frexp's exponents of the smallest normal number and of what overflows


def exact(codes: np.ndarray, scales: np.ndarray, block: tuple[int, int], dtype: str) -> np.ndarray:
    """The products in float64, which holds them exactly, rounded once to nearest even: worked out with rint, in float64."""
    sign, exponent, mantissa = codes >> 7, ((codes >> 3) & 15).astype(int), (codes & 7).astype(float)
    value = np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0)) * np.where(sign == 1, -1.0, 1.0)
    value[(codes & 127) == 127] = np.nan
    spread = scales.astype(np.float64).repeat(block[0], 0).repeat(block[1], 1)[: codes.shape[0], : codes.shape[1]]
    with np.errstate(invalid="ignore"):  # zero times infinity
        product = value * spread
    bits, least, most = PRECISION[dtype]
    step = np.maximum(np.frexp(product)[1], least) - bits
    rounded = np.ldexp(np.rint(np.ldexp(product, -step)), step)
    return np.where(np.abs(rounded) >= 2.0**most, np.copysign(np.inf, product), rounded)


def ours(codes: np.ndarray, scales: np.ndarray, block: tuple[int, int], dtype: str) -> np.ndarray:
    by = fp8.factors(torch.from_numpy(scales), block, codes.shape[1], getattr(torch, dtype))
    made = fp8.dequantize(torch.from_numpy(codes), by, 0, fp8.room(codes.size, getattr(torch, dtype)))
    if not by.finite or fp8.has_nan(memoryview(codes.tobytes())):
        fp8.put_nan(made, torch.from_numpy(codes))
    return made.double().numpy()


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    block=st.tuples(st.integers(1, 24), st.integers(1, 24)),
    dtype=st.sampled_from(sorted(PRECISION)),
    exponent=st.integers(-149, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_number_is_the_exact_product_rounded_once(rows: int, columns: int, block: tuple[int, int], dtype: str, exponent: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
    blocks = -(-rows // block[0]), -(-columns // block[1])
    scales = np.ldexp(rng.integers(1, 2**24, blocks).astype(np.float64), exponent - rng.integers(0, 24, blocks)).astype(np.float32)
    assert np.array_equal(ours(codes, scales, block, dtype), exact(codes, scales, block, dtype), equal_nan=True)


@pytest.mark.parametrize("dtype", sorted(PRECISION))
def test_where_two_roundings_go_wrong_one_is_made(dtype: str) -> None:
    rng = np.random.default_rng(0)
    scales = rng.integers(2**23, 2**24, (1, 200_000)).astype(np.float32) * np.float32(2.0**-24)
    codes = np.tile(np.arange(0x38, 0x40, dtype=np.uint8)[:, None], (1, scales.shape[1]))  # 1.0 to 1.875
    block, right = (8, 1), None
    right = exact(codes, scales, block, dtype)
    twice = torch.from_numpy(codes).view(torch.float8_e4m3fn).float().mul(torch.from_numpy(scales)).to(getattr(torch, dtype)).double().numpy()
    assert (twice != right).any(), "the case is not in the data, so this test would prove nothing"
    assert np.array_equal(ours(codes, scales, block, dtype), right)


def test_all_codes_decode_to_what_torch_says() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    known = codes.view(torch.float8_e4m3fn).float()
    number = ~known.isnan()
    assert torch.equal(fp8.decode(codes)[number], known[number])
    assert (~number).sum() == 2


def test_powers_of_two_and_16_bit_scales_are_read() -> None:
    assert fp8.scales_of(bytearray([127, 130]), "F8_E8M0", (1, 2)).tolist() == [[1.0, 8.0]]
    raw = bytearray(torch.tensor([0.15625], dtype=torch.bfloat16).view(torch.int16).numpy().tobytes())
    assert fp8.scales_of(raw, "BF16", (1, 1)).item() == 0.15625


@pytest.fixture(params=sorted(tiny.FAMILIES))
def official(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A tiny model as its makers publish it."""
    return tiny.save_fp8(tiny.save_16_bit(request.param, tmp_path / "16"), tmp_path / "fp8")


@pytest.fixture
def minimax(tmp_path: Path) -> Path:
    return tiny.save_fp8(tiny.save_16_bit("minimax_m2", tmp_path / "16"), tmp_path / "fp8", shards=4)


def test_a_model_comes_out_in_16_bit_with_all_else_as_it_was(official: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    from transformers import AutoModelForCausalLM

    code, out, err = run("dequantize", official, "--out", tmp_path / "out", "--shard-size", "0.0001")
    assert code == 0, err
    before, after = tiny.load_all(official), tiny.load_all(tmp_path / "out")
    weights = [n for n, t in before.items() if t.dtype == torch.float8_e4m3fn]
    assert f"{len(weights)} weights in bfloat16" in out
    for name in weights:
        right = exact(before[name].view(torch.uint8).numpy(), before[f"{name}_scale_inv"].numpy(), tiny.BLOCK, "bfloat16")
        assert after[name].dtype == torch.bfloat16
        assert np.array_equal(after[name].double().numpy(), right), name
    others = {n for n in before if n not in weights and not n.endswith("_scale_inv")}
    assert set(after) == others | set(weights)
    assert all(torch.equal(before[n], after[n]) and before[n].dtype == after[n].dtype for n in others)
    config = json.loads((official / "config.json").read_text())
    del config["quantization_config"]
    assert json.loads((tmp_path / "out/config.json").read_text()) == config
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (official / "tokenizer.json").read_bytes()
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(after)
    assert len(set(index["weight_map"].values())) > 2
    assert reading.open_checkpoint(tmp_path / "out").files
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert torch.equal(model.model.layers[0].self_attn.o_proj.weight, after["model.layers.0.self_attn.o_proj.weight"])


def test_float16_is_refused_where_it_cannot_hold_a_weight(minimax: Path, tmp_path: Path) -> None:
    tensors = tiny.load_all(minimax)
    for file in minimax.glob("*.safetensors"):
        file.unlink()
    name = "model.layers.0.self_attn.o_proj.weight"
    tensors[f"{name}_scale_inv"] = tensors[f"{name}_scale_inv"] * 1e9
    tiny.save_shards(tensors, minimax, 1)
    with pytest.raises(QuantizeError, match=f"{name}.*bfloat16"):
        dequantize.dequantize(minimax, tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()
    dequantize.dequantize(minimax, tmp_path / "out", dtype="bfloat16")


def test_strips_within_a_block_and_stacked_experts_are_the_same_numbers(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    codes = torch.randint(0, 127, (2, 70, 50), dtype=torch.uint8)
    scales = torch.rand(2, 3, 3)
    save_file({"e.weight": codes.view(torch.float8_e4m3fn), "e.weight_scale_inv": scales}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"weight_block_size": [32, 20]}}))
    scaled = dequantize.find_scaled(reading.open_checkpoint(tmp_path))["e.weight"]
    right = np.concatenate([exact(codes[n].numpy(), scales[n].numpy(), (32, 20), "bfloat16") for n in range(2)])
    for most in (50, 50 * 7, 50 * 33, 50 * 1000):
        with reading.Reader() as reader:
            made = torch.cat([strip.clone() for strip in dequantize.strips(scaled, reader, dtype="bfloat16", most=most)])
        assert np.array_equal(made.double().numpy(), right), most


def test_scales_that_are_no_numbers_and_blocks_larger_than_the_matrix(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    codes = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    scales = torch.tensor([[1.0, float("nan")], [float("inf"), 3e38]])
    tensors = {"a.weight": codes, "a.weight_scale_inv": scales, "b.weight": codes[:8, :8].contiguous(), "b.weight_scale_inv": torch.ones(1, 1)}
    save_file({n: t.view(torch.float8_e4m3fn) if n.endswith("weight") else t for n, t in tensors.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"dtype": ["odd"], "quantization_config": {"weight_block_size": [8, 8]}}))
    dequantize.dequantize(tmp_path, tmp_path.parent / "made")
    made = tiny.load_all(tmp_path.parent / "made")
    right = exact(codes.numpy(), scales.numpy(), (8, 8), "bfloat16")
    assert np.array_equal(made["a.weight"].double().numpy(), right, equal_nan=True)
    assert set(made["a.weight"].view(torch.int16)[made["a.weight"].isnan()].tolist()) == {0x7FC0}  # one NaN, on every device
    del tensors["a.weight"], tensors["a.weight_scale_inv"]
    save_file({n: t.view(torch.float8_e4m3fn) if n.endswith("weight") else t for n, t in tensors.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"weight_block_size": [10**12, 10**12]}}))
    dequantize.dequantize(tmp_path, tmp_path.parent / "made", force=True)
    assert np.array_equal(
        tiny.load_all(tmp_path.parent / "made")["b.weight"].double().numpy(), exact(codes[:8, :8].numpy(), np.ones((1, 1)), (8, 8), "bfloat16"), equal_nan=True
    )


@pytest.mark.parametrize("shape", [(0, 6), (6, 0), (2, 0, 6), (0, 4, 6)])
def test_a_weight_without_elements_stays_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    from safetensors.torch import save_file

    from curator.checkpoints import verify

    blocks = (*shape[:-2], -(-shape[-2] // 4), -(-shape[-1] // 4))
    tensors = {"a.weight": torch.empty(shape).to(torch.float8_e4m3fn), "a.weight_scale_inv": torch.ones(blocks)}
    (tmp_path / "fp8").mkdir()
    save_file(tensors, tmp_path / "fp8/model.safetensors")
    (tmp_path / "fp8/config.json").write_text(json.dumps({"quantization_config": {"weight_block_size": [4, 4]}}))
    dequantize.dequantize(tmp_path / "fp8", tmp_path / "out")
    assert tiny.load_all(tmp_path / "out")["a.weight"].shape == shape
    assert verify.faults(tmp_path / "out", source=tmp_path / "fp8") == []


def test_stacked_experts_by_another_name_are_found(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    codes, scales = torch.full((2, 4, 6), 0x38, dtype=torch.uint8), torch.full((2, 2, 2), 3.0)
    save_file({"experts.down_proj": codes.view(torch.float8_e4m3fn), "experts.down_proj_scale_inv": scales}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"weight_block_size": [2, 3]}}))
    dequantize.dequantize(tmp_path, tmp_path.parent / "stacked", force=True)
    made = tiny.load_all(tmp_path.parent / "stacked")
    assert list(made) == ["experts.down_proj"]
    assert torch.equal(made["experts.down_proj"], torch.full((2, 4, 6), 3.0, dtype=torch.bfloat16))


def edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors = tiny.load_all(folder)
    change(tensors)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    tiny.save_shards(tensors, folder, 2)


def test_everything_that_does_not_fit_is_told_at_once(minimax: Path, tmp_path: Path) -> None:
    o, q, k = (f"model.layers.0.self_attn.{p}_proj.weight" for p in "oqk")

    def spoil(tensors: dict[str, Any]) -> None:
        del tensors[f"{o}_scale_inv"]
        tensors[f"{q}_scale_inv"] = torch.ones(1, 1)
        tensors[k] = tensors[k].float().to(torch.float8_e5m2)
        tensors["stray.weight_scale_inv"] = torch.ones(1, 1)

    edit(minimax, spoil)
    with pytest.raises(QuantizeError) as error:
        dequantize.dequantize(minimax, tmp_path / "out")
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 4
    for name, word in (
        (o, "without weight_scale_inv"),
        (q, r"scales \[2, 3\], not \[1, 1\]".replace("\\", "")),
        (k, "F8_E5M2"),
        ("stray.weight_scale_inv", "belongs to no"),
    ):
        assert any(name in line and word in line for line in lines), (name, lines)


@pytest.mark.parametrize("size", ["nan", "inf", "-1", "0", "1e99"])
def test_a_size_that_is_no_size_is_refused(minimax: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]], size: str) -> None:
    code, _, err = run("dequantize", minimax, "--out", tmp_path / "out", "--shard-size", size)
    assert (code, "--shard-size" in err) == (2, True), err


def test_a_model_that_is_not_fp8_is_refused(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = run("dequantize", tiny.save_16_bit("qwen3_moe", tmp_path / "16"), "--out", tmp_path / "out")
    assert (code, "nothing to dequantize" in err) == (5, True)


def test_no_block_size_and_no_such_device_and_a_taken_target(minimax: Path, tmp_path: Path) -> None:
    for device in ("cuda:99", "meta", "nonsense"):
        with pytest.raises(UsageError, match="--device"):
            dequantize.dequantize(minimax, tmp_path / "out", device=device)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="choose another"):
        dequantize.dequantize(minimax, tmp_path / "taken", force=True)
    dequantize.dequantize(minimax, tmp_path / "out")
    with pytest.raises(UsageError, match="--force"):
        dequantize.dequantize(minimax, tmp_path / "out")
    dequantize.dequantize(minimax, tmp_path / "out", dtype="float16", force=True)
    assert json.loads((tmp_path / "out/curate-dequantize.json").read_text())["dtype"] == "float16"
    config = json.loads((minimax / "config.json").read_text())
    del config["quantization_config"]["weight_block_size"]
    (minimax / "config.json").write_text(json.dumps(config))
    with pytest.raises(QuantizeError, match="weight_block_size is None"):
        dequantize.dequantize(minimax, tmp_path / "new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["16", "fp8", "out", "taken"]


KILLED = """
import os, signal, sys
from pathlib import Path
from curator.checkpoints.dequantize import dequantize
done = []
def progress(name, *_):
    done.append(name)
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
dequantize(Path(sys.argv[1]), Path(sys.argv[2]), limit=50_000, progress=progress)
"""


def test_a_killed_run_goes_on_and_gives_the_same_bytes(minimax: Path, tmp_path: Path) -> None:
    whole = dequantize.dequantize(minimax, tmp_path / "whole", limit=50_000)
    assert len([f for f in whole["files"] if f.endswith(".safetensors")]) > 3
    killed = subprocess.run([sys.executable, "-c", KILLED, minimax, tmp_path / "out"], timeout=100, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    partial = tmp_path / ".out.unfinished"
    first, second = sorted(partial.glob("*.safetensors"))
    inode = first.stat().st_ino
    second.write_bytes(b"spoilt" + second.read_bytes()[6:])
    with (partial / ".journal.jsonl").open("a") as journal:
        journal.write('{"shard": "model-0000')  # a line that the kill cut off
    (partial / "model-00003-of-00009.safetensors.unfinished").write_bytes(b"half")
    manifest = dequantize.dequantize(minimax, tmp_path / "out", limit=50_000)
    assert manifest == whole
    assert (tmp_path / "out" / first.name).stat().st_ino == inode
    assert not partial.exists()
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == {p.name: p.read_bytes() for p in (tmp_path / "whole").iterdir()}


def test_a_half_done_run_of_something_else_is_not_taken_over(minimax: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, minimax, tmp_path / "out"], timeout=100, check=False)
    manifest = dequantize.dequantize(minimax, tmp_path / "out", dtype="float16", limit=50_000)
    assert manifest == dequantize.dequantize(minimax, tmp_path / "whole", dtype="float16", limit=50_000)


MEASURED = """
import resource, sys
from pathlib import Path
from curator.checkpoints.dequantize import dequantize
import torch
torch.ones(1).to(torch.bfloat16)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dequantize(Path(sys.argv[1]), Path(sys.argv[2]), limit=100_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    (tmp_path / "fp8").mkdir()
    codes = torch.zeros(5120, 8192, dtype=torch.float8_e4m3fn)
    tensors = {f"{n}.weight": codes.clone() for n in range(4)} | {f"{n}.weight_scale_inv": torch.ones(40, 64) for n in range(4)}
    save_file(tensors, tmp_path / "fp8/model.safetensors")
    (tmp_path / "fp8/config.json").write_text(json.dumps({"quantization_config": {"weight_block_size": [128, 128]}}))
    done = subprocess.run([sys.executable, "-c", MEASURED, tmp_path / "fp8", tmp_path / "out"], capture_output=True, text=True, timeout=100, check=True)
    assert int(done.stdout) < 100_000  # kilobytes, for 168 MB of FP8 and 336 MB of bfloat16
