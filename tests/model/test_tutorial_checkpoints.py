"""The tutorial from FP8 to a mixed-precision checkpoint: its commands, as they stand on the page, on a tiny model under its names."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import families

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

from curator.checkpoints import stitch  # noqa: E402
from tests.conftest import REPOSITORY  # noqa: E402
from tests.model import tiny  # noqa: E402

PAGE = REPOSITORY / "docs/tutorial/fp8-to-mixed-precision.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    return [shlex.split(line.removeprefix("$ ")) for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def published(folder: Path) -> None:
    """A tiny MiniMax-M2 in block FP8 with the tokenizer of the small build."""
    families.save("minimax_m2", folder.parent / "made", dtype="bfloat16")
    tiny.save_fp8(folder.parent / "made", folder)
    shutil.copyfile(folder.parent / "made/tokenizer_config.json", folder / "tokenizer_config.json")


def test_the_commands_of_the_page_make_what_it_says(
    run: Callable[..., tuple[int, str, str]], small_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "builds").mkdir()
    (tmp_path / "builds/calibrate_software_engineer").symlink_to(small_build)
    said: dict[str, str] = {}
    for words in commands():
        match words:
            case ["pip", *_] | ["bash", "serve.sh"] | ["curate", "build", "calibrate_software_engineer.yaml", *_]:
                continue  # what needs a network or a server
            case ["hf", "download", _, "--local-dir", folder]:
                published(tmp_path / folder)
            case ["curate", *arguments]:
                arguments = arguments[: arguments.index(">")] if ">" in arguments else arguments
                few = ["--allow-uncovered"] if arguments[0] == "quantize" else []  # eight short samples reach no minimum of tokens
                code, out, err = run(*arguments, *few)
                assert code == 0, (words, err)
                said[arguments[0]] = out
            case _:
                pytest.fail(f"a command that this test does not know: {words}")
    assert set(said) == {"dequantize", "quantize", "stitch", "verify-checkpoint", "serve-script"}
    assert "exec vllm serve" in said["serve-script"]
    mixed, plain = (tiny.load_all(tmp_path / f"MiniMax-M2.1-{kind}-INT4") for kind in ("FP8", "BF16"))
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (mixed[name].dtype, plain[name].dtype) == (torch.float8_e4m3fn, torch.bfloat16)
    assert "model.layers.0.block_sparse_moe.experts.0.w1.weight_packed" in mixed
    origins = json.loads((tmp_path / "MiniMax-M2.1-FP8-INT4" / stitch.MANIFEST).read_text())["tensors"]
    for name in ("post_attention_layernorm.weight", "block_sparse_moe.gate.weight"):
        assert origins[f"model.layers.1.{name}"] == "experts: rescaled"
    for folder, source in (("BF16", "MiniMax-M2.1"), ("INT4", "MiniMax-M2.1-BF16"), ("FP8-INT4", "MiniMax-M2.1"), ("BF16-INT4", "MiniMax-M2.1-BF16")):
        code, out, _ = run("verify-checkpoint", tmp_path / f"MiniMax-M2.1-{folder}", "--source", tmp_path / source)
        assert code == 0, (folder, out)
