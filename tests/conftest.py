"""A loopback hub that runs for the whole session, and builders of the small datasets and tokenizers that tests serve from it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.hub import Hub, serve

# huggingface_hub reads these when it is imported, which no test may do before this line.
_SCRATCH = Path(tempfile.mkdtemp(prefix="curate-tests-"))
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
_TREE = _SCRATCH / "hub"
(_TREE / "datasets").mkdir(parents=True)
(_TREE / "models").mkdir()
_SERVER = serve(_TREE)
ENDPOINT, HUB = _SERVER.__enter__()
# Not left to the interpreter: its last collection would wait for a server thread that it has already stopped.
atexit.register(_SERVER.__exit__, None, None, None)
os.environ |= {"HF_ENDPOINT": ENDPOINT, "HF_HOME": str(_SCRATCH / "home"), "HF_HUB_DISABLE_TELEMETRY": "1", "CURATE_RETRY_BUDGET": "2"}
os.environ.pop("HF_TOKEN", None)

REPOSITORY = Path(__file__).resolve().parent.parent
STARTER_TOKENIZER = REPOSITORY / "sources" / "starter" / "tokenizer"


def mirror_folder() -> Path | None:
    """The folder of real rows: CURATE_MIRROR, or a `mirror` in a folder beside the checkout."""
    named = os.environ.get("CURATE_MIRROR")
    places = [Path(named)] if named else sorted(REPOSITORY.parent.glob("*/mirror"))
    return next((p for p in places if (p / "datasets").is_dir()), None)


@pytest.fixture(scope="session")
def mirror() -> Path:
    folder = mirror_folder()
    if folder is None:
        pytest.skip("no folder of real rows; name one with CURATE_MIRROR")
    return folder


@pytest.fixture
def hub() -> Iterator[Hub]:
    """The hub's state, with its faults forgotten afterwards."""
    yield HUB
    HUB.faults.clear()
    HUB.gated.clear()
    HUB.requests.clear()
    HUB.arrived.clear()
    HUB.private_token = None
    HUB.bad_weather = 0.0
    HUB.struck.clear()
    HUB.tokens.clear()
    HUB.past.clear()
    _forget_what_clients_saw()


def _forget_what_clients_saw() -> None:
    """A client remembers for a whole process which commits were not there. The next test serves the same bytes, so the same commit."""
    from huggingface_hub import HfFileSystem

    HfFileSystem.clear_instance_cache()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own: what one test pulled is nothing to the next."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CURATE_CACHE", str(folder))
    return folder


@pytest.fixture
def dataset(hub: Hub, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Put a dataset on the hub: ``dataset("name", rows)`` as parquet, or ``files={path: bytes}``; gives its id."""
    made: list[str] = []

    def make(
        name: str, rows: list[dict[str, Any]] | None = None, *, files: dict[str, bytes] | None = None, card: str = "", split: str = "train", groups: int = 1000
    ) -> str:
        repository = f"tests/{name}"
        folder = _TREE / "datasets" / repository
        folder.mkdir(parents=True)
        made.append(repository)
        if card:
            (folder / "README.md").write_text(f"---\n{card}\n---\n", encoding="utf-8")
        if rows is not None:
            import pyarrow as pa
            import pyarrow.parquet as pq

            (folder / "data").mkdir()
            pq.write_table(pa.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet", row_group_size=groups)
        for path, data in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return repository

    yield make
    for repository in made:
        shutil.rmtree(_TREE / "datasets" / repository)
        hub._repositories.pop(("datasets", repository), None)


@pytest.fixture
def model_on_hub(hub: Hub) -> Iterator[Callable[[str, dict[str, bytes]], str]]:
    """Put a model on the hub: ``model_on_hub("name", {path: bytes})`` gives its id."""
    made: list[str] = []

    def make(name: str, files: dict[str, bytes]) -> str:
        made.append(f"tests/{name}")
        for path, data in files.items():
            file = _TREE / "models" / made[-1] / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return made[-1]

    yield make
    for repository in made:
        shutil.rmtree(_TREE / "models" / repository)
        hub._repositories.pop(("models", repository), None)


@pytest.fixture
def write_mix(tmp_path: Path) -> Callable[..., Path]:
    """Write a mix file: ``write_mix([entries], max_seq_length=256, ...)``."""

    def write(entries: list[dict[str, Any]], **settings: Any) -> Path:
        file = tmp_path / "mix.yaml"
        root = {"max_seq_length": 256, "tokenizer": "starter", "datasets": entries} | settings
        file.write_text(json.dumps({"calibration_set": root}, indent=1), encoding="utf-8")
        return file

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: ``run("validate", file)`` gives (code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from curator import cli

        monkeypatch.setattr("sys.argv", ["curate", *map(str, arguments)])
        with mock.patch.dict(os.environ), pytest.raises(SystemExit) as stopped:  # what a command sets is gone with its process
            cli.main()
        printed = capsys.readouterr()
        return int(stopped.value.code or 0), printed.out, printed.err

    return call


def small_tokenizer(folder: Path) -> Path:
    """A tokenizer of a few hundred tokens, with a chat template, that loads in no time."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator([prose(2000)], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    template = "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}"
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template, "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def prose(words: int, *, seed: int = 0) -> str:
    """Text without meaning that differs with its seed: ``words`` words."""
    import random

    rng = random.Random(seed)
    vocabulary = [
        "the",
        "a",
        "river",
        "stone",
        "keeps",
        "under",
        "light",
        "when",
        "we",
        "turn",
        "four",
        "wheels",
        "of",
        "salt",
        "and",
        "copper",
        "into",
        "slow",
        "bright",
        "rooms",
        "for",
        "nobody",
    ]
    return " ".join(rng.choice(vocabulary) + (str(rng.randrange(1000)) if rng.random() < 0.3 else "") for _ in range(words))


def chat_rows(count: int, *, words: int = 60) -> list[dict[str, Any]]:
    """Rows with ``messages``, all different."""
    return [
        {"messages": [{"role": "user", "content": prose(12, seed=2 * n)}, {"role": "assistant", "content": prose(words, seed=2 * n + 1)}]} for n in range(count)
    ]
