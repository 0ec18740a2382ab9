"""What the cache takes for the same stream, and what it makes of files that are not as it wrote them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curator import cache
from tests.conftest import prose

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mix(write_mix: Callable[..., Path], tmp_path: Path) -> Path:
    """One small source of local text."""
    rows = [{"t": prose(200, seed=n)} for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return write_mix([{"path": "rows.jsonl", "columns": ["t"], "formatter": "raw_text", "filters": ["secrets"], "num_samples": 2, "category": "Text"}])


@pytest.fixture
def installed_anew() -> Iterator[Callable[[], None]]:
    """Have the next look at what is installed be a first one, as in a new process."""
    yield cache.own_code.cache_clear
    cache.own_code.cache_clear()


@pytest.mark.parametrize("library", ["detect-secrets", "langdetect", "transformers"])
def test_what_another_version_of_a_library_made_is_not_taken(
    library: str, run: Run, mix: Path, own_cache: Path, tmp_path: Path, installed_anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("build", mix, "--out", tmp_path / "before")[0] == 0
    about = tmp_path / "site" / f"{library.replace('-', '_')}-999.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {library}\nVersion: 999.0\n")
    monkeypatch.syspath_prepend(about.parent)
    installed_anew()
    assert run("build", mix, "--out", tmp_path / "after")[0] == 0
    assert len(list(own_cache.glob("streams/*/*/000000.batch"))) == 2


def test_what_another_python_made_is_not_taken(installed_anew: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    installed_anew()
    here = cache.own_code()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
        installed_anew()
        assert cache.own_code() != here
    installed_anew()
    assert cache.own_code() == here
