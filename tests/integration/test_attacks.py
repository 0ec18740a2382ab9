"""A mix from a stranger can at worst waste time: each attack is refused with its code and a message, or counted as a drop."""

from __future__ import annotations

import ast
import gzip
import io
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from curator.cli.output import printable
from tests.conftest import REPOSITORY, chat_rows, prose, small_tokenizer
from tests.hub import Hub
from tests.unit.test_pages import LIES

Run = Callable[..., tuple[int, str, str]]
HEAD = "calibration_set:\n  max_seq_length: 64\n  tokenizer: starter\n  datasets:\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10))
LIMIT = 60.0  # seconds that any refusal may take
TEXT = {"columns": ["t"], "formatter": "raw_text", "num_samples": 2}


def refused(outcome: tuple[int, str, str], code: int, *said: str) -> None:
    assert outcome[0] == code, outcome
    assert "Traceback" not in outcome[2]
    assert "a bug in curate" not in outcome[2]
    for words in said:
        assert words in outcome[2], outcome[2]


@pytest.fixture(autouse=True)
def in_time() -> Any:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < LIMIT


@pytest.fixture
def local(write_mix: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A mix over files beside it."""

    def make(files: dict[str, bytes], **entry: Any) -> Path:
        for name, data in files.items():
            (tmp_path / "rows" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "rows" / name).write_bytes(data)
        pattern = {"data_files": list(files)}
        return write_mix(
            [{"path": "rows", "adapter": "files", **pattern, **TEXT, **entry}], tokenizer=str(small_tokenizer(tmp_path / "tokenizer")), max_seq_length=64
        )

    return make


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "    - !!python/object/apply:os.system [touch /tmp/curate-owned]\n", "not plain YAML"),  # 1 code from YAML
        (BOMB + HEAD, "alias bomb"),  # 2
        (HEAD + "    - " + "[" * 5000 + "]" * 5000, "nested deeper"),  # 3
        (HEAD + "    - source: &a [*a]\n", "valid string"),  # 4 a value within itself
        (HEAD + "    - {source: '" + "x" * (5 << 20) + "', num_samples: 1}", "more than 4 MiB"),  # 5 an enormous scalar
        (HEAD.replace("64", "1" + "0" * 5000) + "    - {source: a, num_samples: 1}\n", "max_seq_length|cannot be read"),  # 6 an enormous number
        (HEAD + "    - {source: ../../../etc/passwd, num_samples: 1}\n", "unknown source"),  # 7 a card outside the catalog
        (HEAD + "    - {dataset: ../../etc/passwd, columns: [t], formatter: raw_text, num_samples: 1}\n", "no hub id"),  # 8
        (HEAD + "    - {dataset: 'o/n', adapter: 'os:system', columns: [t], formatter: raw_text, num_samples: 1}\n", "unknown adapter"),  # 9 a name as code
        (HEAD + "    - {dataset: hf_abcdefghijklmnopqrstuvwxyz0123456789, columns: [t], formatter: text, num_samples: 1}\n", "access token"),  # 10
    ],
)
def test_mixes(text: str, said: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text(text, encoding="utf-8")
    outcome = run("build", tmp_path / "mix.yaml", "--out", tmp_path / "B")
    refused(outcome, 2)
    assert any(s in outcome[2] for s in said.split("|")), outcome[2][:2000]
    assert not Path("/tmp/curate-owned").exists()


@pytest.mark.parametrize(
    "prefix",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",  # 11 an escape
        "{{ row|attr('__class__') }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",  # 12 time without end
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(9) }}",
        "{% set a = row.t %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",  # 13 memory without end
        "{{ row.t|join(row.t) }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ row.t.ljust(999999999) }}",
        "{{ row.t|center(999999999) }}",
        "{{ lipsum(n=99999) }}",
    ],
)
def test_templates(prefix: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    mix = local({"a.jsonl": b'{"t": "%s"}\n' % prose(200).encode()}, formatter_params={"prefix": prefix})
    outcome = run("build", mix, "--out", tmp_path / "B")
    assert outcome[0] in (2, 3), outcome
    refused(outcome, outcome[0], "template")


@pytest.mark.parametrize("path", ["/etc", "..", "rows/../..", "~", "link"])
def test_paths_stay_beside_the_mix(path: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:  # 14
    mix = local({"a.jsonl": b"{}\n"}, path=path, data_files="*")
    (tmp_path / "link").symlink_to("/etc")
    refused(run("build", mix, "--out", tmp_path / "B"), 3, path)


@pytest.mark.parametrize("command", [["build", "--out", "B"], ["plan"], ["lock"]])
def test_every_command_that_advises_to_allow_a_path_can(
    command: list[str], run: Run, local: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "theirs.jsonl").write_bytes(good_lines())
    monkeypatch.chdir(tmp_path / "mine")
    mix = local({}, path="../theirs.jsonl", data_files=[]).rename(tmp_path / "mine" / "mix.yaml")
    (tmp_path / "tokenizer").rename(tmp_path / "elsewhere")
    mix.write_text(mix.read_text().replace(str(tmp_path / "tokenizer"), str(tmp_path / "elsewhere")))
    refused(run(*command, mix), 3, "allow it with --allow-path", str(tmp_path / "theirs.jsonl"), str(tmp_path / "elsewhere"))
    code, _, err = run(*command, mix, "--allow-path", tmp_path / "theirs.jsonl", "--allow-path", tmp_path / "elsewhere")
    assert code == 0, err


def test_the_tokenizer_of_a_mix_stays_beside_it(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    mix = local({"a.jsonl": b"{}\n"})
    (tmp_path.parent / "secret.jinja").write_text("secret")
    (tmp_path / "tokenizer" / "chat_template.jinja").symlink_to(tmp_path.parent / "secret.jinja")
    refused(run("plan", mix), 3, "outside the folder of the mix", "--allow-path")
    assert run("plan", mix, "--tokenizer", "starter")[0] == 0


def test_patterns_and_links_stay_in_their_folder(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:  # 15
    (tmp_path.parent / "secret.jsonl").write_text('{"t": "secret"}\n')
    refused(run("build", local({"a.jsonl": b"{}\n"}, data_files="../../*.jsonl"), "--out", tmp_path / "B"), 3, "would leave the folder")
    refused(run("build", local({"a.jsonl": b"{}\n"}, data_files="/etc/*"), "--out", tmp_path / "B"), 3, "would leave the folder")
    (tmp_path / "rows" / "link.jsonl").symlink_to(tmp_path.parent / "secret.jsonl")
    refused(run("build", local({"a.jsonl": b"{}\n"}, data_files="link*.jsonl"), "--out", tmp_path / "B"), 3, "no file there matches")


def test_cards_that_are_bombs(run: Run, write_mix: Callable[..., Path], tmp_path: Path) -> None:  # 16
    mix = write_mix([{"source": "evil", "num_samples": 1}])
    for text, said in (
        ("dataset: o/n\nformatter_params: &a {prefix: *a}\n", "alias bomb"),
        (BOMB + "dataset: o/n\n", "alias bomb"),
        ("dataset: !!python/name:os.system\n", "not plain YAML"),
        ("[" * 3000, "nested deeper"),
        ("path: /etc\nadapter: files\nformatter: text\ncolumns: [text]\n", "outside the folder"),
    ):
        (tmp_path / "catalog" / "sources").mkdir(parents=True, exist_ok=True)
        (tmp_path / "catalog" / "sources" / "evil.yaml").write_text(text)
        outcome = run("build", mix, "--out", tmp_path / "B", "--catalog", tmp_path / "catalog")
        refused(outcome, 3 if said == "outside the folder" else 2, said)


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What fsspec, through which `datasets` looks for files, was asked for on this machine."""
    from fsspec.implementations.local import LocalFileSystem

    asked: list[str] = []
    for name in ("glob", "find", "ls", "info"):
        method = getattr(LocalFileSystem, name)
        monkeypatch.setattr(LocalFileSystem, name, lambda self, path, *a, _method=method, **k: asked.append(str(path)) or _method(self, path, *a, **k))
    return asked


@pytest.mark.parametrize("form", ["{}", "[{}]", "[{{split: train, path: {}}}]", "[{{split: train, path: [data/*.parquet, {}]}}]"])
@pytest.mark.parametrize("pattern", ["ABSOLUTE/*.parquet", "../../*.parquet", "data/../../*", "file:ABSOLUTE/*", "file://ABSOLUTE/*", "local:x/*", "http://127.0.0.1:9/a.parquet", "hf://datasets/tests/other/*", "zip://*::ABSOLUTE/a.zip", "data/*::ABSOLUTE/a"])  # fmt: skip
def test_the_readme_of_a_dataset_stays_in_it(form: str, pattern: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], walked: list[str], tmp_path: Path) -> None:  # fmt: skip # 24
    (tmp_path / "a.parquet").write_bytes(parquet("secret", 50))
    named = form.format(json.dumps(pattern.replace("ABSOLUTE", str(tmp_path))))
    name = dataset("readme", chat_rows(3), card=f"configs:\n- config_name: default\n  data_files: {named}")
    outcome = run("plan", write_mix([{"dataset": name, **TEXT}]))
    refused(outcome, 3, name, "leads out of its repository", "`data_files`")
    assert not [path for path in walked if str(tmp_path) in path or "x" in path], walked


