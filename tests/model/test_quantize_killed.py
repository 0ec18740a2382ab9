"""`curate quantize` in a process of its own that a signal reaches: while the model is read, in calibration, while it writes and verifies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

Run = Callable[..., tuple[int, str, str]]
# A process of curate that sends itself the signal of its first argument, at the moment of its second.
CHILD = """
import os, sys
from curator import cli
from curator.cli import quantizing
from curator.quantize import oneshot

number, moment = int(sys.argv.pop(1)), sys.argv.pop(1)
checked = oneshot._refuse_other_weights

def reached(what, *_):
    if what.startswith(moment):
        os.kill(os.getpid(), number)

def loading(*given):
    reached("load")
    checked(*given)

quantizing._lines = lambda: reached
oneshot._refuse_other_weights = loading
cli.main()
"""
CALIBRATING, WRITING, VERIFYING = "model.layers.1", "writing", "verifying"


def stopped(number: int, moment: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CHILD, str(int(number)), moment, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, m) for m in ("load", CALIBRATING, VERIFYING)] + [(signal.SIGKILL, WRITING), (signal.SIGTERM, CALIBRATING)],
)
def test_a_model_that_stood_there_stays_and_nothing_looks_finished(
    number: int, moment: str, small_build: Path, model_of: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    target = tmp_path / "out" / "Q"
    target.mkdir(parents=True)
    (target / "curate-quantize.json").write_text("{}", encoding="utf-8")
    asked = (
        "quantize",
        small_build,
        "--model",
        model_of("minimax_m2"),
        "--out",
        target,
        "--recipe",
        "w4a16-gptq",
        "--samples",
        2,
        "--allow-uncovered",
        "--force",
    )
    process = stopped(number, moment, *asked)
    beside = [p for p in target.parent.iterdir() if p != target]
    assert contents(target) == {"curate-quantize.json": b"{}"}
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert process.stderr.strip() == "error: interrupted; nothing was written: the next run starts anew"
        assert beside == []
        return
    assert process.returncode == -number
    assert "Traceback" not in process.stderr
    assert {p.suffix for p in beside} == {".lock", ".partial"}
    code, _, said = run(*asked)
    assert code == 0, said
    assert list(target.parent.iterdir()) == [target]
    assert run("verify-checkpoint", target, "--source", model_of("minimax_m2"))[0] == 0
