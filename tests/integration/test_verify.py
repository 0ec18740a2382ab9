"""`curate verify`: every number that the tables give again, and tables that no build wrote. The manifest vouches for all that is forged here."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curator import artifact
from tests.builds import built
from tests.conftest import REPOSITORY

Run = Callable[..., tuple[int, str, str]]
Forge = Callable[[Any], Any]
DATA = "data/train-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of two sources, with dropped rows, a gate, and documents that were cut."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("one", "two"):
        lines = [json.dumps({"t": f"{name} {n} " + "of the words that are not the same as others " * 9}) for n in range(40)]
        (folder / f"{name}.jsonl").write_text("\n".join(["{", '{"t": "short"}', *lines, lines[0]]))
    common = {"adapter": "files", "columns": ["t"], "formatter": "raw_text", "filters": ["length"]}
    entries = [
        {"name": "first", "path": "one.jsonl", "num_samples": 3, "category": "Text", "fallback": "starter_text", **common},
        {"name": "second", "path": "two.jsonl", "num_samples": 2, "category": "More", **common},
        {"source": "starter_text", "languages": ["de"], "num_samples": 2, "category": "German"},
    ]
    require = {"natural_languages": {"languages": ["de"], "min_tokens": 300}}
    settings = {"max_seq_length": 256, "tokenizer": "starter", "require": require, "datasets": entries}
    return built(folder / "mix.yaml", folder / "B", settings=settings)


@pytest.fixture
def build(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "B"))


def forge(build: Path, file: str, change: Forge) -> None:
    """Change a table or a JSON file of a build, and have the manifest vouch for it."""
    if file == artifact.MANIFEST:
        changed = change(artifact.read_json(build / file))
    elif file.endswith(".json"):
        changed = artifact.read_json(build / artifact.MANIFEST)
        artifact.write_json(build / file, change(artifact.read_json(build / file)))
    elif file.endswith(".parquet"):
        changed = artifact.read_json(build / artifact.MANIFEST)
        change(pl.read_parquet(build / file)).write_parquet(build / file)
    else:
        changed = artifact.read_json(build / artifact.MANIFEST)
        (build / file).write_text(change((build / file).read_text()))
    artifact.write_json(build / artifact.MANIFEST, changed | {"files": artifact.file_table(build)})


def source(number: int, **values: Any) -> Forge:
    """The manifest with other values of a source."""
    return lambda m: m | {"sources": [s | (values if n == number else {}) for n, s in enumerate(m["sources"])]}


def first_row(**values: Any) -> Forge:
    """A table with other values in its first row."""
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(value, frame.schema[column])).otherwise(pl.col(column)).alias(column)
        for column, value in values.items()
    )


def lists(column: str, change: Callable[[list[int]], list[int] | None]) -> Forge:
    """data/ with other values in the first list of a column."""

    def forged(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        return frame.with_columns(pl.Series(column, [change(values[0]), *values[1:]], pl.List(pl.Int32)))

    return forged


def other_tokens(frame: pl.DataFrame) -> pl.DataFrame:
    """A token more of the one, and one fewer of the other."""
    return frame.with_columns(occurrences=frame["occurrences"] + pl.Series([1, -1] + [0] * (frame.height - 2)))


def other_rows(table: str, **values: Any) -> Forge:
    return lambda tables: tables | {table: [row | values for row in tables[table]]}


def mix_text(old: str, new: str) -> Forge:
    """Another text of the mix, with its digest."""
    import hashlib

    def forged(manifest: dict[str, Any]) -> dict[str, Any]:
        text = manifest["mix"]["text"].replace(old, new)
        assert text != manifest["mix"]["text"]
        return manifest | {"mix": {"name": "mix.yaml", "text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}}

    return forged


def test_what_was_built_holds(build: Path, run: Run) -> None:
    code, out, err = run("verify", build)
    assert code == 0, out + err
    assert "7 samples" in out
    assert json.loads(run("verify", build, "--json")[1])["ok"]


NUMBERS: list[tuple[str, Forge, str]] = [
    ("manifest.json", lambda m: m | {"padding_tokens": 7}, "padding_tokens: the manifest says 7, there are 0"),
    ("manifest.json", lambda m: m | {"samples": 8}, "samples: the manifest says 8, there are 7"),
    ("manifest.json", lambda m: m | {"documents_cut": 0}, "documents_cut: "),
    ("manifest.json", lambda m: m | {"max_seq_length": 512}, "max_seq_length: the manifest says 512, the mix 256"),
    ("manifest.json", lambda m: m | {"offline": True, "max_seq_length": 512}, "max_seq_length: the manifest says 512, the mix no more than 256"),
    ("manifest.json", lambda m: m | {"offline": True}, "documents of first come from files:"),
    ("manifest.json", lambda m: m | {"short": {"Text": 1}}, "Text: short: the manifest says 1, there are 0"),
    ("manifest.json", lambda m: m | {"tokenizer": m["tokenizer"] | {"vocab_size": 10}}, "outside the vocabulary"),
    ("manifest.json", lambda m: m | {"required": m["required"] | {"natural_languages": {"de": 1}}}, "other gates for languages than the mix"),
    ("manifest.json", lambda m: m | {"required": m["required"] | {"by_category": {"Text": 1}}}, "required, all categories together"),
    ("manifest.json", source(0, rows_read=1000), "first: rows_read: the manifest says 1,000, documents_made and dropped come to "),
    ("manifest.json", source(0, documents_made=0), "0 documents were made"),
    ("manifest.json", source(0, planned_samples=4), "first: planned_samples: the manifest says 4, the mix asks for 3"),
    ("manifest.json", source(0, dropped={}), "first: dropped: unreadable: the manifest says 0, quarantine.jsonl has 1"),
    (
        "manifest.json",
        source(2, dropped={"unreadable": 1, "too_short": 1, "secret": 3}),
        "second: dropped: secret: the manifest says 3, quarantine.jsonl has 0",
    ),
    ("manifest.json", source(0, dataset="other"), "documents of first come from files:"),
    ("manifest.json", lambda m: m | {"sources": [*m["sources"], m["sources"][0]]}, "first: the manifest has it twice"),
    ("manifest.json", mix_text('"num_samples": 3', '"num_samples": 4'), "the mix asks for"),
    ("manifest.json", mix_text('"max_seq_length"', '"packing": "truncate", "max_seq_length"'), "several documents, and the mix gives each its own"),
    ("manifest.json", mix_text('"datasets"', '"data_sets"'), "the text of the mix is none: "),
    ("quarantine.jsonl", lambda text: "", "the manifest says 1, quarantine.jsonl has 0"),
    ("quarantine.jsonl", lambda text: text + "[]\n", "is no dropped row"),
    ("quarantine.jsonl", lambda text: text + "x\n", "is no dropped row"),
    ("quarantine.jsonl", lambda text: text + '{"source": "third", "row": "1", "reason": "x"}\n', "is no dropped row"),
    ("coverage.json", other_rows("by_category", tokens=1), "coverage.json: by_category is not what"),
    ("coverage.json", other_rows("gates", got=10**6), "coverage.json: gates is not what"),
    ("coverage.json", other_rows("dropped", rows=0), "coverage.json: dropped is not what"),
    ("coverage.json", lambda t: t | {"mine": []}, "coverage.json: mine is not what"),
    ("coverage/by_source.parquet", first_row(tokens=1), "coverage/by_source.parquet is not the table by_source"),
    ("coverage/tokens.parquet", other_tokens, "coverage/tokens.parquet counts other token ids"),
    ("documents.parquet", first_row(text="other words"), "1 documents have another text than text_sha256"),
    ("documents.parquet", first_row(language="fr"), "coverage.json: by_language is not what"),
    (DATA, lists("position_ids", lambda v: [v[0] - 1, *v[1:]]), "position_ids do not restart"),
    (DATA, lists("input_ids", lambda v: [-1, *v[1:]]), "counts other token ids"),
]


@pytest.mark.parametrize(("file", "change", "named"), NUMBERS, ids=[f"{n}-{file}" for n, (file, _, _) in enumerate(NUMBERS)])
def test_a_number_that_is_not_that_of_the_tables(file: str, change: Forge, named: str, build: Path, run: Run) -> None:
    forge(build, file, change)
    code, out, err = run("verify", build)
    assert code == 1, out + err
    assert f"wrong: {named}" in out or named in out, out
    found = json.loads(run("verify", build, "--json")[1])
    assert not found["ok"]


def test_a_negative_token_id_that_is_counted_too(build: Path, run: Run) -> None:
    forge(build, DATA, lists("input_ids", lambda v: [-1, *v[1:]]))
    ids = pl.read_parquet(build / DATA)["input_ids"].explode().value_counts().sort("input_ids")
    counted = pl.DataFrame({"id": ids["input_ids"], "token": ["x"] * ids.height, "occurrences": ids["count"].cast(pl.Int64)})
    forge(build, "coverage/tokens.parquet", lambda _: counted)
    code, out, _ = run("verify", build)
    assert code == 1
    assert "a token id is outside the vocabulary" in out


TABLES: list[tuple[str, Forge, str]] = [
    ("documents.parquet", lambda f: f.drop("cut"), "documents.parquet: no column cut"),
    ("documents.parquet", lambda f: f.with_columns(cut=pl.lit("x")), "documents.parquet: cut is String, not Int32"),
    ("documents.parquet", lambda f: f.with_columns(turns=pl.lit(1)), "documents.parquet: turns is "),
    ("documents.parquet", lambda f: f.with_columns(origin=pl.lit("x")), "documents.parquet: origin is "),
    ("documents.parquet", first_row(text=None), "documents.parquet: text is null 1 times"),
    ("documents.parquet", lambda f: f.with_columns(turns=pl.lit(None, f.schema["turns"])), "documents.parquet: turns is null"),
    ("documents.parquet", lambda f: f.with_columns(text=None), "documents.parquet: text is Null, not String"),
    ("documents.parquet", lambda f: f.clear(), "7 samples are not filled by theirs"),
    ("documents.parquet", lambda f: f.head(f.height - 1), "1 samples are not filled by theirs"),
    ("documents.parquet", first_row(sample=1000), "not in the order of the samples"),
    ("documents.parquet", first_row(tokens=2**31 - 1), "documents.parquet: "),
    ("documents.parquet", first_row(tokens=-5), "documents of no tokens"),
    ("documents.parquet", first_row(start=5), "1 documents do not begin where the one before ends"),
    ("documents.parquet", first_row(source="other"), "1 documents have another source or category"),
    (
        "documents.parquet",
        lambda f: f.with_columns(turns=pl.col("turns").list.eval(pl.element().struct.with_fields(chars=pl.lit(-1, pl.Int32)))),
        "turns with negative tokens",
    ),
    ("samples.parquet", lambda f: f.clear(), "samples.parquet does not number the 7 samples"),
    ("samples.parquet", lambda f: f.drop("tokens"), "samples.parquet: no column tokens"),
    ("samples.parquet", lambda f: f.cast({"sample": pl.Int64}), "samples.parquet: sample is Int64, not Int32"),
    ("samples.parquet", first_row(tokens=3), "samples.parquet tells other lengths"),
    ("samples.parquet", first_row(sample=3), "samples.parquet does not number"),
    ("samples.parquet", lambda f: f.with_columns(source=pl.lit("stranger")), "sources that the manifest does not name: stranger"),
    ("samples.parquet", first_row(documents=100), "1 samples are not filled by theirs"),
    (DATA, lambda f: f.clear(), "data/ has no sample"),
    (DATA, lambda f: f.drop("position_ids"), f"{DATA}: no column position_ids"),
    (DATA, lambda f: f.with_columns(attention_mask=pl.col("input_ids")), f"{DATA}: a column attention_mask, which no data has"),
    (DATA, lambda f: f.with_columns(input_ids=pl.col("input_ids").cast(pl.List(pl.Int64))), f"{DATA}: input_ids is List(Int64), not List(Int32)"),
    (DATA, lambda f: f.with_columns(input_ids=pl.lit(1)), f"{DATA}: input_ids is "),
    (DATA, lists("input_ids", lambda v: None), f"{DATA}: input_ids is null 1 times"),
    (DATA, lists("input_ids", lambda v: [None, *v[1:]]), f"{DATA}: input_ids is null 1 times"),  # type: ignore[list-item]
    (DATA, lists("input_ids", lambda v: v[:-1]), "1 samples have another number of position_ids"),
    (DATA, lists("position_ids", lambda v: []), "1 samples have another number of position_ids"),
    (DATA, lambda f: f.with_columns(input_ids=pl.lit([], pl.List(pl.Int32)), position_ids=pl.lit([], pl.List(pl.Int32))), "tells other lengths"),
    ("coverage/tokens.parquet", lambda f: f.clear(), "counts other token ids"),
    ("coverage/tokens.parquet", lambda f: f.drop("id"), "coverage/tokens.parquet: no column id"),
]


@pytest.mark.parametrize(("file", "change", "named"), TABLES, ids=[f"{n}-{file}" for n, (file, _, _) in enumerate(TABLES)])
def test_tables_that_no_build_wrote(file: str, change: Forge, named: str, build: Path, run: Run, tmp_path: Path) -> None:
    forge(build, file, change)
    code, out, err = run("verify", build)
    assert code == 1, out + err
    assert named in out, out
    for command, codes in (("check", (1,)), ("report", (2,)), ("show", (0,)), (("show", 0), (0, 2)), (("diff", build), (0, 2))):
        name, *rest = command if isinstance(command, tuple) else (command,)
        code, out, err = run(name, build, *rest)
        assert code in codes, (command, out, err)


def test_more_files_of_samples_than_said(build: Path, run: Run) -> None:
    shutil.copyfile(build / DATA, build / "data/train-00001-of-00001.parquet")
    forge(build, artifact.MANIFEST, lambda m: m)
    code, out, _ = run("verify", build)
    assert code == 1
    assert "data/: 2 files that are not train-00000-of-00002.parquet and those after it" in out


@pytest.mark.parametrize("name", artifact.NEEDED)
def test_a_file_that_neither_the_folder_nor_the_manifest_has(name: str, build: Path, run: Run) -> None:
    (build / name).unlink()
    forge(build, artifact.MANIFEST, lambda m: m)
    for command, expected in (("verify", 1), ("check", 1), ("report", 2)):
        code, out, err = run(command, build)
        assert code == expected
        assert f"{name}: missing" in out + err


@pytest.mark.parametrize("name", ["mine.parquet", "by_source.parquet"])
def test_copies_of_tables_that_are_more_or_fewer(name: str, build: Path, run: Run) -> None:
    if name == "mine.parquet":
        shutil.copyfile(build / "coverage/by_source.parquet", build / "coverage" / name)
    else:
        (build / "coverage" / name).unlink()
    forge(build, artifact.MANIFEST, lambda m: m)
    code, out, _ = run("verify", build)
    assert code == 1
    assert f"coverage/: {name}: not as coverage.json has tables" in out


ODD: tuple[Any, ...] = (None, True, -1, 0, 10**30, 1.5, float("nan"), "", "x", "\ud800", "[/b]", [], {}, [None], {"x": 1}, [{}])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of a JSON document stands, of a list only the first few."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


def with_odd(value: Any, rng: random.Random) -> Any:
    """A JSON document with one value replaced."""
    changed = json.loads(json.dumps(value))
    *path, last = rng.choice([p for p in places(changed) if p[0] != "files"])
    inner = changed
    for key in path:
        inner = inner[key]
    inner[last] = rng.choice(ODD)
    return changed


@pytest.mark.parametrize("file", ["manifest.json", "coverage.json"])
def test_values_changed_at_random_come_to_an_answer_or_a_message(file: str, build: Path, run: Run) -> None:
    """1 is an answer of `verify`, 2 a message; 70 would be a bug."""
    rng, whole = random.Random(1), {name: artifact.read_json(build / name) for name in ("manifest.json", "coverage.json")}
    for _ in range(40):
        changed = with_odd(whole[file], rng)
        for name, value in (whole | {file: changed}).items():
            (build / name).write_text(json.dumps(value))
        if file == "coverage.json":
            forge(build, artifact.MANIFEST, lambda manifest: manifest)
        for command in (["verify", build], ["show", build], ["check", build], ["diff", build, build, "--markdown", build.parent / "x.md"]):
            code, _, err = run(*command)
            assert code in (0, 1, 2), (changed, command, err)


def test_every_check_that_ran_is_named_and_no_other(build: Path, run: Run) -> None:
    checks = json.loads(run("verify", build, "--json")[1])["checks"]
    page = (REPOSITORY / "docs" / "reference" / "build-folder.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{c}`" for c in checks if c not in ("files", "tables")) in page
    (build / "documents.parquet").write_bytes(b"")
    assert json.loads(run("verify", build, "--json")[1])["checks"] == ["files", "tables"]
