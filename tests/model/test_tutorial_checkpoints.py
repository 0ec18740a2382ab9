"""The tutorial from FP8 to a mixed-precision checkpoint: its commands, as they stand on the page, on a tiny model under its names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("compressed_tensors")
pytestmark = pytest.mark.model

from tests.conftest import REPOSITORY  # noqa: E402
from tests.model import tiny  # noqa: E402

PAGE = REPOSITORY / "docs/tutorial/fp8-to-mixed-precision.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.S | re.M)
    return [shlex.split(line.removeprefix("$ ")) for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_the_commands_of_the_page_make_what_it_says(run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said: dict[str, str] = {}
    for words in commands():
        match words:
            case ["pip", *_]:
                continue
            case ["hf", "download", _, "--local-dir", folder]:
                tiny.save_fp8(tiny.save_16_bit("minimax_m2", tmp_path / "made"), tmp_path / folder)
            case ["curate", "quantize", _, "--model", model, "--out", folder]:
                tiny.save_awq(tmp_path / model, tmp_path / folder)  # what AWQ leaves, without its calibration
            case ["curate", *arguments]:
                code, out, err = run(*arguments)
                assert code == 0, (words, err)
                said[arguments[0]] = out
            case _:
                pytest.fail(f"a command that this test does not know: {words}")
    assert set(said) == {"dequantize", "stitch", "serve-script"}
    assert "exec vllm serve" in said["serve-script"]
    mixed, plain = (tiny.load_all(tmp_path / f"MiniMax-M2.1-{kind}-INT4") for kind in ("FP8", "BF16"))
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (mixed[name].dtype, plain[name].dtype) == (torch.float8_e4m3fn, torch.bfloat16)
    assert "model.layers.0.block_sparse_moe.experts.0.w1.weight_packed" in mixed
