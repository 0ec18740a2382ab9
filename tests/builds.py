"""Builds made by the real pipeline, without the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def built(mix: Path, folder: Path, *, settings: dict[str, Any] | None = None, **options: Any) -> Path:
    """The build of a mix in ``folder``; with ``settings`` the mix is written first, as what `calibration_set` says."""
    from curator import build as building
    from curator.catalog import Catalog

    if settings is not None:
        mix.write_text(json.dumps({"calibration_set": settings}), encoding="utf-8")
    plan, encoder = building.prepare(mix, Catalog.find(None))
    building.build(plan, encoder, folder, **{"jobs": 1} | options)
    return folder
