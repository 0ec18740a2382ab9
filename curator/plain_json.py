"""JSON from outside, within bounds: a few bytes of it can be an object of a hundred."""

from __future__ import annotations

import json
from typing import Any

MOST = 4 << 20  # commas and opening brackets of a record; what stands between two of them takes up to 100 bytes as an object


class TooMany(ValueError):
    """JSON whose objects would take too much room."""


def loads(data: bytes | str, *, most: int = MOST) -> Any:
    """JSON as Python objects. Raises ValueError or RecursionError where it is none, and TooMany where it could be more than ``most``
    of them; what stands in a text is counted too."""
    refuse_many(data, most=most)
    return json.loads(data)


def refuse_many(data: bytes | str, *, most: int) -> None:
    """Raise TooMany where JSON could be more than ``most`` objects."""
    if len(data) > most and sum(map(data.count, (",", "[", "{") if isinstance(data, str) else (b",", b"[", b"{"))) > most:  # type: ignore[arg-type]
        raise TooMany(f"more than {most:,} commas and brackets")
