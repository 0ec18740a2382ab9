"""A tokenizer of the hub: what is fetched for it, over a network that fails, and what is said when it cannot be had."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from curator import network, tokens
from curator.errors import SourceError
from curator.tokens import loading
from tests.conftest import _TREE, small_tokenizer
from tests.hub import Fault, Hub

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hosted(model_on_hub: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Put a small tokenizer on the hub, with more files: ``hosted("name", {path: bytes})`` gives its id."""
    own = {file.name: file.read_bytes() for file in small_tokenizer(tmp_path_factory.mktemp("tokenizer")).iterdir()}
    return lambda name, files=None: model_on_hub(name, own | (files or {}))


@pytest.fixture
def mix(write_mix: Callable[..., Path], tmp_path: Path) -> Callable[[str], Path]:
    """A mix whose only part on the hub is its tokenizer."""
    (tmp_path / "rows.txt").write_text("word " * 400)
    return lambda name: write_mix([{"path": "rows.txt", "columns": ["text"], "formatter": "raw_text", "num_samples": 1}], tokenizer=name)


def commit_of(hub: Hub, name: str) -> str:
    repository = hub.repository("models", name)
    assert repository is not None
    return repository.commit


def test_nothing_but_the_tokenizer_is_fetched(hosted: Callable[..., str], hub: Hub) -> None:
    others = ("model.safetensors", "pytorch_model.bin", "vocab.pkl", "tokenization_evil.py", "checkpoint-5/tokenizer.json", "README.md")
    extra = {"config.json": b"{}", "chat_template.jinja": b"T", "additional_chat_templates/tool_use.jinja": b"U"}
    name = hosted("whole", dict.fromkeys(others, b"x") | extra)
    encoder = tokens.load(name)
    assert encoder.identity.revision == commit_of(hub, name)
    assert "tool_use" in encoder.template
    fetched = {r.rsplit("/resolve/", 1)[1].split("/", 1)[1] for r in hub.requests if "/resolve/" in r}
    assert fetched == {"tokenizer.json", "tokenizer_config.json", *extra}


def test_it_is_the_same_as_from_a_folder(hosted: Callable[..., str]) -> None:
    name = hosted("same")
    one, other = tokens.load(name).identity, tokens.load(str(_TREE / "models" / name)).identity
    assert (one.sha256, one.chat_template_sha256, one.vocab_size) == (other.sha256, other.chat_template_sha256, other.vocab_size)


