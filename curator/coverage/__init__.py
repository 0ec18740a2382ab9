"""What is in a set, measured on what was placed: the tables of ``coverage.json``, and the gates.

Every table is computed from the build folder's own records (documents.parquet, samples.parquet, data/ and the facts of the
manifest), so that anyone can compute it again. docs/reference/coverage.md says what each column means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from curator import detect, languages
from curator.coverage import duplicates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from numpy.typing import NDArray

Table = list[dict[str, Any]]
Tables = dict[str, Table]
NOT_CLAIMED = "not claimed"
NOT_STATED = "not stated"
NOT_RECOGNISED = "not recognised"
THERE = 1024  # tokens from which a language counts as there: more than a stray document or two
EDGES = (0, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)  # of the bins of document lengths, in tokens


def measure(documents: pl.DataFrame, samples: pl.DataFrame, ids: NDArray[Any], facts: Mapping[str, Any]) -> Tables:
    """All tables. ``documents`` and ``samples`` are those of the build folder; ``ids`` is int32 of shape (all tokens,), sample
    after sample; ``facts`` is the manifest, of which ``sources``, ``tokenizer`` and ``special_tokens`` are read."""
    import polars as pl

    licenses = {s["source"]: s["license"] or NOT_STATED for s in facts["sources"]}
    documents = documents.with_columns(pl.col("source").replace_strict(licenses, default=NOT_STATED).alias("license"))
    turns = _turns(documents)
    return {
        "by_category": _planned(_table(documents, "category"), facts),
        "by_source": _table(documents, "source"),
        "by_language": _table(documents.with_columns(pl.col("language").fill_null(NOT_CLAIMED)), "language"),
        "programming_languages": _spoken(documents, "programming"),
        "natural_languages": _spoken(documents, "natural"),
        "by_license": _table(documents, "license"),
        "by_role": _table(turns, "role", total=documents),
        "by_kind": _table(turns, "kind", total=documents),
        "code_blocks": _code_blocks(documents, turns),
        "owed": [_pick(s, source="source", category="category", owed="planned_samples", samples="samples", tokens="tokens") for s in facts["sources"]],
        "lengths": _lengths(documents),
        "length_quantiles": _quantiles(documents),
        "cut": _cut(documents),
        "rows": _rows(facts),
        "dropped": [{"source": s["source"], "reason": r, "rows": n} for s in facts["sources"] for r, n in s["dropped"].items()],
        "repairs": [{"source": s["source"], "repair": r, "documents": n} for s in facts["sources"] for r, n in s["repairs"].items()],
        "languages_detected": _detected(documents),
        "disagreements": _disagreements(documents),
        "named_languages": _named(documents, turns),
        "duplicates": duplicates.find(documents, samples, ids),
        "vocabulary": _vocabulary(ids, facts),
        "special_tokens": _special_tokens(ids, facts),
        "evaluation": _evaluation(documents, facts),
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


def _pick(row: Mapping[str, Any], **columns: str) -> dict[str, Any]:
    return {name: row[column] for name, column in columns.items()}


def _turns(documents: pl.DataFrame) -> pl.DataFrame:
    """One line for each turn, with the document's ``sample`` and ``start``."""
    import polars as pl

    each = documents.select("sample", "start", "language", "text", "turns").explode("turns")
    columns = {"role": "role", "kind": "kind", "language": "code_language", "chars": "chars", "tokens": "tokens"}
    return each.with_columns(pl.col("turns").struct.field(name).alias(column) for name, column in columns.items()).drop("turns")


def _table(frame: pl.DataFrame, column: str, *, total: pl.DataFrame | None = None) -> Table:
    """{name, samples, documents, tokens, share} by the values of ``column``, the largest first; ``share`` is of all tokens."""
    import polars as pl

    whole = max(1, int((frame if total is None else total)["tokens"].sum()))
    grouped = frame.group_by(pl.col(column).alias("name"), maintain_order=True).agg(
        pl.col("sample").n_unique().alias("samples"),
        pl.struct("sample", "start").n_unique().alias("documents"),
        pl.col("tokens").sum().cast(pl.Int64),
    )
    rows = grouped.sort(["tokens", "name"], descending=[True, False]).to_dicts()
    return [{**row, "share": row["tokens"] / whole} for row in rows]


