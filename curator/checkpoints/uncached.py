"""Reads and writes that leave nothing behind in the page cache, where the system has such.

A checkpoint is read once and may be larger than memory. Cached, it pushes out what other programs have there, and each of its
pages has to be found first: on a virtual machine, whose host may have to find it too, that took up to 2.4 s a GB of a core
where the same call without the cache took 0.2. What is in the cache already is used, and stays.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
from collections.abc import Callable

DONTCACHE = 0x80  # RWF_DONTCACHE of preadv2(2) and pwritev2(2); a file system without it refuses the call
SINCE = (6, 16)  # Linux has it since 6.14, and was still mending it in the releases that came next
WORTH = 1 << 20  # bytes; for less, the pages at both ends, which the neighbours need again, are too large a part
REFUSALS = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def _known() -> bool:
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    return sys.platform == "linux" and release is not None and (int(release[1]), int(release[2])) >= SINCE


KNOWN = _known()


def read(handle: int, buffer: memoryview, offset: int) -> int:
    """Read into ``buffer`` from the place ``offset`` of a file; gives how many bytes, as os.preadv does."""
    return _called(os.preadv, handle, buffer, offset)


def write(handle: int, buffer: memoryview, offset: int) -> int:
    """Write ``buffer`` to the place ``offset`` of a file; gives how many bytes, as os.pwritev does."""
    return _called(os.pwritev, handle, buffer, offset)


def _called(call: Callable[..., int], handle: int, buffer: memoryview, offset: int) -> int:
    if KNOWN and len(buffer) >= WORTH:
        try:
            return call(handle, [buffer], offset, DONTCACHE)
        except NotImplementedError:  # a C library without the call
            pass
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
    return call(handle, [buffer], offset)


class Output:
    """An open file, written from its start."""

    def __init__(self, handle: int) -> None:
        self._handle, self._end = handle, 0

    def write(self, part: memoryview) -> int:
        """Write all of ``part`` behind what is there."""
        done = 0
        while done < len(part):
            done += write(self._handle, part[done:], self._end + done)
        self._end += done
        return done
