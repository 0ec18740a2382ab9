"""A build checked against itself: what its tables hold against what its manifest says, and against a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator import artifact

if TYPE_CHECKING:
    import polars as pl

    from curator.lock import Lock

Manifest = Mapping[str, Any]
CHECKS = ["files", "mix", "samples", "positions", "texts", "sources", "lock"]


def faults(folder: Path, manifest: Manifest, *, lock: Lock | None = None) -> list[str]:
    """All that is wrong with a build, a line each; nothing where it holds."""
    try:
        artifact.verify(folder, manifest)
        data, documents, samples = artifact.read_data(folder), artifact.read_frame(folder, "documents"), artifact.read_frame(folder, "samples")
    except artifact.Damaged as error:
        return error.faults
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _mix(manifest),
        lambda: _samples(manifest, data, samples),
        lambda: _positions(data, documents),
        lambda: _texts(documents),
        lambda: _sources(manifest, samples, documents),
        lambda: _lock(manifest, lock),
    )
    return [fault for check in checks for fault in check()]


def _mix(manifest: Manifest) -> Iterator[str]:
    if hashlib.sha256(manifest["mix"]["text"].encode()).hexdigest() != manifest["mix"]["sha256"]:
        yield "the text of the mix is not the one that its digest is of"


def _samples(manifest: Manifest, data: pl.DataFrame, samples: pl.DataFrame) -> Iterator[str]:
    lengths = data["input_ids"].list.len()
    yield from _count("samples", manifest["samples"], data.height)
    yield from _count("tokens", manifest["tokens"], int(lengths.sum()))
    longest = max(lengths.to_list(), default=0)
    if longest > manifest["max_seq_length"]:
        yield f"a sample has {longest} tokens, more than max_seq_length {manifest['max_seq_length']}"
    if samples["tokens"].to_list() != lengths.to_list():
        yield "samples.parquet tells other lengths than data/ has"
    if (data["input_ids"].explode().cast(int) >= manifest["tokenizer"]["vocab_size"]).any():
        yield "a token id is outside the vocabulary"


def _positions(data: pl.DataFrame, documents: pl.DataFrame) -> Iterator[str]:
    """Positions count up from 0 within each document, and documents fill the samples without a gap."""
    import numpy as np

    expected = np.concatenate([np.arange(n) for n in documents["tokens"]]) if documents.height else np.empty(0)
    found = data["position_ids"].explode().to_numpy()
    if not np.array_equal(found, expected):
        yield "position_ids do not restart where documents.parquet says that documents start"
    order = documents["sample"].to_list()
    if order != sorted(order):
        yield "documents.parquet is not in the order of the samples"


def _texts(documents: pl.DataFrame) -> Iterator[str]:
    wrong = sum(hashlib.sha256(t.encode()).hexdigest() != digest for t, digest in documents.select("text", "text_sha256").iter_rows())
    if wrong:
        yield f"{wrong} documents have another text than text_sha256 is of"


def _sources(manifest: Manifest, samples: pl.DataFrame, documents: pl.DataFrame) -> Iterator[str]:
    yield from _count("documents", manifest["documents"], documents.height)
    yield from _count("documents_cut", manifest["documents_cut"], int((documents["cut"] > 0).sum()))
    yield from _count("tokens_cut", manifest["tokens_cut"], int(documents["cut"].sum()))
    for source in manifest["sources"]:
        own = samples.filter(samples["source"] == source["source"])
        for key, got in (("samples", own.height), ("documents", own["documents"].sum()), ("tokens", own["tokens"].sum())):
            yield from _count(f"{source['source']}: {key}", source[key], int(got))
    strangers = set(samples["source"]) - {s["source"] for s in manifest["sources"]}
    if strangers:
        yield f"samples of sources that the manifest does not name: {', '.join(sorted(strangers))}"


def _lock(manifest: Manifest, lock: Lock | None) -> Iterator[str]:
    if lock is None:
        return
    if manifest["mix"]["sha256"] != lock.mix["sha256"]:
        yield "the lock is of another mix"
    if manifest["fingerprint"] != lock.fingerprint:
        yield f"the plan was {manifest['fingerprint'][:12]}, the lock is of {lock.fingerprint[:12]}"
    known = {(s.dataset, s.revision) for s in lock.sources.values()}
    for source in manifest["sources"]:
        if (source["dataset"], source["revision"]) not in known:
            yield f"{source['source']}: {source['dataset']} at {str(source['revision'])[:12]} is not what the lock says"


def _count(what: str, said: int, got: int) -> Iterator[str]:
    if said != got:
        yield f"{what}: the manifest says {said}, there are {got}"
