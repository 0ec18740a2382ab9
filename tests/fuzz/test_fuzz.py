"""A few mutations of each kind with every run of the tests; `python scripts/fuzz.py` does many."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import mutations

quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def test_good_input_is_read() -> None:
    for kind, target, good in mutations.corpus():
        assert target(good) in ("read", "kept", "dropped"), kind


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_mutations_come_to_a_message_or_a_value(start: int) -> None:
    for number in range(start, start + 100):
        kind, data, target = mutations.one(number, seed=6)
        assert target(data) in ("read", "refused", "kept", "dropped"), (kind, data)


def test_a_mutation_is_the_same_every_time() -> None:
    assert mutations.one(7)[1] == mutations.one(7)[1]
    assert mutations.mutated(b"", random.Random(1)) is not None


@quick
@given(st.binary(max_size=400))
def test_any_bytes_as_a_mix(data: bytes) -> None:
    assert mutations.try_mix(data) == "refused"


@quick
@given(st.text(max_size=200))
def test_any_text_as_a_template(text: str) -> None:
    assert mutations.try_template(text.encode("utf-8", "replace")) in ("read", "refused")


JSON = st.recursive(st.datetimes() | st.binary(max_size=3) | st.decimals() | st.timedeltas() | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "tool_calls", "function", "name", "arguments", "x"]), inner, max_size=4), max_leaves=12)  # fmt: skip


@quick
@given(st.fixed_dictionaries({"messages": JSON, "a": JSON, "b": JSON, "c": JSON, "solutions": JSON, "description": JSON}))
def test_any_row_is_a_document_or_a_drop(row: dict[str, object]) -> None:
    list(mutations._documents(row))
