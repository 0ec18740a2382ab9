"""`curate serve-script`: what it prints is what the folder and its family ask for."""

from __future__ import annotations

import json
import os
import re
import shlex
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curator.checkpoints import families, scheme, serve

Run = Callable[..., tuple[int, str, str]]
INT4 = {"format": "pack-quantized", "targets": ["re:.*experts.*"], "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}}


def mixed() -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "format": "mixed-precision", "config_groups": {"group_0": scheme.fp8_group((128, 128)), "group_1": INT4}}


def model(folder: Path, model_type: str, quantization: dict[str, Any] | None) -> Path:
    made = folder / "My Model"
    made.mkdir()
    config = {"model_type": model_type, "max_position_embeddings": 196608} | ({"quantization_config": quantization} if quantization else {})
    (made / "config.json").write_text(json.dumps(config))
    header = json.dumps({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    (made / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"0")
    return made


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b""), lambda file: file.unlink()])
def test_a_folder_without_its_weights_is_not_served(run: Run, tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    folder = model(tmp_path, "qwen3_moe", None)
    damage(folder / "model.safetensors")
    code, text, err = run("serve-script", folder)
    assert (code, text, "model.safetensors" in err) == (5, "", True), err


@pytest.mark.parametrize(
    ("config", "most_gb", "said"),
    [({"num_hidden_layers": 62}, 140, True), ({"num_hidden_layers": 2}, 140, False), ({"num_hidden_layers": 62}, 0, False)],
)
def test_what_holds_of_the_full_size_only_is_not_said_of_another(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, int], most_gb: float, said: bool
) -> None:
    folder = model(tmp_path, "minimax_m2", mixed())
    (folder / "config.json").write_text(json.dumps(json.loads((folder / "config.json").read_text()) | config))
    family = next(f for f in families.families() if f.name == "MiniMax-M2")
    assert family.serving.full_size is not None
    serving = family.serving.model_copy(update={"full_size": family.serving.full_size.model_copy(update={"most_gb": most_gb})})
    monkeypatch.setattr(serve, "family_of", lambda *_, **__: family.model_copy(update={"serving": serving}))
    code, text, _ = run("serve-script", folder)
    assert (code, "fits on 2 x 96 GB" in text, "up to 196,608 tokens" in text) == (0, said, True)


@pytest.mark.parametrize(("value", "said"), [(3, "quantization_config is 3;"), ({"bits": 4}, "quantization_config with quant_method None;")])
def test_a_quantization_config_of_another_kind_is_quoted(run: Run, tmp_path: Path, value: Any, said: str) -> None:
    code, _, err = run("serve-script", model(tmp_path, "qwen3_moe", value))
    assert (code, said in err) == (5, True), err