@pytest.mark.parametrize("fault", [Fault(cut=True), Fault(stall=3.0), Fault(status=503), Fault(reset=True)], ids=["cut", "stall", "503", "reset"])
def test_failures_are_told_at_the_end_of_the_budget(fault: Fault, hosted: Callable[..., str], mix: Callable[..., Path], hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(network, "IDLE", 0.5)
    name = hosted(f"ill{fault.cut}{fault.stall}{fault.status}")
    fault.path, fault.times = "tokenizer.json", None
    hub.fail(name, fault)
    started = time.monotonic()
    code, _, err = run("plan", mix(name))
    assert code == 3, err
    assert time.monotonic() - started < 15
    for said in (f"tokenizer {name}", "tokenizer.json: ", "tried ", "lost to", "--retry-budget"):
        assert said in err, err
    assert any(kind in err for kind in ("answer cut short", "stalled", "answered 503", "connection reset")), err


def test_failures_that_pass_are_gone_through(hosted: Callable[..., str], mix: Callable[..., Path], hub: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(network, "IDLE", 0.5)
    name = hosted("passing")
    for fault in (Fault(cut=True), Fault(stall=3.0), Fault(status=503), Fault(status=429)):
        fault.path, fault.times = "tokenizer*.json", 1
        hub.fail(name, fault)
    code, _, err = run("build", mix(name), "--out", tmp_path / "B", "--retry-budget", "30")
    assert code == 0, err
    assert "requests failed and were sent again" in err
    assert not [f for f in hub.faults[name] if f.times]


def test_a_gated_one_and_one_that_is_not_there(hosted: Callable[..., str], mix: Callable[..., Path], hub: Hub, run: Run) -> None:
    name = hosted("closed")
    hub.gated.add(name)
    code, _, err = run("plan", mix(name))
    assert (code, f"tokenizer {name}: gated; accept its terms on the hub and log in" in err) == (3, True), err
    code, _, err = run("plan", mix("tests/none"))
    assert (code, "tokenizer tests/none: not found on the hub" in err) == (3, True), err


def test_what_is_wrong_is_said_and_not_that_it_is_not_there(hosted: Callable[..., str], hub: Hub) -> None:
    name = hosted("there")
    with pytest.raises(SourceError, match=r"no revision 'v9'; mend `tokenizer_revision`, or leave it out for main$") as error:
        tokens.load(name, revision="v9")
    assert error.value.exit_code == 3
    with pytest.raises(SourceError, match="or leave it out for main, or take what there is with --update, if it is locked"):
        tokens.load(name, revision="0" * 40)
    hub.fail(name, Fault(status=501))
    with pytest.raises(SourceError, match=f"tokenizer {name}: the hub answered 501; try again later"):
        tokens.load(name)


def test_one_that_is_kept_needs_no_network(hosted: Callable[..., str], mix: Callable[..., Path], hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    name, absent = hosted("kept"), hosted("absent")
    before = tokens.load(name).identity
    hub.fail(name, Fault(status=503))
    with network.spending(network.Budget(seconds=0.1)):
        assert tokens.load(name, revision=before.revision).identity == before, "a commit, and the hub is down"
        with pytest.raises(SourceError, match="answered 503"):
            tokens.load(name)
    hub.faults.clear()
    hub.fail(name, Fault(status=404))
    assert tokens.load(name, revision=before.revision).identity == before, "a commit that is gone"
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert tokens.load(name, revision=before.revision).identity == before
    code, _, err = run("plan", mix(absent))
    assert code == 3
    assert all(said in err for said in (f"tokenizer {absent}", "HF_HUB_OFFLINE is set")), err
    assert not hub.requests


@pytest.mark.parametrize("vocabulary", ["tokenizer.json", "vocab.json and merges.txt"])
def test_without_a_network_a_branch_is_what_it_was(vocabulary: str, hosted: Callable[..., str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, hf_hub_download

    name = hosted(f"branch{len(vocabulary)}")
    folder = _TREE / "models" / name
    if vocabulary != "tokenizer.json":
        model = json.loads((folder / "tokenizer.json").read_text())["model"]
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").unlink()
        (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in model["merges"]))
        (folder / "config.json").write_text('{"model_type": "gpt2"}')
    fetched = tokens.load(name).identity
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert [tokens.load(name, revision=r).identity for r in (None, "main", fetched.revision)] == [fetched] * 3
    assert Path(hf_hub_download(name, "tokenizer.json" if vocabulary == "tokenizer.json" else "vocab.json")).parent.name == fetched.revision, "other programs"
    with pytest.raises(SourceError, match="HF_HUB_OFFLINE is set"):
        tokens.load(name, revision="v1")
    assert not hub.requests


def test_a_cache_that_cannot_be_written_is_told(hosted: Callable[..., str], dataset: Callable[..., str], write_mix: Callable[..., Path], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    from huggingface_hub import constants

    rows = dataset("unkept", [{"t": "word"}], card="license: mit")
    mix = write_mix([{"dataset": rows, "columns": ["t"], "formatter": "raw_text", "num_samples": 1}], tokenizer=hosted("unkept"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/sys/none")
    code, _, err = run("plan", mix)
    assert code == 3
    assert err.count("the hub's cache cannot be written") == 2, err
    assert "HF_HOME" in err


def test_files_that_no_tokenizer_has_are_not_fetched(hosted: Callable[..., str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    name = hosted("large", {"vocab.txt": b"x" * 5000})
    monkeypatch.setattr(loading, "MAX_BYTES", 5 << 10)
    with pytest.raises(SourceError, match="its files are more than"):
        tokens.load(name)
    assert not [r for r in hub.requests if "/resolve/" in r]
