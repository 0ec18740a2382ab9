"""What the hub's clients raise when nobody answers, whichever HTTP library they are built on."""

from __future__ import annotations

import importlib
from contextlib import suppress
from functools import cache


@cache
def errors() -> tuple[type[Exception], ...]:
    """The classes to catch: huggingface_hub is built on httpx before 2.0, and on httpx2 since."""
    found: list[type[Exception]] = [ConnectionError, TimeoutError]
    for library in ("httpx", "httpx2"):
        with suppress(ImportError):
            found.append(importlib.import_module(library).HTTPError)
    return tuple(found)