def _planned(table: Table, facts: Mapping[str, Any]) -> Table:
    """The categories with what the mix planned for them; those of which nothing came are there with 0."""
    planned: dict[str, int | None] = {}
    for source in facts["sources"]:
        before, owed = planned.get(source["category"], 0), source["planned_samples"]
        planned[source["category"]] = None if before is None or owed is None else before + owed
    known = [n for n in planned.values() if n is not None]
    whole = sum(known) if len(known) == len(planned) and known else None
    there = {row["name"] for row in table}
    absent = [{"name": name, "samples": 0, "documents": 0, "tokens": 0, "share": 0.0} for name in planned if name not in there]
    return [
        {**row, "planned_samples": owed, "planned_share": owed / whole if owed is not None and whole else None}
        for row in [*table, *absent]
        for owed in [planned.get(row["name"])]
    ]


def _spoken(documents: pl.DataFrame, kind: languages.Kind) -> Table:
    """The languages of a kind that documents claim and nothing contradicts: a document recognised as another language counts for
    neither. ``detected_tokens`` are those in which the language was also recognised, None where no detector knows it."""
    import polars as pl

    known = languages.ids(languages.of_kind(kind))
    claiming = documents.filter(pl.col("language").is_in(known))
    agreeing = pl.col("language_detected") == pl.col("language")
    supported = claiming.filter(pl.col("language_detected").is_null() | agreeing)
    recognised = dict(supported.filter(agreeing).group_by("language").agg(pl.col("tokens").sum()).iter_rows())
    blind = {name for name in known if kind == "programming" and name not in detect.LABELS}
    rows = _table(supported, "language", total=documents)
    return [{**row, "detected_tokens": None if row["name"] in blind else int(recognised.get(row["name"], 0))} for row in rows]


def _code_blocks(documents: pl.DataFrame, turns: pl.DataFrame) -> Table:
    """Code within fences in documents that claim no programming language, by the language that the fence names."""
    import polars as pl

    chat = turns.filter((pl.col("kind") == "code") & ~pl.col("language").is_in(languages.ids(languages.PROGRAMMING)).fill_null(False))
    return _table(chat.with_columns(pl.col("code_language").fill_null("not named").alias("fence")), "fence", total=documents)


def _lengths(documents: pl.DataFrame) -> Table:
    """Documents by their whole length in tokens, in bins that double."""
    import polars as pl

    whole = documents.select((pl.col("tokens") + pl.col("cut")).alias("length"))
    bins = []
    for low, high in zip(EDGES, [*EDGES[1:], None], strict=True):
        inside = (pl.col("length") >= low) & (pl.col("length") < high if high else True)
        bins.append({"name": f"{low:,}–{high - 1:,}" if high else f"{low:,} and more", "documents": whole.filter(inside).height})
    return bins


def _quantiles(documents: pl.DataFrame) -> Table:
    whole = (documents["tokens"] + documents["cut"]).sort()
    named = (("shortest", 0.0), ("10 %", 0.1), ("median", 0.5), ("90 %", 0.9), ("longest", 1.0))
    return [{"name": name, "tokens": int(whole.quantile(q, "nearest") or 0)} for name, q in named] if len(whole) else []


def _cut(documents: pl.DataFrame) -> Table:
    import polars as pl

    grouped = documents.group_by("source", maintain_order=True).agg(
        pl.len().alias("documents"),
        pl.col("tokens").sum().cast(pl.Int64),
        (pl.col("cut") > 0).sum().alias("documents_cut"),
        pl.col("cut").sum().cast(pl.Int64).alias("tokens_cut"),
    )
    return grouped.sort(["tokens_cut", "source"], descending=[True, False]).to_dicts()


def _rows(facts: Mapping[str, Any]) -> Table:
    columns = ("source", "dataset", "revision", "license", "evaluation", "rows_read", "documents_made", "documents")
    return [{**{c: s[c] for c in columns}, "dropped": sum(s["dropped"].values())} for s in facts["sources"]]