def test_minimax_is_served_as_its_authors_say(run: Run, tmp_path: Path) -> None:
    folder = model(tmp_path, "minimax_m2", mixed())
    code, text, err = run("serve-script", folder)
    assert code == 0, err
    assert "# MiniMax-M2, mixed-precision: FP8 in blocks of [128, 128] for Linear; INT4 in groups of 32 for re:.*experts.*" in text
    assert "not in: SGLang" in text
    assert "196,608 tokens" in text
    (tmp_path / "vllm").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "vllm").chmod(0o755)
    (tmp_path / "serve.sh").write_text(text)
    words = subprocess.run(
        ["bash", tmp_path / "serve.sh"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert words[:2] == ["serve", str(folder)]
    options = dict(zip(words, [*words[1:], ""], strict=True))
    assert options["--tensor-parallel-size"] == "2"
    assert options["--tool-call-parser"] == options["--reasoning-parser"] == "minimax_m2"
    assert "--enable-auto-tool-choice" in words
    sampling = json.loads(options["--override-generation-config"])
    assert sampling == {"temperature": 1, "top_p": 0.95, "top_k": 40, "repetition_penalty": 1.1, "frequency_penalty": 0.4}


@pytest.mark.parametrize(
    ("quantization", "kind", "sglang"),
    [
        (None, "16 bit", True),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "FP8", True),
        ({"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"group_0": {**INT4, "format": None}}}, "one format", True),
        (mixed(), "mixed-precision", False),
    ],
)
def test_who_can_load_it_depends_on_how_it_is_stored(run: Run, tmp_path: Path, quantization: dict[str, Any] | None, kind: str, sglang: bool) -> None:
    code, out, _ = run("serve-script", model(tmp_path, "qwen3_moe", quantization), "--gpus", 4, "--json")
    said = json.loads(out)
    assert (code, said["kind"], "SGLang" in said["servers"]) == (0, kind, sglang)
    assert said["command"][said["command"].index("--tensor-parallel-size") + 1] == "4"


def test_what_is_not_known_is_refused(run: Run, tmp_path: Path) -> None:
    assert run("serve-script", tmp_path / "nowhere")[0] == 2
    folder = model(tmp_path, "qwen3_moe", {"quant_method": "gptq"})
    assert run("serve-script", folder)[0] == 5
    (folder / "config.json").write_text('{"model_type": "llama"}')
    code, _, err = run("serve-script", folder)
    assert (code, "deepseek_v3, minimax_m2, qwen3_moe" in err, "it is `vllm serve '" in err) == (2, True, True)
    (folder / "config.json").unlink()
    assert run("serve-script", folder)[0] == 5


@pytest.mark.parametrize("family", list(families.families()), ids=lambda f: f.name)
def test_cards_are_whole(family: families.Family) -> None:
    assert {"experts", "router", "mlp_norms", "attention", "attention_norms", "embeddings"} <= set(family.roles)
    assert family.serving.sampling
    assert family.serving.tool_call_parser
    expert = (
        re.sub(r"\\d\+", "7", family.roles["experts"][0]).replace("\\", "").partition("(")[0] + family.roles["experts"][0].partition("(")[2].partition("|")[0]
    )
    expert = expert if family.role(expert) == "experts" else f"{expert}_proj"
    assert family.role(f"{expert}.weight") == "experts"
    assert family.in_checkpoint(family.in_memory(expert)) == expert


def test_quoting_survives_a_shell() -> None:
    made = serve.Script("f", "k", ("s",), ("vllm", "serve", "/a b/$(x)'", "--flag"), ("v",), None, ())
    assert shlex.split(made.text().splitlines()[-2].removesuffix("\\"))[1:] == ["vllm", "serve", "/a b/$(x)'"]


@pytest.mark.parametrize("name", ["a\x1b]0;x\x07b", "it's\u3000a \\n", "caf\udce9 0"])
def test_a_folder_whose_name_does_not_print_is_served(run: Run, tmp_path: Path, name: str) -> None:
    try:
        folder = model(tmp_path, "qwen3_moe", None).rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes no such name")
    code, text, err = run("serve-script", folder)
    assert code == 0, err
    assert all(c.isprintable() or c == "\n" for c in text)
    script = text.replace("exec vllm", "printf '%s\\0'")
    assert os.fsencode(folder) in subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.split(b"\0")


def test_a_config_cannot_put_commands_into_the_script(run: Run, tmp_path: Path) -> None:
    evil = {**INT4, "targets": ["x\nrm -rf /", "y\r\u2028ls"]}
    folder = model(tmp_path, "qwen3_moe", {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"g": evil}})
    lines = run("serve-script", folder)[1].splitlines()
    assert [line for line in lines if not line.startswith(("#", "  --", "exec vllm serve", "set -euo"))] == []


E = "model.layers.{}.mlp.experts.{}.{}"


@pytest.mark.parametrize(
    ("inside", "outside", "targets"),
    [
        ([E.format(n, m, p) for n in (0, 11) for m in (0, 5) for p in ("a", "b")], ["model.layers.0.mlp.gate"], [r"re:.*mlp\.experts\.\d+\.(a|b)$"]),
        ([E.format(n, 0, "a") for n in (1, 2)], [E.format(3, 0, "a")], [r"re:.*model\.layers\.(1|2)\.mlp\.experts\.\d+\.a$"]),
        ([E.format(0, 0, "a")], [E.format(0, 1, "a")], [E.format(0, 0, "a")]),
        (["lm_head", "model.layers.0.up"], ["model.layers.0.mlp.up"], [r"re:model\.layers\.\d+\.up$", "lm_head"]),
        ([], ["x"], []),
    ],
)
def test_targets_match_what_they_should_and_nothing_else(inside: list[str], outside: list[str], targets: list[str]) -> None:
    made = scheme.targets(inside, outside)
    assert made == targets
    for name in [*inside, *outside]:
        assert any(re.match(t[3:], name) if t.startswith("re:") else t == name for t in made) == (name in inside)


@pytest.mark.parametrize(
    "group", [None, {"weights": {}}, {"targets": None}, {"targets": ["re:("]}, {"targets": [3]}, {"targets": [], "weights": [1]}, {**INT4, "format": ["x"]}]
)
def test_groups_that_mean_nothing_are_refused(run: Run, tmp_path: Path, group: Any) -> None:
    folder = model(tmp_path, "qwen3_moe", {"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": {"g": group}})
    code, _, err = run("serve-script", folder)
    assert (code, "config_groups that have targets" in err) == (5, True), err


def test_no_group_is_no_quantization(run: Run, tmp_path: Path) -> None:
    for change in ({"config_groups": {}}, {"format": ["x"], "config_groups": {"g": {**INT4, "format": None}}}):
        folder = model(tmp_path, "qwen3_moe", {"quant_method": "compressed-tensors", **change})
        assert run("serve-script", folder)[0] == 5
        (folder / "config.json").unlink()
        (folder / "model.safetensors").unlink()
        folder.rmdir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"targets": ["\x1b]0;x\x07", "Linear\u202e"]}, r"for \x1b]0;x\x07, Linear\x202e"),
        ({"weights": None}, "16-bit weights for re:.*experts.*"),
        ({"format": "mixed-precision"}, "# not in: SGLang"),
    ],
)
def test_what_a_config_says_is_told_in_print(run: Run, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    about = {"quant_method": "compressed-tensors", "format": "mixed-precision", "config_groups": {"g": {**INT4, **change}}}
    code, text, _ = run("serve-script", model(tmp_path, "qwen3_moe", about))
    assert (code, said in text) == (0, True), text
    assert all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("context", [True, -1, 10**400, 1.5, "8192", None])
def test_a_context_that_is_no_number_of_tokens_is_not_told(run: Run, tmp_path: Path, context: Any) -> None:
    folder = model(tmp_path, "qwen3_moe", None)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_moe", "max_position_embeddings": context}))
    code, text, _ = run("serve-script", folder)
    assert (code, "tokens of context" in text) == (0, False), text


def test_a_name_like_an_option_stays_a_name(run: Run, tmp_path: Path) -> None:
    folder = model(tmp_path, "qwen3_moe", {"quant_method": "fp8"}).rename(tmp_path / "--trust-remote-code")
    text = run("serve-script", folder)[1]
    assert "--served-model-name=--trust-remote-code" in shlex.split(text)
    assert "E4M3 without blocks" in text


def test_a_folder_that_is_called_like_an_option_runs_nothing(run: Run, tmp_path: Path) -> None:
    folder = model(tmp_path, "qwen3_moe", None).rename(tmp_path / "--x $(touch owned)")
    code, text, _ = run("serve-script", folder)
    assert code == 0
    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    subprocess.run(["bash", "-c", text], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, cwd=tmp_path, check=True)
    assert not (tmp_path / "owned").exists()
