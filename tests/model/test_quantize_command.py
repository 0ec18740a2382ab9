"""`curate quantize` as a user runs it: the ledger, the report and the evaluation beside a quantized model, and every exit code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests import families

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

from curator.quantize import library  # noqa: E402

Run = Callable[..., tuple[int, str, str]]
LEDGER = {"expert_tokens.parquet", "expert_calibration.parquet", "expert_tokens.json", "expert_report.html"}
LAYERS, TOP_K, IDLE = 2, 2, 3


@pytest.fixture(scope="session")
def source(model_of: Callable[..., Path]) -> Path:
    return model_of("minimax_m2")


@pytest.fixture(scope="session")
def biased(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose routers never choose expert IDLE."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("biased") / "M"
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    biases = [n for n in tensors if n.endswith("e_score_correction_bias")]
    assert len(biases) == LAYERS
    for name in biases:
        tensors[name][IDLE] = -100.0
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def tokens_of(folder: Path) -> Any:
    return pl.read_parquet(folder / "expert_tokens.parquet").group_by("layer").agg(pl.col("tokens").sum()).sort("layer")["tokens"].to_list()


def test_the_ledger_alone(run: Run, small_build: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "L"
    code, shown, _ = run("quantize", small_build, "--model", source, "--out", out, "--ledger-only", "--min-tokens-per-expert", 1)
    assert code == 0
    assert {f.name for f in out.iterdir()} == LEDGER
    assert tokens_of(out) == [(families.SAMPLES - 2) * families.LENGTH * TOP_K] * LAYERS
    assert "nothing quantized" in shown
    facts = json.loads((out / "expert_tokens.json").read_text())
    assert (facts["counted_in"], facts["minimum"], facts["calibration"]) == ("plain", 1, [])
    assert run("quantize", small_build, "--model", source, "--out", out, "--ledger-only", "--min-tokens-per-expert", 1)[0] == 2
    assert run("quantize", small_build, "--model", source, "--out", out, "--ledger-only", "--min-tokens-per-expert", 1, "--force")[0] == 0


def test_a_ledger_for_machines_is_its_file(run: Run, small_build: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "L"
    code, shown, _ = run("quantize", small_build, "--model", source, "--out", out, "--ledger-only", "--allow-uncovered", "--json")
    assert code == 0
    assert json.loads(shown) == json.loads((out / "expert_tokens.json").read_text()) | {"out": str(out)}


def test_a_ledger_does_not_replace_a_model(run: Run, small_build: Path, source: Path, tmp_path: Path) -> None:
    """A quantized model has a ledger among its files, and a run that was cut short may have left one beside tensors."""
    out = tmp_path / "Q"
    asked = ("quantize", small_build, "--model", source, "--out", out, "--allow-uncovered")
    code, shown, _ = run(*asked, "--recipe", "w4a16-gptq")
    assert code == 0
    assert "experts that routing sends none: 0" in shown
    before = {f.name: f.read_bytes() for f in out.iterdir()}
    for _ in range(2):
        code, _, said = run(*asked, "--ledger-only", "--force")
        assert (code, said.strip()) == (2, f"error: {out}: exists and is not a ledger; --force replaces ledgers only")
        assert {f.name: f.read_bytes() for f in out.iterdir()} == before
        (out / "curate-quantize.json").unlink(missing_ok=True)
        before.pop("curate-quantize.json", None)


def test_a_whole_run_with_its_evaluation(run: Run, small_build: Path, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "Q"
    code, shown, _ = run("quantize", small_build, "--model", source, "--out", out, "--evaluate", 3, "--min-tokens-per-expert", 1, "--json")
    assert code == 0
    assert {f.name for f in out.iterdir()} > LEDGER | {"evaluation.json", "README.md", "curate-quantize.json"}
    assert tokens_of(out) == [(families.SAMPLES - 3) * families.LENGTH * TOP_K] * LAYERS
    seen = pl.read_parquet(out / "expert_calibration.parquet")["tokens"].to_list()
    assert seen == [(families.SAMPLES - 3) * families.LENGTH] * len(seen)  # every expert is given every token
    evaluation = json.loads((out / "evaluation.json").read_text())
    overall, held_out = evaluation["overall"], evaluation["held_out"]
    assert json.loads(shown)["evaluation"] == evaluation
    assert len(held_out) == 3
    documents = pl.read_parquet(small_build / "documents.parquet").filter(pl.col("sample").is_in(held_out))
    assert overall["tokens"] == (documents["tokens"] - 1).sum(), "of these samples"
    assert 0 < overall["kl_mean"]["value"] < overall["kl_p99"]["value"]
    assert overall["tokens"] <= 3 * families.LENGTH - overall["documents"]
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| tokens in calibration | 640 |" in card
    assert "| experts that routing sends none | 0 |" in card
    assert "KL divergence per token" in card
    assert run("verify-checkpoint", out, "--source", source)[0] == 0
    (out / "expert_tokens.json").write_text("{}")
    assert run("verify-checkpoint", out, "--source", source)[0] == 1


@pytest.mark.parametrize("family", ["minimax_m2", "qwen3_moe", "mixtral"])
def test_the_ledger_of_a_calibration_is_that_of_a_plain_pass(family: str, run: Run, small_build: Path, model_of: Callable[..., Path], tmp_path: Path) -> None:
    """Without smoothing the routing of the first layer is the model's own, if its attention was masked as in the model."""
    asked = ("quantize", small_build, "--model", model_of(family), "--allow-uncovered", "--recipe", "w4a16-gptq")
    assert run(*asked, "--out", tmp_path / "Q")[0] == 0
    assert run(*asked, "--out", tmp_path / "L", "--ledger-only")[0] == 0
    one, other = (pl.read_parquet(tmp_path / name / "expert_tokens.parquet").filter(pl.col("layer") == 0) for name in "QL")
    assert one.equals(other)


