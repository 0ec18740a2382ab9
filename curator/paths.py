"""Which paths are whose: what a mix may read, and what a run that was killed left beside its target."""

from __future__ import annotations

import os
import re
from pathlib import Path


def allowed(path: Path, base: str) -> bool:
    """Whether a mix may read there: in its own folder, or where its user said (--allow-path, CURATE_ALLOW_PATHS)."""
    named = [p for p in os.environ.get("CURATE_ALLOW_PATHS", "").split(os.pathsep) if p]
    return any(path.is_relative_to(Path(folder).expanduser().resolve()) for folder in [base, *named])


def left_beside(target: Path, suffix: str) -> list[Path]:
    """The folders that ``tempfile.mkdtemp`` made beside a target, and nothing of a neighbour whose name only begins alike: beside
    ``B``, ``.B.v2.k3x_90qa.old`` is of ``B.v2``."""
    own = re.compile(rf"\.{re.escape(target.name)}\.[a-z0-9_]{{8}}{re.escape(suffix)}")
    return [p for p in target.parent.glob(f".*{suffix}") if own.fullmatch(p.name)]
