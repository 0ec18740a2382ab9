"""The command line at a real terminal, a closed pipe, a full device, and interrupted: in processes of their own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from curator import cli
from tests.conftest import REPOSITORY

Run = Callable[..., tuple[int, str, str]]
SURROUNDINGS = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "PYTHONUNBUFFERED")} | {"PYTHONPATH": str(REPOSITORY)}
FULL = Path("/dev/full")


def started(*arguments: object, out: int, err: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curator", *map(str, arguments)]
    return subprocess.Popen(command, stdout=out, stderr=err, env=SURROUNDINGS | environment)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, err = process.communicate(timeout=60)
    return process.returncode, (err or b"").decode()


def closed_pipe() -> int:
    """Where a writer finds that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("arguments", [["sources"], ["schema"], ["cache", "list"], ["--help"]])
def test_a_reader_that_has_gone_is_no_answer(arguments: list[str], tmp_path: Path) -> None:
    pipe = closed_pipe()
    code, err = ended(started(*arguments, out=pipe, CURATE_CACHE=str(tmp_path / "cache")))
    os.close(pipe)
    assert (code, err) == (0, "")


def test_an_error_that_nobody_reads_keeps_its_code(tmp_path: Path) -> None:
    pipe = closed_pipe()
    code, _ = ended(started("check", tmp_path, out=pipe, err=pipe))
    os.close(pipe)
    assert code == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["sources"], ["schema"], ["cache", "list"]])
def test_a_full_device_is_told_in_one_line(arguments: list[str], unbuffered: str, tmp_path: Path) -> None:
    with FULL.open("wb") as full:
        code, err = ended(started(*arguments, out=full.fileno(), PYTHONUNBUFFERED=unbuffered, CURATE_CACHE=str(tmp_path / "cache")))
    assert (code, err) == (2, "error: cannot write to standard output: No space left on device\n")


def test_closed_streams_change_nothing() -> None:
    done = subprocess.run([f"{sys.executable} -m curator sources >&- 2>&-"], shell=True, env=SURROUNDINGS, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(("environment", "red"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_no_color(environment: dict[str, str], red: bool, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = started("check", tmp_path, out=theirs, err=theirs, TERM="xterm", **environment)
    assert ended(process)[0] == 2
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "no manifest.json there" in said
    assert ("\x1b[31m" in said) is red


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("build", "interrupted; no build was written: the next run goes on from what is in the cache"),
        ("build --no-cache", "interrupted; no build was written: the next run starts anew"),
        ("build --offline", "interrupted; no build was written: the next run starts anew"),
        ("quantize", "interrupted; nothing was written: the next run starts anew"),
        ("dequantize", "interrupted; finished files are kept in the folder .NAME.unfinished beside --out: the next run goes on from there"),
        ("stitch", "interrupted; finished files are kept in the folder .NAME.unfinished beside --out: the next run goes on from there"),
        ("check", "interrupted"),
    ],
)
def test_interrupted_each_command_says_what_it_leaves(command: str, said: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    name, *options = command.split()
    known = [click.Option([o], is_flag=True, expose_value=False) for o in options]
    monkeypatch.setitem(cli.cli.commands, name, click.Command(name, params=known, callback=stopped))
    code, _, err = run(name, *options)
    assert code == 130
    assert err.strip() == f"error: {said}"


@pytest.mark.parametrize("group", [[], ["cache"]])
def test_a_list_of_commands_has_each_on_a_line_of_its_own(group: list[str], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run(*group, "--help")
    listed = out.partition("Commands:\n")[2].splitlines()
    commands = cli.cli.commands if not group else vars(cli.cli.commands["cache"])["commands"]
    assert (code, [line.split()[0] for line in listed]) == (0, sorted(commands))
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)


def test_the_time_left_is_of_the_work_at_hand() -> None:
    """Two kinds of work with as many steps: the second is not done because the first was; and its steps take minutes."""
    from curator.cli.quantizing import on_bar, step_bar

    now = 0.0
    bar = step_bar(get_time=lambda: now, disable=True)
    show = on_bar(bar)
    for done in range(5):
        now += 1
        show("evaluating", done, 4)
    for done in range(3):
        now += 200
        show("model.layers.0", done, 4)
    (task,) = bar.tasks
    assert task.time_remaining == 400
