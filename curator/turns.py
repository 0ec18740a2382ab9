"""Whose turn it is to work: of many workers a few at a time, and none while it is kept waiting."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Turn:
    """The turn of one worker, out of as many as the semaphore has. Several threads may wait in its name: it is left with the first
    of them, and is back when the last one has come back."""

    def __init__(self, turns: threading.Semaphore) -> None:
        self._turns = turns
        self._away = 0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, and have it during the block."""
        with self._turns, named(self):
            yield

    def leave(self) -> None:
        """Let another worker have it."""
        with self._lock:
            self._away += 1
            if self._away == 1:
                self._turns.release()

    def come_back(self) -> None:
        """Have it again, when there is one."""
        with self._lock:
            self._away -= 1
            if self._away == 0:
                self._turns.acquire()


_present: ContextVar[Turn | None] = ContextVar("turn", default=None)


def present() -> Turn | None:
    """The turn in whose name this thread works."""
    return _present.get()


@contextmanager
def named(turn: Turn | None) -> Iterator[None]:
    """Work in the name of a turn that is had already, on whichever thread."""
    before = _present.set(turn)
    try:
        yield
    finally:
        _present.reset(before)


@contextmanager
def aside() -> Iterator[Callable[[], None]]:
    """What to call once it turns out that the block will wait: the present turn is another's from then to the end of the block."""
    turn, left = _present.get(), False

    def step_aside() -> None:
        nonlocal left
        if turn is not None and not left:
            left = True
            turn.leave()

    try:
        yield step_aside
    finally:
        if turn is not None and left:
            turn.come_back()
