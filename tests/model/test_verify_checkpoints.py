"""A folder that was tampered with after it was written is told from one that was not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")
pytestmark = pytest.mark.model

from curator import paths  # noqa: E402
from curator.checkpoints import stitch, verify  # noqa: E402
from curator.checkpoints.dequantize import dequantize  # noqa: E402
from curator.errors import UsageError  # noqa: E402
from tests.model import tiny  # noqa: E402


@pytest.fixture(scope="module", params=sorted(tiny.FAMILIES))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FP8, 16 bit, quantized experts, and both kinds of stitched folder."""
    root = tmp_path_factory.mktemp(request.param)
    tiny.save_fp8(tiny.save_16_bit(request.param, root / "made"), root / "fp8")
    dequantize(root / "fp8", root / "plain")
    tiny.save_awq(root / "plain", root / "awq")
    stitch.stitch(root / "fp8", root / "awq", root / "mixed")
    stitch.stitch(root / "plain", root / "awq", root / "one")
    return root


def test_what_was_written_is_good(made: Path) -> None:
    assert verify.faults(made / "plain", source=made / "fp8") == []
    assert verify.faults(made / "mixed", source=made / "fp8") == []
    assert verify.faults(made / "one", source=made / "plain") == []
    assert not verify.is_ours(made / "fp8")
    with pytest.raises(UsageError):
        verify.faults(made / "fp8")


def test_a_source_that_is_another_model_is_told(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "plain", tmp_path / "copy")
    assert any("no weight_block_size" in fault for fault in verify.faults(made / "plain", source=tmp_path / "copy"))


def test_a_card_and_hidden_files_may_lie_beside(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made / "mixed", folder)
    (folder / "README.md").write_text("# My model")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    assert verify.faults(folder, source=made / "fp8") == []


def test_a_file_that_may_not_be_read_is_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(file: Path) -> str:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(paths, "sha256", denied)
    (fault,) = verify.faults(made / "mixed", source=made / "fp8")
    assert fault.endswith(": cannot be read: Permission denied")
    assert str(made / "mixed") in fault


def test_the_model_of_another_kind_is_not_the_source(made: Path) -> None:
    assert any("not as in" in fault for fault in verify.faults(made / "one", source=made / "fp8"))
    assert any("not in" in fault for fault in verify.faults(made / "mixed", source=made / "plain"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(quantization_config={"quant_method": "fp8"}), "though no weight is quantized"),
        (lambda c: c.update(num_hidden_layers=9), "num_hidden_layers is 9, in the source 3"),
        (lambda c: c.update(dtype="float32"), "dtype is 'float32', in the source 'bfloat16'"),
    ],
)
def test_a_config_that_is_not_the_16_bit_one_of_the_source_is_told(made: Path, tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made / "plain", folder)
    spoil_json(folder, "config.json", change)
    assert any(said in fault for fault in verify.faults(folder, source=made / "fp8")), verify.faults(folder, source=made / "fp8")


