"""What is in a set, counted on what was placed: tables by category, source and language, and the gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from curator import languages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

Table = list[dict[str, Any]]


def measure(documents: pl.DataFrame, samples: pl.DataFrame) -> dict[str, Table]:
    """The tables of ``coverage.json``: lists of {name, samples, documents, tokens, share}; ``share`` is of all tokens.

    ``documents`` and ``samples`` are those of the build folder (docs/reference/build-folder.md).
    """
    return {
        "by_category": _table(documents, "category"),
        "by_source": _table(documents, "source"),
        "programming_languages": _spoken(documents, "programming"),
        "natural_languages": _spoken(documents, "natural"),
        "lengths": _lengths(documents),
        "totals": [{"samples": samples.height, "documents": documents.height, "tokens": int(documents["tokens"].sum())}],
    }


def gates(tables: Mapping[str, Table], *, required: Mapping[str, Mapping[str, int]]) -> Table:
    """[{name, required, got, ok}]: ``required`` is {table: {name: least}}; samples for categories, tokens for languages."""
    checked: Table = []
    for table, wanted in required.items():
        unit: Literal["samples", "tokens"] = "samples" if table == "by_category" else "tokens"
        got = {row["name"]: row[unit] for row in tables[table]}
        for name, least in wanted.items():
            has = int(got.get(name, 0))
            label = f"{'category' if table == 'by_category' else table}: {name} ({unit})"
            checked.append({"name": label, "required": least, "got": has, "ok": has >= least})
    return checked


def failing(checked: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each gate that is not met."""
    return [f"{g['name']}: {g['got']:,} of {g['required']:,}" for g in checked if not g["ok"]]


def _table(documents: pl.DataFrame, column: str) -> Table:
    import polars as pl

    total = max(1, int(documents["tokens"].sum()))
    grouped = documents.group_by(pl.col(column).alias("name"), maintain_order=True).agg(
        pl.col("sample").n_unique().alias("samples"),
        pl.len().alias("documents"),
        pl.col("tokens").sum(),
    )
    return grouped.with_columns((pl.col("tokens") / total).alias("share")).sort(["tokens", "name"], descending=[True, False]).to_dicts()


def _spoken(documents: pl.DataFrame, kind: languages.Kind) -> Table:
    import polars as pl

    known = languages.ids(languages.of_kind(kind))
    return _with_total(_table(documents.filter(pl.col("language").is_in(known)), "language"), documents)


def _with_total(table: Table, documents: pl.DataFrame) -> Table:
    total = max(1, int(documents["tokens"].sum()))
    return [{**row, "share": row["tokens"] / total} for row in table]


def _lengths(documents: pl.DataFrame) -> Table:
    """Documents by length in tokens, in bins that double."""
    import polars as pl

    whole = documents.select((pl.col("tokens") + pl.col("cut")).alias("length"))
    edges = [0, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]
    bins = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        inside = (pl.col("length") >= low) & (pl.col("length") < high if high else True)
        bins.append({"name": f"{low:,}–{high - 1:,}" if high else f"{low:,} and more", "documents": whole.filter(inside).height})
    return bins