def test_an_expert_that_never_fires_ends_with_code_4_when_all_is_written(run: Run, small_build: Path, biased: Path, tmp_path: Path) -> None:
    asked = ("quantize", small_build, "--model", biased, "--recipe", "w4a16-gptq", "--min-tokens-per-expert", 1)
    code, _, said = run(*asked, "--out", tmp_path / "Q")
    assert code == 4
    assert f"layer 0, expert {IDLE}: 0" in said
    assert f"layer 1, expert {IDLE}: 0" in said
    assert json.loads((tmp_path / "Q" / "expert_tokens.json").read_text())["below_minimum"] == [[0, IDLE, 0], [1, IDLE, 0]]
    assert run("verify-checkpoint", tmp_path / "Q", "--source", biased)[0] == 0
    assert run(*asked, "--out", tmp_path / "Q", "--force", "--allow-uncovered")[0] == 0


def test_without_the_extra_the_command_says_what_to_install(run: Run, small_build: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NEEDED", ("a_library_that_is_not_there",))
    code, _, said = run("quantize", small_build, "--model", source, "--out", tmp_path / "Q")
    assert code == 6
    assert "curate-calibration[awq]" in said


def test_what_was_only_counted_cannot_be_evaluated(run: Run, small_build: Path, source: Path, tmp_path: Path) -> None:
    assert run("quantize", small_build, "--model", source, "--out", tmp_path / "Q", "--ledger-only", "--evaluate", 2)[0] == 2


def test_a_page_that_fails_does_not_cost_the_calibration(run: Run, small_build: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curator.quantize import expert_report

    def broken(*_: object) -> None:
        raise TypeError("a bug in a drawing")

    with monkeypatch.context() as patched:
        patched.setattr(expert_report, "write", broken)
        code, _, said = run("quantize", small_build, "--model", source, "--out", tmp_path / "Q", "--allow-uncovered", "--recipe", "w4a16-gptq")
    assert code == 70
    (kept,) = tmp_path.glob("Q.unfinished-*")
    assert str(kept) in said
    assert not (tmp_path / "Q").exists()
    assert run("verify-checkpoint", kept, "--source", source)[0] == 2, "nothing says that it is finished"
    assert run("quantize", small_build, "--model", source, "--out", tmp_path / "Q", "--allow-uncovered", "--recipe", "w4a16-gptq")[0] == 0
    assert (kept / "model.safetensors").read_bytes() == (tmp_path / "Q" / "model.safetensors").read_bytes()
