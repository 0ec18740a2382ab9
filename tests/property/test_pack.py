"""Packing, for any documents: exact samples, nothing twice, cuts only at the end."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from curator import pack
from curator.data import Conversation, Document, Origin, Sample, Tokens

lengths = st.lists(st.integers(1, 300), max_size=80)


def documents(sizes: list[int], *, name: str = "") -> list[Tokens]:
    return [
        Tokens(Document(Conversation(text="x"), Origin("d", None, None, f"{name}{n}"), "s", "c"), np.full(size, n, np.int32), "x")
        for n, size in enumerate(sizes)
    ]


def filled(pools: list[pack.Pool], size: int) -> list[Sample]:
    samples = []
    while (sample := pack.fill(pools, size=size, source="s", category="c")) is not None:
        samples.append(sample)
    return samples


@given(lengths, st.integers(1, 400))
def test_samples_are_exact_and_cut_at_most_once_at_the_end(sizes: list[int], size: int) -> None:
    pool = pack.Pool(iter(documents(sizes)))
    samples = filled([pool], size)
    seen: set[str] = set()
    for sample in samples:
        assert len(sample) == size
        assert all(p.cut == 0 for p in sample.pieces[:-1])
        for piece in sample.pieces:
            assert 0 < piece.length <= len(piece.tokens)
            key = piece.tokens.document.origin.row
            assert key not in seen
            seen.add(key)
    assert sum(sizes) - sum(p.cut for s in samples for p in s.pieces) - len(samples) * size < max(size, 1)
    assert pool.placed == len(samples) * size


@given(lengths, st.integers(1, 400))
def test_packing_is_a_function_of_its_input(sizes: list[int], size: int) -> None:
    def run() -> list[list[tuple[str, int]]]:
        return [[(p.tokens.document.origin.row, p.length) for p in s.pieces] for s in filled([pack.Pool(iter(documents(sizes)))], size)]

    assert run() == run()


@given(st.lists(st.integers(20, 60), min_size=40, max_size=80), st.lists(st.integers(20, 60), min_size=40, max_size=80))
def test_a_sample_over_several_languages_feeds_the_neediest(first: list[int], second: list[int]) -> None:
    pools = [pack.Pool(iter(documents(first, name="a"))), pack.Pool(iter(documents(second, name="b")))]
    for _ in range(4):
        assert pack.fill(pools, size=100, source="s", category="c") is not None
    assert abs(pools[0].placed - pools[1].placed) <= 120


@given(lengths, st.integers(1, 400))
def test_truncate_gives_one_document_a_sample(sizes: list[int], size: int) -> None:
    pool = pack.Pool(iter(documents(sizes)))
    samples = []
    while (sample := pack.truncate([pool], size=size, source="s", category="c")) is not None:
        samples.append(sample)
    assert [len(s) for s in samples] == [min(n, size) for n in sizes]


def test_best_fit_prefers_whole_documents() -> None:
    pool = pack.Pool(iter(documents([60, 70, 40, 30, 5])))
    sample = pack.fill([pool], size=100, source="s", category="c")
    assert sample is not None
    assert [p.length for p in sample.pieces] == [60, 40]


def test_an_unfinished_sample_gives_its_documents_back() -> None:
    pool = pack.Pool(iter(documents([30, 30])))
    assert pack.fill([pool], size=100, source="s", category="c") is None
    assert (len(pool), pool.placed, pool.waiting) == (2, 0, 60)


@given(st.integers(0, 500), st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_shares_add_up_and_stay_within_one(missing: int, weights: list[int]) -> None:
    given_out = pack.shares(missing, weights)
    total = sum(weights)
    if total:
        assert sum(given_out) == missing
        assert all(abs(g - missing * w / total) < 1 for g, w in zip(given_out, weights, strict=True))
    else:
        assert not any(given_out)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(1, 3))
def test_documents_of_a_sample_that_fails_wait_as_they_did(sizes: list[int], times: int) -> None:
    pool = pack.Pool(iter(documents(sizes)))
    for _ in range(times):
        assert pack.fill([pool], size=sum(sizes) + 1, source="s", category="c") is None
    assert (len(pool), pool.placed, pool.waiting) == (len(sizes), 0, sum(sizes))
    assert pool.oldest().document.origin.row == "0"
