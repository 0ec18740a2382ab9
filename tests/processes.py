"""Builds in processes of their own that can be killed: forked from one that has everything imported, so that each starts at once."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
from functools import cache
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any


@cache
def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warm"])
    return context


def _main(arguments: list[str], said: str, environment: dict[str, str]) -> None:
    """The command line in this process, what it says in the file ``said``."""
    os.environ |= environment
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = (io.TextIOWrapper(os.fdopen(n, "wb", 0, closefd=False), write_through=True) for n in (1, 2))
    sys.argv = ["curate", *arguments]
    from curator import cli

    cli.main()


class Curate:
    """One run of the command line, begun at once. ``code`` is its exit code, negative for the signal that ended it."""

    def __init__(self, *arguments: object, said: Path, **environment: str) -> None:
        self._said = said
        self._process: BaseProcess = _context().Process(target=_main, args=([str(a) for a in arguments], str(said), environment))
        self._process.start()

    def kill(self) -> None:
        self._process.kill()

    def interrupt(self) -> None:
        import signal

        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGINT)

    def wait(self, timeout: float = 60) -> int | None:
        """The exit code; None where it is still at it."""
        self._process.join(timeout)
        return self._process.exitcode

    @property
    def said(self) -> str:
        return self._said.read_text(encoding="utf-8", errors="replace") if self._said.exists() else ""
