"""Patterns over the names of modules, without a model."""

from __future__ import annotations

import re

import pytest

from curator.quantize.names import matches, patterns, shown

EXPERTS = [f"model.layers.{layer}.mlp.experts.{n}.up_proj" for layer in range(3) for n in range(4)]


@pytest.mark.parametrize(
    ("names", "others", "expected"),
    [
        (EXPERTS, [], [r"re:^model\.layers\.\d+\.mlp\.experts\.\d+\.up_proj$"]),
        (EXPERTS[:8], EXPERTS, [r"re:^model\.layers\.(0|1)\.mlp\.experts\.\d+\.up_proj$"]),
        (EXPERTS[:4], EXPERTS, [r"re:^model\.layers\.0\.mlp\.experts\.\d+\.up_proj$"]),
        (EXPERTS[:2], EXPERTS, EXPERTS[:2]),
        (["lm_head"], EXPERTS, ["re:^lm_head$"]),
        ([], EXPERTS, []),
    ],
)
def test_patterns_match_what_is_meant_and_nothing_else(names: list[str], others: list[str], expected: list[str]) -> None:
    found = patterns(names, others)
    assert found == expected
    everything = {*names, *others}
    assert {n for n in everything if any(matches(p, n) for p in found)} == set(names)


def test_a_name_that_is_not_a_pattern_is_a_class_or_itself() -> None:
    assert matches("Linear", "model.q_proj", "Linear")
    assert matches("lm_head", "lm_head", "Linear")
    assert not matches("head", "lm_head", "Linear")
    assert re.search(r"experts\.N\.up_proj \(12\)", shown(EXPERTS))