@pytest.mark.parametrize("where", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize("folder", ["ABSOLUTE", "..", "http://127.0.0.1:9", "file://ABSOLUTE"])
def test_the_folder_that_a_readme_names_stays_in_it(folder: str, where: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], walked: list[str], tmp_path: Path) -> None:  # fmt: skip
    text = f"configs:\n- config_name: a\n  data_files: data/*.parquet\n- config_name: b\n  data_dir: {json.dumps(folder.replace('ABSOLUTE', str(tmp_path)))}\n"
    files = {where: (f"---\n{text}---\n" if where == "README.md" else text).encode()}
    name = dataset("readme", chat_rows(3), files=files)
    refused(run("plan", write_mix([{"dataset": name, "subset": "b", **TEXT}])), 3, name, "leads out of its repository")
    assert not [path for path in walked if str(tmp_path) in path], walked


@pytest.mark.parametrize("card", ["configs: {a: b}", "configs:\n- config_name: {}\n  data_files: a", "configs:\n- config_name: a\n  data_files: [{split: train, path: [1]}]", "configs: [1]", "a: [", "dataset_info: 3"])  # fmt: skip
def test_a_readme_that_means_nothing_is_told(card: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    entry = {"dataset": dataset("odd", chat_rows(3), card=card), "columns": ["messages"], "formatter": "chat_completion", "num_samples": 1}
    code, _, err = run("plan", write_mix([entry]))
    assert code in (0, 3), err
    assert "a bug" not in err
    assert "answered" not in err, "by the hub, and not by us"


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize(("text", "said"), [(BOMB + "configs: {a: *a9}\n", "alias bomb"), ("a: " + "[" * 3000, "nested deeper"), ("a: " + "x" * (17 << 20), "more than 16 MiB"), ("a: [" + "x," * (2 << 20) + "]", "more than 300000 values")])  # fmt: skip
def test_a_description_that_is_a_bomb(name: str, text: str, said: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from tests.hub import Repository

    monkeypatch.setattr(Repository, "card_data", lambda _: {})  # this hub would go off itself
    files = {name: (f"---\n{text}\n---\n" if name == "README.md" else text).encode()}
    mix = write_mix([{"dataset": dataset("bomb", chat_rows(3), files=files), **TEXT}])
    refused(run("plan", mix), 3, "tests/bomb", name, said, "`data_files`")


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml", "dataset_infos.json", "vast.py"])
def test_a_description_that_is_too_large_is_not_fetched(name: str, run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], hub: Hub) -> None:
    mix = write_mix([{"dataset": dataset("vast", chat_rows(3), files={name: b"x" * (17 << 20)}), **TEXT}])
    refused(run("plan", mix), 3, "tests/vast", f"its {name} has more than 16 MiB", "`data_files`")
    assert not [r for r in hub.requests if r.endswith(f"/{name}")]


def test_infos_that_are_a_bomb(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path]) -> None:
    infos = b'{"default": {"features": [' + b"[]," * 400_000 + b"[]]}}"
    refused(run("plan", write_mix([{"dataset": dataset("infos", chat_rows(3), files={"dataset_infos.json": infos}), **TEXT}])), 3, "more than 300,000 commas")


