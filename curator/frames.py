"""What the tables of a build must be: their columns and types, what may be null, and how each fits the others."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import polars as pl

NULLABLE = frozenset({"language", "language_detected", "origin.revision", "origin.split", "turns.language"})


class Tables(NamedTuple):
    """The tables of a build; ``vocabulary`` is coverage/tokens.parquet."""

    data: pl.DataFrame
    samples: pl.DataFrame
    documents: pl.DataFrame
    vocabulary: pl.DataFrame


@cache
def schema(name: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    """The columns of a table: ``data``, ``samples``, ``documents`` or ``coverage/tokens``."""
    import polars as pl

    origin = pl.Struct({"dataset": pl.String, "revision": pl.String, "split": pl.String, "row": pl.String})
    turn = pl.Struct({"role": pl.String, "kind": pl.String, "language": pl.String, "chars": pl.Int32, "tokens": pl.Int32})
    place = {"source": pl.String, "category": pl.String}
    known: dict[str, dict[str, Any]] = {
        "data": {"input_ids": pl.List(pl.Int32), "position_ids": pl.List(pl.Int32)},
        "samples": {"sample": pl.Int32, **place, "documents": pl.Int32, "tokens": pl.Int32},
        "documents": {
            **dict.fromkeys(("sample", "start", "tokens", "cut"), pl.Int32),
            **place,
            "language": pl.String,
            "language_detected": pl.String,
            "origin": origin,
            "text_sha256": pl.String,
            "text": pl.String,
            "turns": pl.List(turn),
        },
        "coverage/tokens": {"id": pl.Int32, "token": pl.String, "occurrences": pl.Int64},
    }
    return known[name]


def misshapen(frame: pl.DataFrame, name: str) -> Iterator[str]:
    """What is wrong with the columns of a table, a line each: one that is missing, of another type, or null where none may be."""
    for column, kind in schema(name).items():
        if column not in frame.columns:
            yield f"no column {column}"
        elif frame.schema[column] != kind:
            yield f"{column} is {frame.schema[column]}, not {kind}"
        else:
            yield from _nulls(frame[column], column)
    if name == "data":
        yield from (f"a column {column}, which no data has" for column in frame.columns if column not in schema(name))


def _nulls(column: pl.Series, name: str) -> Iterator[str]:
    import polars as pl

    if column.null_count() and name not in NULLABLE:
        yield f"{name} is null {column.null_count()} times"
    there = column.drop_nulls()
    if isinstance(there.dtype, pl.Struct):
        for field in there.dtype.fields:
            yield from _nulls(there.struct.field(field.name), f"{name}.{field.name}")
    elif isinstance(there.dtype, pl.List):
        yield from _nulls(there.filter(there.list.len() > 0).explode(), name)


def misfits(tables: Tables, *, sources: Collection[str]) -> list[str]:
    """Where tables that are well shaped do not fit each other or the ``sources`` of the manifest, a line each. Without such a line
    everything can be counted: documents fill the samples one after the other, and samples are those of ``data/``."""
    found = list(_samples(tables, sources))
    return found or [*_documents(tables), *_turns(tables.documents), *_vocabulary(tables)]


def _samples(tables: Tables, sources: Collection[str]) -> Iterator[str]:
    data, samples = tables.data, tables.samples
    lengths = data["input_ids"].list.len()
    if not data.height:
        yield "data/ has no sample"
    if count := int((lengths != data["position_ids"].list.len()).sum()):
        yield f"{count} samples have another number of position_ids than of input_ids"
    if samples["sample"].to_list() != list(range(data.height)):
        yield f"samples.parquet does not number the {data.height} samples of data/ from 0"
    elif samples["tokens"].to_list() != lengths.to_list():
        yield "samples.parquet tells other lengths than data/ has"
    if strangers := set(samples["source"]) - set(sources):
        yield f"samples of sources that the manifest does not name: {', '.join(sorted(strangers)[:5])}"


def _documents(tables: Tables) -> Iterator[str]:
    import polars as pl

    documents, samples = tables.documents, tables.samples
    if (documents["tokens"] < 1).any() or (documents["cut"] < 0).any():
        yield "documents.parquet has documents of no tokens, or with a negative cut"
    if not documents["sample"].is_sorted():
        yield "documents.parquet is not in the order of the samples"
    tokens = pl.col("tokens").cast(pl.Int64)
    before = (tokens.cum_sum() - tokens).over("sample")
    astray = documents.filter(pl.col("start") != before).height
    summed = documents.group_by("sample").agg(tokens.sum().alias("filled"), pl.len().alias("held"))
    joined = samples.join(summed, on="sample", how="full")
    unequal = joined.filter(~(pl.col("filled").eq_missing(pl.col("tokens")) & pl.col("held").eq_missing(pl.col("documents")))).height
    if astray or unequal:
        yield f"documents.parquet: {astray} documents do not begin where the one before ends, and {unequal} samples are not filled by theirs"
    both = documents.join(samples, on="sample", suffix="_of_sample")
    if count := both.filter((pl.col("source") != pl.col("source_of_sample")) | (pl.col("category") != pl.col("category_of_sample"))).height:
        yield f"{count} documents have another source or category than their sample"


def _turns(documents: pl.DataFrame) -> Iterator[str]:
    import polars as pl

    each = pl.element().struct
    fewest = pl.col("turns").list.eval(pl.min_horizontal(each.field("tokens"), each.field("chars"))).list.min()
    if count := documents.filter(fewest < 0).height:
        yield f"{count} documents have turns with negative tokens or characters"


def _vocabulary(tables: Tables) -> Iterator[str]:
    import polars as pl

    counted = tables.data["input_ids"].explode().value_counts().sort("input_ids")
    told = tables.vocabulary.sort("id")
    if counted["input_ids"].to_list() != told["id"].to_list() or counted["count"].cast(pl.Int64).to_list() != told["occurrences"].to_list():
        yield "coverage/tokens.parquet counts other token ids than data/ has"
