"""What two sets share and do not: plan, revisions, shares, languages, gates, documents."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

SHOWN = 200  # documents gained and lost that are listed
HEAD = 200  # characters of each
PLAN = ("fingerprint", "samples", "max_seq_length", "tokens", "documents", "documents_cut", "tokens_cut", "offline")


@dataclass(frozen=True)
class Side:
    """One of the two: its name, manifest.json, coverage.json and documents.parquet."""

    name: str
    facts: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]
    documents: pl.DataFrame


def compare(a: Side, b: Side) -> dict[str, Any]:
    """All differences. ``same`` says that there is none: the same plan, and the same documents in the same places."""
    lost, gained = _only(a.documents, b.documents), _only(b.documents, a.documents)
    plan = _plan(a.facts, b.facts)
    placed = a.documents.select("sample", "start", "tokens", "text_sha256").equals(b.documents.select("sample", "start", "tokens", "text_sha256"))
    return {
        "a": a.name,
        "b": b.name,
        "same": placed and not plan,
        "plan": plan,
        "mix_diff": list(difflib.unified_diff(a.facts["mix"]["text"].splitlines(), b.facts["mix"]["text"].splitlines(), a.name, b.name, lineterm="")),
        "sources": _sources(a, b),
        "categories": _shares(a, b, "by_category"),
        "programming_languages": _shares(a, b, "programming_languages"),
        "natural_languages": _shares(a, b, "natural_languages"),
        "gates": _gates(a, b),
        "documents": {"shared": a.documents.height - lost.height, "only_a": lost.height, "only_b": gained.height},
        "gained": _listed(gained),
        "lost": _listed(lost),
    }


def _plan(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    pairs = [(f, a.get(f), b.get(f)) for f in PLAN]
    pairs += [(f"tokenizer {f}", a["tokenizer"][f], b["tokenizer"][f]) for f in a["tokenizer"] if f in b["tokenizer"]]
    pairs += [("mix", a["mix"]["sha256"], b["mix"]["sha256"])]
    return [{"field": field, "a": one, "b": other} for field, one, other in pairs if one != other]


def _sources(a: Side, b: Side) -> list[dict[str, Any]]:
    """The sources that differ in revision or in tokens."""
    one, other = ({s["source"]: s for s in side.facts["sources"]} for side in (a, b))
    rows = []
    for name in dict.fromkeys([*one, *other]):
        x, y = one.get(name, {}), other.get(name, {})
        rows.append(
            {
                "source": name,
                "a_revision": x.get("revision"),
                "b_revision": y.get("revision"),
                "a_tokens": x.get("tokens", 0),
                "b_tokens": y.get("tokens", 0),
                "a_share": x.get("tokens", 0) / max(1, a.facts["tokens"]),
                "b_share": y.get("tokens", 0) / max(1, b.facts["tokens"]),
            }
        )
    return [r for r in rows if r["a_revision"] != r["b_revision"] or r["a_tokens"] != r["b_tokens"]]


def _shares(a: Side, b: Side, table: str) -> list[dict[str, Any]]:
    one, other = ({r["name"]: r for r in side.tables.get(table, ())} for side in (a, b))
    rows = [
        {
            "name": name,
            "a_tokens": one.get(name, {}).get("tokens", 0),
            "b_tokens": other.get(name, {}).get("tokens", 0),
            "a_share": one.get(name, {}).get("share", 0.0),
            "b_share": other.get(name, {}).get("share", 0.0),
        }
        for name in dict.fromkeys([*one, *other])
    ]
    return [r for r in rows if r["a_tokens"] != r["b_tokens"]]


def _gates(a: Side, b: Side) -> list[dict[str, Any]]:
    """The gates that one side meets and the other does not, or does not have."""
    one, other = ({g["name"]: bool(g["ok"]) for g in side.tables.get("gates", ())} for side in (a, b))
    return [{"name": n, "a": one.get(n), "b": other.get(n)} for n in dict.fromkeys([*one, *other]) if one.get(n) != other.get(n)]


def _only(documents: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """The documents whose text the other side does not have, as often as it is missing there."""
    import polars as pl

    def numbered(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(pl.int_range(pl.len()).over("text_sha256").alias("time"))

    return numbered(documents).join(numbered(others), on=["text_sha256", "time"], how="anti", maintain_order="left")


def _listed(documents: pl.DataFrame) -> list[dict[str, Any]]:
    import polars as pl

    return documents.head(SHOWN).select("source", "language", "tokens", "text_sha256", pl.col("text").str.head(HEAD).alias("head")).to_dicts()