def test_a_lock_opens_nothing_outside_its_datasets(run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    mix = write_mix([{"dataset": dataset("mine", chat_rows(40)), "columns": ["messages"], "formatter": "chat_completion", "num_samples": 1}])
    dataset("private", chat_rows(40))
    assert run("lock", mix)[0] == 0
    lock = mix.with_suffix(".lock")
    lock.write_text(lock.read_text().replace("data/train-", "../../../private/resolve/main/data/train-"))
    hub.requests.clear()
    refused(run("build", mix, "--out", tmp_path / "B"), 3, "tests/mine", "leads out of its repository")
    assert not [r for r in hub.requests if "private" in r]


def parquet(value: str, rows: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))  # the text itself stands there once
    pq.write_table(pa.table({"t": texts}), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def gzipped(unit: bytes, times: int, tail: bytes = b"") -> bytes:
    """A small file that unpacks to a large one."""
    sink = io.BytesIO()
    with gzip.open(sink, "wb", compresslevel=1) as stream:
        for _ in range(times):
            stream.write(unit)
        stream.write(tail)
    return sink.getvalue()


MEGABYTE = b"a" * (1 << 20)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl.gz", lambda: gzipped(MEGABYTE, 100), "a line of more than 64 MiB"),  # 17 a line without end
        ("a.csv.gz", lambda: gzipped(MEGABYTE, 100), "a record of more than 64 MiB"),
        ("a.csv", lambda: b"t\n" + b"," * (2 << 20), "a record with more than 1,048,576 delimiters"),
        ("a.json.gz", lambda: gzipped(MEGABYTE, 200), "more than 128 MiB in one piece"),
        ("a.jsonl.zst", lambda: zstandard.compress(MEGABYTE * 100), "a line of more than 64 MiB"),  # states its size
        ("a.json.zst", lambda: zstandard.compress(MEGABYTE * 200), "more than 128 MiB in one piece"),
        ("a.parquet", lambda: b"PAR1" + b"\0" * 100 + b"PAR1", "parquet"),
        ("a.parquet", lambda: parquet("x", 5)[:-20], "parquet"),
        ("a.jsonl.gz", lambda: gzipped(b'{"t": "x"}\n', 10)[:-12], "damaged or cut short"),
        ("a.jsonl.zst", lambda: b"not zstd at all", "damaged or cut short"),
    ],
)
def test_files_that_cannot_be_read(name: str, data: Callable[[], bytes], said: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    refused(run("build", local({name: data()}), "--out", tmp_path / "B"), 3, said)


def dropped(build: Path) -> dict[str, int]:
    return json.loads((build / "manifest.json").read_text())["sources"][0]["dropped"]


def good_lines(count: int = 40) -> bytes:
    return b"".join(json.dumps({"t": prose(60, seed=n)}).encode() + b"\n" for n in range(count))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"t": "nul \\u0000 byte"}\n', "nul_bytes"),  # 18
        (b'{"t": "lone \\ud800 surrogate"}\n', "lone_surrogate"),
        (json.dumps({"t": "\ufffd" * 50}).encode() + b"\n", "wrong_encoding"),
        (b'{"t": "latin-1 \xe9\xe8"}\n', "unreadable"),
        (b"[" * 100_000 + b"\n", "unreadable"),
        (b'{"t": ' + b"9" * 10_000 + b"}\n", "unreadable"),
    ],
)
def test_rows_that_are_dropped(bad: bytes, reason: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    code, _, err = run("build", local({"a.jsonl": bad + good_lines()}, num_samples="all"), "--out", tmp_path / "B")
    assert code == 0, err
    assert dropped(tmp_path / "B").get(reason) == 1, dropped(tmp_path / "B")


def test_surrogates_in_the_arguments_of_a_call(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    call = {"function": {"name": "f", "arguments": {"x": "\ud800"}}}
    turns = [{"role": "user", "content": "hi there, call it"}, {"role": "assistant", "content": "as you wish", "tool_calls": [call]}]
    rows = [{"messages": turns}, *chat_rows(40)]
    data = b"".join(json.dumps(r).encode() + b"\n" for r in rows)
    mix = local({"a.jsonl": data}, columns=["messages"], formatter="chat_completion", num_samples="all")
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 0, err
    assert dropped(tmp_path / "B").get("lone_surrogate") == 1


def test_a_parquet_bomb_of_one_text_in_every_row(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    import resource

    mix = local({"a.parquet": parquet("a" * (70 << 20), 60), "b.jsonl": good_lines()}, num_samples=2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code in (0, 4), err
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    assert grown < 1536, f"4 GiB of text in a file of a few kB took {grown} MiB"


def test_nothing_is_unpickled_and_no_model_code_runs(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:  # 19
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "owned",))

    mix = local({"a.pkl": pickle.dumps(Evil()), "b.pt": pickle.dumps(Evil())}, formatter="text", columns=["text"])
    settings = tmp_path / "tokenizer" / "tokenizer_config.json"
    described = json.loads(settings.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
    settings.write_text(json.dumps(described))
    (tmp_path / "tokenizer" / "evil.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'owned')!r}).touch()\nclass Evil: pass\n")
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code in (3, 4), err
    assert "a bug" not in err
    assert not (tmp_path / "owned").exists()


def test_reports_escape_everything(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:  # 20
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    data = b"".join(json.dumps({"t": f"{evil} {prose(60, seed=n)}"}).encode() + b"\n" for n in range(40))
    code, _, err = run("build", local({"a.jsonl": data}, category=evil, name=evil + "\x1b[2J"), "--out", tmp_path / "B")
    assert code == 0, err
    page = (tmp_path / "B" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "\x1b[2J" not in err


def test_names_are_no_markup_of_the_progress_bar(run: Run, local: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = local({"a.jsonl": good_lines()}, name="[/i] y")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 0, err


@pytest.mark.parametrize(("name", "shown"), [("[/]", "[/]"), ("[red]x", "[red]x"), (":key:", ":key:"), ("a\x1b[2Jb", "a\\x1b[2Jb")])
def test_names_in_tables_are_no_markup_and_drive_no_terminal(name: str, shown: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    mix = local({"a.jsonl": good_lines()}, num_samples=1, category=name, name=name)
    said = [run("plan", mix), run("build", mix, "--out", tmp_path / "A"), run("cache", "list")]
    local({"a.jsonl": good_lines()}, num_samples=2, category=name, name=name)
    said += [run("build", mix, "--out", tmp_path / "B"), run("diff", tmp_path / "A", tmp_path / "B")]
    assert [(code, shown in out, "\x1b" in out) for code, out, _ in said] == [(0, True, False)] * 4 + [(1, True, False)]


@pytest.mark.parametrize("text", ["می\u200cخواهم", "क्\u200dष", "👩\u200d💻", "日\u3000本", "10\u202f000\u00a0€", "שלום\u200f!", "e\u0301"])
def test_what_is_written_in_any_language_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\r", "\u202e", "\u2066", "\u2028", "\ufeff", "\udc80", "\U000e0041"])
def test_what_drives_a_terminal_or_hides_is_made_visible(character: str) -> None:
    assert printable(f"a{character}b") == f"a\\x{ord(character):02x}b"


def test_what_a_build_says_drives_no_terminal(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    evil = "\x1b]0;x\x07\x9b2J\u202e"
    text = b"".join(json.dumps({"t": f"{evil} {prose(60, seed=n)}"}).encode() + b"\n" for n in range(40))
    a, b = tmp_path / f"A{evil}", tmp_path / f"B{evil}"
    for build, samples in ((a, 1), (b, 2)):
        mix = local({f"{evil}.jsonl": text}, num_samples=samples, category=evil, name=evil).rename(tmp_path / f"{evil}.yaml")
        assert run("build", mix, "--out", build)[0] == 0
    for folder in ("sources", "mixes"):
        (tmp_path / "catalog" / folder).mkdir(parents=True)
    card = {"adapter": "files", "path": evil, "category": evil, "columns": ["t"], "formatter": "raw_text"}
    (tmp_path / "catalog" / "sources" / "card.yaml").write_text(json.dumps(card), encoding="utf-8")
    mix.rename(tmp_path / "catalog" / "mixes" / mix.name)
    catalog = ["--catalog", tmp_path / "catalog"]
    commands = [
        ["show", b],
        ["show", b, 0],
        ["check", b],
        ["check", b, "--json"],
        ["verify", b],
        ["report", b],
        ["report", b, "--against", tmp_path / "rows" / f"{evil}.jsonl"],
        ["diff", a, b],
    ]
    commands += [
        ["diff", a, b, "--json"],
        ["cache", "list"],
        ["cache", "list", "--json"],
        ["mixes", *catalog],
        ["sources", *catalog],
        ["sources", "card", *catalog],
    ]
    for command in commands:
        code, out, err = run(*command)
        assert code == (command[0] == "diff"), err
        assert all(c.isprintable() or c in "\n\t" for c in out + err), (command, out)
    assert evil in json.loads(run("diff", a, b, "--json")[1])["a"]


def test_commands_write_to_standard_output_in_one_place() -> None:
    files = [f for f in (REPOSITORY / "curator" / "cli").glob("*.py") if f.name != "output.py"]
    calls = [(f.name, n) for f in files for n in ast.walk(ast.parse(f.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    printing = [(name, ast.unparse(call)) for name, call in calls if ast.unparse(call.func) in ("print", "click.echo", "click.secho", "sys.stdout.write")]
    assert [p for p in printing if "err=True" not in p[1]] == []


def test_secrets_are_dropped_and_counted(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    keys = ["AKIAIOSFODNN7EXAMPLE", "ghp_" + "a1B2" * 9, "-----BEGIN RSA PRIVATE KEY-----", "https://root:hunter22@example.org/", "hf_" + "aB3d" * 9]
    rows = b"".join(json.dumps({"t": f"{prose(20, seed=n)} {key} {prose(20, seed=n + 50)}"}).encode() + b"\n" for n, key in enumerate(keys))
    mix = local({"a.jsonl": rows + good_lines()}, num_samples="all", filters=["secrets"])
    code, _, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 0, err
    assert dropped(tmp_path / "B") == {"secret": len(keys)}
    told = "".join(p.read_text(errors="replace") for p in (tmp_path / "B").glob("*.json*"))
    assert not any(key in told for key in keys)


def test_a_token_is_in_nothing_that_is_written(run: Run, hub: Hub, dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    token = "hf_" + "Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2Rr1Qq0Pp9Oo"
    monkeypatch.setenv("HF_TOKEN", token)
    name = dataset("private", chat_rows(40))
    hub.gated.add(name)
    hub.private_token = token
    mix = write_mix([{"dataset": name, "num_samples": 3, "columns": ["messages"], "formatter": "chat_completion"}])
    code, out, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 0, err
    assert f"Bearer {token}" in hub.tokens
    written = [p for p in [*tmp_path.rglob("*"), *Path(str(tmp_path)).parent.glob("cache*/**/*")] if p.is_file()]
    assert not [p for p in written if token.encode() in p.read_bytes()]
    assert token not in out + err


def test_a_token_is_not_in_a_crash_file(run: Run, write_mix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    from curator import build

    token = "hf_" + "Qq1Ww2Ee3Rr4Tt5Yy6Uu7Ii8Oo9Pp0Aa1Ss2"
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"GET https://user:{token}@example.org with Authorization: Bearer {token}")

    monkeypatch.setattr(build, "prepare", broken)
    mix = write_mix([{"source": "commitpack", "languages": ["rust"], "num_samples": 1}])
    code, out, err = run("build", mix, "--out", tmp_path / token)
    assert code == 70, err
    (crash,) = tmp_path.glob("curate-crash-*.txt")
    assert "RuntimeError" in crash.read_text()
    assert token not in crash.read_text() + out + err


def test_remote_code_is_never_trusted() -> None:
    import ast

    import curator

    said = []
    for file in Path(curator.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Constant) and node.value == "trust_remote_code"), f"{file}: a way around the keyword"
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                said.append((file.name, ast.unparse(node.value)))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained":
                assert any(k.arg == "trust_remote_code" or k.arg is None for k in node.keywords), f"{file}:{node.lineno}"
    assert said
    assert {value for _, value in said} == {"False"}, said


def chatting(local: Callable[..., Path], folder: Path, template: str, rows: list[dict[str, Any]]) -> Path:
    data = b"".join(json.dumps(r).encode() + b"\n" for r in rows)
    mix = local({"a.jsonl": data}, columns=["messages"], formatter="chat_completion", num_samples="all")
    settings = folder / "tokenizer" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}))
    return mix


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",  # 21 a chat template without end
        "{% set ns = namespace(a='aaaa') %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{% macro f(n) %}{{ g(n) }}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(9) }}",
        "{{ 'a'|center(10**10) }}",
        "{{ '%9999999999d' % 1 }}",
    ],
)
def test_chat_templates_without_end(template: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    refused(run("build", chatting(local, tmp_path, template, chat_rows(5)), "--out", tmp_path / "B"), 3, "chat template", "two short turns")


def test_a_chat_template_that_bursts_on_some_rows(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:  # 22
    template = "{% for m in messages %}{% if 'bomb' in m.content %}{{ 'a' * 10**10 }}{% endif %}<s>{{ m.content }}</s>{% endfor %}"
    rows = [{"messages": [{"role": "user", "content": f"a bomb {n}"}, {"role": "assistant", "content": "so"}]} for n in range(3)]
    code, _, err = run("build", chatting(local, tmp_path, template, rows + chat_rows(40)), "--out", tmp_path / "B")
    assert code == 0, err
    assert dropped(tmp_path / "B") == {"template_rejected": 3}


def test_chat_templates_run_no_code(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch " + str(tmp_path / "owned") + "') }}"
    code, _, err = run("build", chatting(local, tmp_path, escape, chat_rows(40)), "--out", tmp_path / "B")
    assert code in (0, 3, 4), err
    assert "a bug" not in err
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("lie", LIES)
def test_parquet_files_that_lie(lie: str, run: Run, local: Callable[..., Path], tmp_path: Path) -> None:  # 23
    make, said = LIES[lie]
    refused(run("build", local({"a.parquet": make()}), "--out", tmp_path / "B"), 3, said)


def test_times_and_bytes_in_the_arguments_of_a_call(run: Run, local: Callable[..., Path], tmp_path: Path) -> None:
    from tests.fuzz.mutations import row_files

    mix = local({"a.parquet": row_files()["b.parquet"], "b.jsonl": good_lines()}, columns=["messages"], formatter="chat_completion", num_samples="all")
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--allow-short")
    assert code in (0, 4), err
    assert "a bug" not in err
