"""Several processes that calibrate one model together: on the CPU, where they find each other as they do on GPUs."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curator.errors import QuantizeError, UsageError
from tests import families, tiny_moe

torch = pytest.importorskip("torch")
pytest.importorskip("llmcompressor")
pytestmark = pytest.mark.model

from curator.quantize import distributed, ledger  # noqa: E402

Run = Callable[..., tuple[int, str, str]]
TOP_K = 2


def python(program: str) -> Callable[..., distributed._Started]:
    """Start a program in the place of each process; it reads its number from RANK."""

    def start(rank: int, words: Any, address: dict[str, str]) -> distributed._Started:
        said = tempfile.TemporaryFile() if rank else None  # noqa: SIM115 - closed with the process
        process = subprocess.Popen([sys.executable, "-c", program], env=os.environ | address | {"RANK": str(rank)}, stderr=said)
        return distributed._Started(rank, process, said)

    return start


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_refuse_more_than_there_are", lambda count: None)


def started_together(*words: object) -> list[tuple[int, str, str]]:
    """The command in two processes, as torchrun starts them: code, output and errors of each."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    made = []
    for rank in range(2):
        environment = os.environ | address | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "curator", *map(str, words)]
        made.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=300) for process in made]
    return [(process.returncode, *output) for process, output in zip(made, outputs, strict=True)]


def test_two_processes_make_one_model_and_one_ledger(run: Run, small_build: Path, model_of: Callable[..., Path], tmp_path: Path) -> None:
    source = model_of("minimax_m2")
    words = ("quantize", small_build, "--model", source, "--recipe", "w4a16-gptq", "--min-tokens-per-expert", 1, "--evaluate", 2)
    (code, shown, said), (other_code, other_shown, other_said) = started_together(*words, "--out", tmp_path / "two")
    assert (code, other_code) == (0, 0), said + other_said
    assert "verified" in shown
    assert not other_shown
    assert run("verify-checkpoint", tmp_path / "two", "--source", source)[0] == 0
    assert "  calibrated on: 2 x CPU" in shown

    assert run(*words, "--out", tmp_path / "one")[0] == 0
    two, one = (pl.read_parquet(tmp_path / name / "expert_tokens.parquet") for name in ("two", "one"))
    first = pl.col("layer") == 0  # what the next layer is given depends on the last bits of sums over samples
    assert two.filter(first).equals(one.filter(first))
    tokens = (families.SAMPLES - 2) * families.LENGTH
    assert set(two.group_by("layer").agg(pl.col("tokens").sum())["tokens"]) == {tokens * TOP_K}
    assert set(pl.read_parquet(tmp_path / "two" / "expert_calibration.parquet")["tokens"]) == {tokens}
    costs = [json.loads((tmp_path / name / "evaluation.json").read_text())["overall"]["kl_mean"]["value"] for name in ("two", "one")]
    assert costs[0] == pytest.approx(costs[1], rel=0.05)


def test_two_processes_count_as_one(run: Run, small_build: Path, model_of: Callable[..., Path], tmp_path: Path) -> None:
    words = ("quantize", small_build, "--model", model_of("minimax_m2"), "--ledger-only", "--allow-uncovered")
    (code, _, said), (other_code, *_) = started_together(*words, "--out", tmp_path / "two")
    assert (code, other_code) == (0, 0), said
    assert run(*words, "--out", tmp_path / "one")[0] == 0
    two, one = (pl.read_parquet(tmp_path / name / "expert_tokens.parquet") for name in ("two", "one"))
    assert two.equals(one)
    assert json.loads((tmp_path / "two" / "expert_tokens.json").read_text()) == json.loads((tmp_path / "one" / "expert_tokens.json").read_text())


def test_parts_of_a_ledger_make_the_whole(tmp_path: Path) -> None:
    model = tiny_moe.load_model(tiny_moe.save_model(tmp_path / "m", "minimax_m2"), apart=True)
    batches, documents = tiny_moe.samples()
    whole = ledger.count(model, batches, documents)
    parts = [ledger.count(model, batches[n::2], documents) for n in range(2)]
    assert ledger.table(ledger.merged(parts)).equals(ledger.table(whole))
    assert ledger.merged(parts).samples == whole.samples
    assert ledger.merged(parts).segments.equals(whole.segments)
    assert all((a.tokens == b.tokens).all() for a, b in zip(ledger.merged(parts).layers, whole.layers, strict=True))


