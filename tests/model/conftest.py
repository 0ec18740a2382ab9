"""What the tests of quantizing share: a build, and models that are made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import families


@pytest.fixture(scope="session")
def small_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.build(tmp_path_factory.mktemp("build") / "B")


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``model_of("qwen3_moe", dtype="bfloat16")``: its folder, which nobody may change."""
    made: dict[tuple[str, str, str], Path] = {}

    def make(family: str, *, dtype: str = "float32", shard: str = "5GB") -> Path:
        key = (family, dtype, shard)
        if key not in made:
            made[key] = families.save(family, tmp_path_factory.mktemp(family) / f"tiny-{family}", dtype=dtype, shard=shard)
        return made[key]

    return make
