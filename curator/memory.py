"""Memory that glibc would keep: what threads freed. Elsewhere there is nothing to do."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

M_ARENA_MAX = -8  # of mallopt(3)


def share_arenas() -> None:
    """Have all threads allocate from two arenas: one for each thread costs a build 150 MB, since each keeps what it freed. For a program
    that only builds, before it starts a thread."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def give_back() -> None:
    """Hand freed memory to the system: worker threads leave 200 MB after a large draw."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
