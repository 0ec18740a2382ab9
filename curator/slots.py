"""Slots to work in: of many workers a few work at a time, and none keeps a slot while it is kept waiting."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Slot:
    """The slot that one worker has, out of as many as the semaphore has. Several threads may wait in its name: it is left with the first
    of them, and is back when the last one has come back."""

    def __init__(self, slots: threading.Semaphore) -> None:
        self._slots = slots
        self._away = 0
        self._lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a slot, and have it during the block."""
        with self._slots, named(self):
            yield

    def leave(self) -> None:
        """Let another worker have it."""
        with self._lock:
            self._away += 1
            if self._away == 1:
                self._slots.release()

    def come_back(self) -> None:
        """Have it again, when there is one."""
        with self._lock:
            self._away -= 1
            if self._away == 0:
                self._slots.acquire()


_present: ContextVar[Slot | None] = ContextVar("slot", default=None)


def present() -> Slot | None:
    """The slot in whose name this thread works."""
    return _present.get()


@contextmanager
def named(slot: Slot | None) -> Iterator[None]:
    """Work in the name of a slot that is had already, on whichever thread."""
    before = _present.set(slot)
    try:
        yield
    finally:
        _present.reset(before)


@contextmanager
def aside() -> Iterator[Callable[[], None]]:
    """What to call once it is seen that the block will wait: the present slot is another's from then to the end of the block."""
    slot, left = _present.get(), False

    def step_aside() -> None:
        nonlocal left
        if slot is not None and not left:
            left = True
            slot.leave()

    try:
        yield step_aside
    finally:
        if slot is not None and left:
            slot.come_back()