def _detected(documents: pl.DataFrame) -> Table:
    """Claimed against detected, over all documents."""
    import polars as pl

    programming = languages.ids(languages.PROGRAMMING)
    grouped = documents.group_by(
        pl.when(pl.col("language").is_in(programming)).then(pl.lit("programming")).otherwise(pl.lit("natural")).alias("kind"),
        pl.col("language").fill_null(NOT_CLAIMED).alias("claimed"),
        pl.col("language_detected").fill_null(NOT_RECOGNISED).alias("detected"),
    ).agg(pl.len().alias("documents"), pl.col("tokens").sum().cast(pl.Int64))
    return grouped.sort(["kind", "tokens", "claimed", "detected"], descending=[False, True, False, False]).to_dicts()


def _disagreements(documents: pl.DataFrame) -> Table:
    """The documents that are recognised as another language than the one they claim."""
    import polars as pl

    other = documents.filter(pl.col("language").is_not_null() & (pl.col("language_detected") != pl.col("language")))
    columns = ("sample", "start", "source", "language", "language_detected", "tokens")
    rows = other.select(columns).rename({"language": "claimed", "language_detected": "detected"}).to_dicts()
    return [{**row, "kind": languages.get(row["claimed"]).kind if languages.find(row["claimed"]) else "other"} for row in rows]


def _named(documents: pl.DataFrame, turns: pl.DataFrame) -> Table:
    """For each language, the documents whose instruction names it, and the tokens of it that are really there: in documents of
    that language, claimed or not, and in code blocks."""
    import polars as pl

    naming = _instructions(turns)
    natural = documents.filter(pl.col("language_detected") == pl.col("language").fill_null(pl.col("language_detected")))
    found = {row["name"]: row["tokens"] for row in _table(natural, "language_detected")}
    claimed = {row["name"]: row["tokens"] for row in [*_spoken(documents, "programming"), *_spoken(documents, "natural")]}
    blocks = {row["name"]: row["tokens"] for row in _code_blocks(documents, turns)}
    table = []
    for language in languages.ALL:
        real = claimed.get(language.id, 0) + blocks.get(language.id, 0) if language.kind == "programming" else max(
            claimed.get(language.id, 0), found.get(language.id, 0)
        )  # fmt: skip
        table.append({"name": language.id, "kind": language.kind, "documents_naming": naming.get(language.id, 0), "tokens": int(real), "real": real >= THERE})
    return table


def _instructions(turns: pl.DataFrame) -> dict[str, int]:
    """How many documents' instructions name each language."""
    import polars as pl

    begin = pl.col("chars").cum_sum().over("sample", "start") - pl.col("chars")
    asked = turns.with_columns(begin.alias("begin")).filter(pl.col("kind") == "instruction")
    counts: dict[str, int] = {}
    for text in asked.select(pl.col("text").str.slice(pl.col("begin"), pl.col("chars"))).to_series():
        for language in languages.named_in(text):
            counts[language.id] = counts.get(language.id, 0) + 1
    return counts


def _vocabulary(ids: NDArray[Any], facts: Mapping[str, Any]) -> Table:
    import numpy as np

    size = int(facts["tokenizer"]["vocab_size"])
    there = np.unique(ids)
    special = {t["id"] for t in facts["special_tokens"]}
    return [
        {
            "size": size,
            "occurring": len(there),
            "share": len(there) / size if size else 0.0,
            "special": len(special),
            "special_occurring": len(special & set(there.tolist())),
        }
    ]


def _special_tokens(ids: NDArray[Any], facts: Mapping[str, Any]) -> Table:
    """Every special token with how often it occurs, those that never do included."""
    import numpy as np

    found, counts = np.unique(ids, return_counts=True)
    occurrences = dict(zip(found.tolist(), counts.tolist(), strict=True))
    rows = [{"id": t["id"], "token": t["token"], "occurrences": occurrences.get(t["id"], 0)} for t in facts["special_tokens"]]
    return sorted(rows, key=lambda r: (-r["occurrences"], r["id"]))


def _evaluation(documents: pl.DataFrame, facts: Mapping[str, Any]) -> Table:
    """The sources that are marked as evaluation material, with their share of the set."""
    marked = {s["source"]: s["dataset"] for s in facts["sources"] if s["evaluation"]}
    rows = [row for row in _table(documents, "source") if row["name"] in marked]
    return [
        {"source": r["name"], "dataset": marked[r["name"]], "documents": r["documents"], "samples": r["samples"], "tokens": r["tokens"], "share": r["share"]}
        for r in rows
    ]
