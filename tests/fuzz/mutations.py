"""Mutated mixes, cards and files of rows, and what each must come to: a value, a message with a code, a counted drop. Never a traceback.

``python scripts/fuzz.py`` runs many of them, tests a few.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from curator import chat_template, filters, mix, plain_yaml, plan, plugins, templates
from curator.adapters import reading
from curator.catalog import Catalog, data_root, read_card
from curator.data import Document, Drop, Origin, Where
from curator.errors import CurateError, MixError
from curator.formatters import Options
from curator.tokens import Encoder, load
from tests.chat_templates import TEMPLATES

WORDS: tuple[bytes, ...] = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\\ud800", b"&a", b"*a", b"<<: *a", b"!!python/name:os.system", b"{{ row }}", b"{% for i in range(9) %}"),
    *(b"[" * 60, b"{" * 60, b"-", b": ", b"\t", b"null", b"1e999", b"9" * 400, b"-1", b"true", b"''", b'"', b"\n", b"\r", b"{{ row.x|join(row.y) }}"),
    *(b"range(99999)", b"* 99999999", b"|center(9999999)", b"~ ns.x ~ ns.x", b"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", b"|replace('', m.content)"),
    *(b"messages", b"role", b"content", b"tool_calls", b"arguments", b"languages: all", b"num_samples: all", b"rotate([])", b"{{ hash() }}", b"\xe2\x80\xa8"),
)
ROWS: tuple[dict[str, Any], ...] = (
    {"messages": [{"role": "user", "content": "what is it?"}, {"role": "assistant", "content": "a river", "reasoning_content": "hm"}], "a": "x", "b": "y"},
    {
        "messages": [
            {"role": "user", "content": "call it"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
            {"role": "tool", "content": "42", "tool_call_id": "1"},
        ],
        "tools": [{"name": "f", "parameters": {}}],
        "a": None,
        "b": 3.5,
    },
    {"messages": [{"from": "human", "value": "hello there"}, {"from": "gpt", "value": "<think>so</think><tool_call>{}</tool_call>"}], "a": ["x"], "b": {}},
    {"description": "add two numbers", "solutions": {"language": [3], "solution": ["print(1)"]}, "a": "old", "b": "new", "c": "code"},
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few random changes: bytes flipped, cut, doubled, swapped, and words put in that mean something."""
    value = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(value) + 1)
        span = rng.choice((1, 2, 8, 64))
        match rng.randrange(6):
            case 0 if value:
                value[place % len(value)] = rng.randrange(256)
            case 1:
                del value[place : place + span]
            case 2:
                value[place:place] = value[place : place + span] * rng.choice((1, 2, 20))
            case 3:
                value[place:place] = rng.choice(WORDS)
            case 4:
                other = rng.randrange(len(value) + 1)
                value[place : place + span], value[other : other + span] = value[other : other + span], value[place : place + span]
            case _:
                del value[place:]
                value += data[rng.randrange(len(data) + 1) :][: 4 * span]
    return bytes(value)


@cache
def catalog() -> Catalog:
    return Catalog((data_root(),))


@cache
def encoder() -> Encoder:
    from tests.conftest import small_tokenizer

    return load(str(small_tokenizer(Path(tempfile.mkdtemp(prefix="curate-fuzz-")))))


def coded(error: CurateError, code: int) -> str:
    """What a refusal must be: a message, and the code that the documentation names."""
    assert str(error).strip()
    assert error.exit_code == code
    return "refused"


def try_mix(data: bytes) -> str:
    """A mix, as `curate validate` reads it."""
    draft = mix.parse(data.decode("utf-8", "replace"), file="mix.yaml")
    try:
        found = plan.sources(draft, catalog())
        draft.checked()
        for source in found:
            list(plan.streams(source, seed=1))
            list(plan.quotas(source))
    except MixError as error:
        return coded(error, 2)
    return "read"