def test_a_folder_is_not_held_against_itself(made: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(made / "mixed")
    for source in (made / "mixed", tmp_path / "link"):
        with pytest.raises(UsageError, match="itself, which proves nothing"):
            verify.faults(made / "mixed", source=source)


def spoil_tensor(folder: Path, change: Callable[[dict[str, Any]], None], *, manifest: str = "curate-stitch.json") -> None:
    """Change tensors and give the manifest the new digests, as one would who means to hide it."""
    tensors = tiny.load_all(folder)
    change(tensors)
    (file,) = folder.glob("*.safetensors")
    from safetensors.torch import save_file

    save_file(tensors, file)
    path = folder / manifest
    described = json.loads(path.read_text())
    described["files"][file.name] = {"sha256": paths.sha256(file), "bytes": file.stat().st_size}
    path.write_text(json.dumps(described))


def spoil_json(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads((folder / name).read_text())
    change(value)
    (folder / name).write_text(json.dumps(value))


def spoil_copy(folder: Path, name: str) -> None:
    """Change a file that was copied, and its digest in the manifest."""
    (folder / name).write_text("{}")
    spoil_json(folder, "curate-stitch.json", lambda m: m["files"][name].update(sha256=paths.sha256(folder / name), bytes=2))


def spoil_config(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config["quantization_config"])
    (folder / "config.json").write_text(json.dumps(config))


Q = "model.layers.0.self_attn.o_proj.weight"
NORM = "model.layers.0.input_layernorm.weight"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer.json: changed"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json: missing"),
        (lambda f: spoil_tensor(f, lambda t: t.pop(NORM)), f"{NORM}: in curate-stitch.json only"),
        (lambda f: spoil_tensor(f, lambda t: t.update({NORM: t[NORM] * 2})), f"{NORM}: not as in"),
        (lambda f: spoil_tensor(f, lambda t: t.update({f"{Q}_scale": t[f"{Q}_scale"] * 2})), f"{Q}_scale: not as in"),
        (lambda f: spoil_tensor(f, lambda t: t.update({f"{Q}_scale_inv": t.pop(f"{Q}_scale")})), "under its old name"),
        (lambda f: spoil_tensor(f, lambda t: t.update({f"{Q}_scale": t[f"{Q}_scale"][:1].clone()})), "should have shape"),
        (lambda f: spoil_tensor(f, lambda t: t.update({"x.weight": torch.ones(2, 2)})), "x.weight: not in curate-stitch.json"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"].pop("group_0")), f"{Q}: quantized, and config.json has no group"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"].pop("group_1")), "not of the format float-quantized"),
        (lambda f: spoil_config(f, lambda q: q.update(ignore=[])), "does not say that it is left"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"]["group_1"]["weights"].update(group_size=32)), "should have shape"),
        (lambda f: spoil_config(f, lambda q: q.update(config_groups=["x"])), "not as compressed-tensors has it"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"]["group_1"].update(targets=["re:("])), "not as compressed-tensors has it"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"]["group_1"]["weights"].update(symmetric=False)), "config.json: changed since"),
        (lambda f: spoil_config(f, lambda q: q.update(quant_method="gptq")), "quant_method 'gptq'"),
        (lambda f: spoil_config(f, lambda q: q.update(format="pack-quantized")), "its groups are 'compressed-tensors' and 'mixed-precision'"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"]["group_0"]["weights"].update(block_structure=[9, 9])), "in the source [48, 32]"),
        (lambda f: spoil_config(f, lambda q: q["config_groups"]["group_0"].update(weights=4.5)), "not as compressed-tensors has it"),
        (lambda f: spoil_json(f, "config.json", lambda c: c.update(rope_theta=3.0)), "config.json: rope_theta is 3.0, in the source"),
        (lambda f: spoil_json(f, "config.json", lambda c: c.pop("num_experts_per_tok")), "num_experts_per_tok is None, in the source 2"),
        (lambda f: (f / "modeling_x.py").write_text("evil"), "modeling_x.py: not in curate-stitch.json"),
        (lambda f: (f / "model-9.safetensors").write_bytes(b""), "model-9.safetensors: not in curate-stitch.json"),
        (lambda f: (f / "link.py").symlink_to("nowhere"), "link.py: not in curate-stitch.json"),
        (lambda f: spoil_json(f, "curate-stitch.json", lambda m: m["files"].pop("tokenizer.json")), "tokenizer.json: not in curate-stitch.json"),
        (lambda f: spoil_copy(f, "tokenizer.json"), "tokenizer.json: not that of"),
        (lambda f: spoil_json(f, "curate-stitch.json", lambda m: m.update(tensors=[])), "cannot be read"),
        (lambda f: spoil_json(f, "curate-stitch.json", lambda m: m.pop("tensors")), "cannot be read"),
        (lambda f: (f / "curate-stitch.json").write_text("{}"), "cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-1]), "truncated"),
    ],
)
def test_each_kind_of_tampering_is_told(made: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made / "mixed", folder)
    spoil(folder)
    assert any(said in fault for fault in verify.faults(folder, source=made / "fp8")), verify.faults(folder, source=made / "fp8")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: t.pop(NORM), f"{NORM}: not there"),
        (lambda t: t.update({NORM: t[NORM] * 2}), f"{NORM}: not as in"),
        (lambda t: t[Q].mul_(1.01), f"{Q}: not the numbers of"),
        (lambda t: t[Q][:, -1].neg_(), f"{Q}: not the numbers of"),
        (lambda t: t.update({Q: t[Q].T.contiguous()}), f"{Q}: not the numbers of"),
        (lambda t: t.update({Q: torch.full_like(t[Q], float("nan"))}), f"{Q}: not the numbers of"),
    ],
)
def test_numbers_that_are_not_those_of_the_fp8_model_are_told(made: Path, tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], said: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made / "plain", folder)
    spoil_tensor(folder, spoil, manifest="curate-dequantize.json")
    assert verify.faults(folder) == []
    assert any(said in fault for fault in verify.faults(folder, source=made / "fp8")), verify.faults(folder, source=made / "fp8")


@pytest.mark.parametrize("scale", [float("inf"), float("-inf"), float("nan"), 3e38, 7.6e35, 1e-44, -1.0, 0.0])
def test_scales_that_are_no_numbers_or_too_large_are_no_false_alarm(made: Path, tmp_path: Path, scale: float) -> None:
    folder = tmp_path / "fp8"
    shutil.copytree(made / "fp8", folder)
    tensors = tiny.load_all(folder)
    tensors[f"{Q}_scale_inv"].fill_(scale)
    for file in folder.glob("*.safetensors"):
        file.unlink()
    tiny.save_shards(tensors, folder, 2)
    dequantize(folder, tmp_path / "out")
    assert verify.faults(tmp_path / "out", source=folder) == []
    spoil_tensor(tmp_path / "out", lambda t: t.update({Q: torch.full_like(t[Q], 3.0)}), manifest="curate-dequantize.json")
    assert any(f"{Q}: not the numbers of" in fault for fault in verify.faults(tmp_path / "out", source=folder))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_in_either_type_and_with_scales_of_any_is_found_good(made: Path, tmp_path: Path, dtype: str) -> None:
    shutil.copytree(made / "fp8", tmp_path / "fp8")
    tensors = tiny.load_all(tmp_path / "fp8")
    kinds = [torch.float32, torch.bfloat16, torch.float16, torch.float8_e8m0fnu]
    for number, name in enumerate(n for n in tensors if n.endswith("_scale_inv")):
        tensors[name] = (tensors[name].clamp(min=2**-12)).to(kinds[number % 4])
        if "experts" not in name:  # what is none cannot be quantized again
            tensors[name.removesuffix("_scale_inv")].view(torch.uint8)[0, :2] = torch.tensor([0x7F, 0x01], dtype=torch.uint8)
    for file in (tmp_path / "fp8").glob("*.safetensors"):
        file.unlink()
    tiny.save_shards(tensors, tmp_path / "fp8", 2)
    dequantize(tmp_path / "fp8", tmp_path / "out", dtype=dtype)
    assert verify.faults(tmp_path / "out", source=tmp_path / "fp8") == []
    dequantize(tmp_path / "fp8", tmp_path / "plain")
    tiny.save_awq(tmp_path / "plain", tmp_path / "awq")
    stitch.stitch(tmp_path / "fp8", tmp_path / "awq", tmp_path / "mixed")
    assert verify.faults(tmp_path / "mixed", source=tmp_path / "fp8") == []