def test_more_processes_than_gpus_are_refused(run: Run, small_build: Path, model_of: Callable[..., Path], tmp_path: Path) -> None:
    there = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    code, _, said = run("quantize", small_build, "--model", model_of("minimax_m2"), "--out", tmp_path / "Q", "--gpus", there + 2)
    assert code == 2
    assert f"--gpus {there + 2}" in said
    assert not (tmp_path / "Q").exists()


def test_fewer_samples_than_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 3)
    with pytest.raises(UsageError, match="2 samples"):
        distributed.share([1, 2])
    assert distributed.share([1, 2, 3, 4]) == [1, 4]


@pytest.mark.usefixtures("gpus")
def test_the_code_of_the_first_process_is_that_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_start", python("import os; raise SystemExit(4 if os.environ['RANK'] == '0' else 0)"))
    assert distributed.launch(2, []) == 4


@pytest.mark.usefixtures("gpus")
def test_when_one_fails_the_others_are_ended_and_its_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = "import os, sys, time\nif os.environ['RANK'] == '1': sys.stderr.write('note: x\\nerror: out of memory\\n'); sys.exit(5)\ntime.sleep(600)"
    monkeypatch.setattr(distributed, "_start", python(failing))
    begun = time.monotonic()
    with pytest.raises(QuantizeError, match=r"GPU 1 failed \(code 5\): out of memory"):
        distributed.launch(3, [])
    assert time.monotonic() - begun < 300


@pytest.mark.usefixtures("gpus")
def test_one_that_does_not_end_when_asked_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    stubborn = "import os, signal, sys, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nif os.environ['RANK'] == '1': sys.exit(5)\ntime.sleep(600)"
    monkeypatch.setattr(distributed, "_start", python(stubborn))
    monkeypatch.setattr(distributed, "GRACE", 0.5)
    with pytest.raises(QuantizeError, match="it said nothing"):
        distributed.launch(2, [])


@pytest.mark.usefixtures("gpus")
def test_when_the_command_is_terminated_the_others_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[distributed._Started] = []
    wait = distributed._wait

    def terminated(started: list[distributed._Started]) -> Any:
        begun.extend(started)
        os.kill(os.getpid(), signal.SIGTERM)
        return wait(started)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(distributed, "_start", python("import time; time.sleep(600)"))
    monkeypatch.setattr(distributed, "_wait", terminated)
    assert distributed.launch(2, []) == 130
    assert signal.getsignal(signal.SIGTERM) == before
    assert [one.process.poll() is None for one in begun] == [False, False]


@pytest.mark.usefixtures("gpus")
def test_while_the_others_are_asked_to_end_their_launcher_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    start, end = python("import os, time; os.environ['RANK'] == '1' or time.sleep(600); raise SystemExit(5)"), distributed._end
    lines: list[int] = []
    gone: list[bool] = []

    def begun(rank: int, words: Any, address: dict[str, str]) -> distributed._Started:
        lines.append(os.dup(int(address[distributed.LIFELINE])))
        return start(rank, words, address)

    def ended(started: list[distributed._Started]) -> None:
        gone.extend(bool(select.select([line], [], [], 0)[0]) for line in lines)
        end(started)

    monkeypatch.setattr(distributed, "_start", begun)
    monkeypatch.setattr(distributed, "_end", ended)
    with pytest.raises(QuantizeError, match="GPU 1 failed"):
        distributed.launch(2, [])
    assert gone == [False, False], "a second interrupt would come in the midst of clearing up"
    assert all(select.select([line], [], [], 0)[0] for line in lines)
    for line in lines:
        os.close(line)


def test_when_the_launcher_is_killed_the_others_end(small_build: Path, model_of: Callable[..., Path], tmp_path: Path) -> None:
    words = ["quantize", str(small_build), "--model", str(model_of("minimax_m2")), "--recipe", "w4a16-gptq", "--out", str(tmp_path / "Q"), "--allow-uncovered"]
    launcher = "import sys; from curator.quantize import distributed as d; d._refuse_more_than_there_are = int; sys.exit(d.launch(2, sys.argv[1:]))"
    launched = subprocess.Popen([sys.executable, "-c", launcher, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        children = until(lambda: found if len(found := children_of(launched.pid)) == 2 else None)
    finally:
        launched.kill()
        launched.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    assert not (tmp_path / "Q").exists()


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


def until(seen: Callable[[], Any], *, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := seen()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value