def try_card(data: bytes) -> str:
    """A card, as the catalog reads it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "card.yaml"
        file.write_bytes(data)
        try:
            read_card(file)
            plain_yaml.read(file)
        except CurateError as error:
            return coded(error, 2)
    return "read"


def try_template(data: bytes) -> str:
    try:
        templates.compile(data.decode("utf-8", "replace"))(ROWS[0])
    except templates.BadTemplate:
        return "refused"
    return "read"


def try_chat_template(data: bytes) -> str:
    """A chat template over the conversations of the rows: it may raise what it wants, but it comes to an end."""
    try:
        render = chat_template.compile(data.decode("utf-8", "replace"))
    except Exception:
        return "refused"
    kept = 0
    for row in ROWS[:2]:
        with suppress(Exception):
            kept += len(render(messages=row["messages"], tools=row.get("tools"), bos_token="<s>", eos_token="</s>")) <= chat_template.MOST_CHARACTERS
    return "read" if kept else "refused"


def try_rows(name: str, data: bytes) -> str:
    """A file of rows, through every formatter, the filters and a tokenizer."""
    kept = 0
    try:
        for count, row in enumerate(reading.read([reading.File(name, lambda: io.BytesIO(data))], Where(), seed="1", sampling="spread")):
            kept += sum(1 for d in _documents(row.values) if not isinstance(d, Drop)) if row.broken is None else 0
            if count > 50:
                break
    except CurateError as error:
        return coded(error, 3)
    return "kept" if kept else "dropped"


def _documents(values: Any) -> Iterator[Any]:
    for name in plugins.names("formatters"):
        formatter = plugins.load("formatters", name)
        columns = ("messages", "a", "b", "c")[: max(formatter.arity[0], 1)] if "chat" in name or name in ("sharegpt", "conversation") else ("a", "b", "c", "d")
        made = formatter(values, Options(columns[: formatter.arity[1]], None, None, {}))
        if isinstance(made, Drop):
            yield made
            continue
        document = Document(made, Origin("fuzz", None, None, "1"), "fuzz", "Fuzz")
        dropped = next((d for check in (filters.encoding, filters.length, filters.secrets) if (d := check(document))), None)
        yield dropped or next(iter(encoder().encode([document])))


def row_files() -> dict[str, bytes]:
    """A good file of each format."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import zstandard

    lines = b"".join(json.dumps(r).encode() + b"\n" for r in ROWS)
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"messages": r.get("messages"), "a": str(r["a"])} for r in (ROWS[0], ROWS[0])]), table)
    odd = io.BytesIO()
    call = {"function": {"name": "f", "arguments": {"at": datetime(2024, 1, 1), "cost": Decimal("1.5"), "raw": b"\xff\0", "none": None}}}
    turns = [{"role": "user", "content": "call it"}, {"role": "assistant", "content": "yes", "tool_calls": [call]}]
    pairs = pa.array([[("k", 1)]] * 2, pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.Table.from_pylist([{"messages": turns, "b": b"bytes", "c": datetime(2024, 1, 1)}] * 2).append_column("a", pairs), odd)
    return {
        "a.jsonl": lines,
        "a.json": json.dumps(list(ROWS)).encode(),
        "a.csv": b'a,b,c\nx,"y\nz",1\n,,\n',
        "a.tsv": b"a\tb\nx\ty\n",
        "a.py": b"def f(x):\n    return x\n",
        "a.jsonl.gz": gzip.compress(lines, mtime=0),
        "a.jsonl.zst": zstandard.ZstdCompressor().compress(lines),
        "a.parquet": table.getvalue(),
        "b.parquet": odd.getvalue(),
    }


def parquet_parts() -> tuple[bytes, bytes]:
    """The pages of a parquet file of several row groups, and its footer: apart, so that each is changed with the other whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    rows = [{"messages": ROWS[0]["messages"], "a": "x" * n, "n": n} for n in range(300)]
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=100, compression="zstd", data_page_size=512)
    data = sink.getvalue()
    size = int.from_bytes(data[-8:-4], "little")
    return data[: -8 - size], data[-8 - size : -8]


def try_parquet(pages: bytes, footer: bytes) -> str:
    """A parquet file of these parts, whose lengths are right."""
    return try_rows("a.parquet", pages + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def corpus() -> list[tuple[str, Callable[[bytes], str], bytes]]:
    """Kind, what must stand it, and a good input."""
    root = data_root()
    found: list[tuple[str, Callable[[bytes], str], bytes]] = [("mix", try_mix, f.read_bytes()) for f in sorted((root / "mixes").rglob("*.yaml"))]
    small = b"calibration_set:\n  max_seq_length: 64\n  tokenizer: starter\n  datasets:\n    - {source: commitpack, languages: [rust, go], num_samples: 3}\n"
    found += [
        ("mix", try_mix, small + b"    - {dataset: o/n, columns: [a], formatter: raw_text, formatter_params: {prefix: '{{ row.a }}'}, num_samples: 2}\n")
    ] * 3
    cards = [f for f in sorted((root / "sources").rglob("*.yaml")) if "starter" not in f.parts]
    found += [("card", try_card, f.read_bytes()) for f in cards[:8]]
    found += [
        ("template", try_template, t) for t in (b"{{ rotate(['a', 'b']) }}: {{ row.a[:3]|upper }}", b"{% for m in row.messages %}{{ m.role }}{% endfor %}")
    ]
    found += [("chat template", try_chat_template, text.encode()) for text in TEMPLATES.values()]
    pages, footer = parquet_parts()
    found += [("parquet pages", lambda d: try_parquet(d, footer), pages), ("parquet footer", lambda d: try_parquet(pages, d), footer)] * 2
    for name, data in row_files().items():
        found += [("rows " + name, lambda d, n=name: try_rows(n, d), data)] * 2  # type: ignore[misc]
    return found


def one(number: int, *, seed: int = 0) -> tuple[str, bytes, Callable[[bytes], str]]:
    """The input of this number: its kind, its bytes, and what must stand it."""
    rng = random.Random(f"{seed}:{number}")
    kind, target, good = rng.choice(_corpus())
    return kind, mutated(good, rng), target


_corpus = cache(corpus)
