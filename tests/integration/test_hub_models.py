"""A model of the hub: what is fetched for it, over a network that fails, and what is said when it cannot be had."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from curator import against, network, tokens
from curator.errors import SourceError, UsageError
from curator.quantize import download, oneshot
from curator.tokens import loading
from tests.conftest import _TREE, STARTER_TOKENIZER
from tests.hub import Fault, Hub

Run = Callable[..., tuple[int, str, str]]
WEIGHTS = random.Random(0).randbytes(300_000)


@pytest.fixture
def hosted(model_on_hub: Callable[..., str]) -> Callable[..., str]:
    """Put a model with weights on the hub: ``hosted("name", {path: bytes})`` gives its id."""
    return lambda name, files=None: model_on_hub(name, {"config.json": b"{}", "model.safetensors": WEIGHTS} | (files or {}))


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are too large to be held in memory, as those of real models are."""
    monkeypatch.setattr(network, "MOST_HELD", 1000)
    monkeypatch.setattr(network, "IDLE", 1.0)


def test_the_weights_are_fetched_in_one_form(hosted: Callable[..., str], hub: Hub) -> None:
    name = hosted("forms", {"pytorch_model.bin": b"x", "tokenizer.json": b"{}"})
    folder = oneshot.fetch(name)
    assert {f.name for f in folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    hub.requests.clear()
    assert oneshot.fetch(name) == folder
    assert not [r for r in hub.requests if "/resolve/" in r], "what is there is not asked for again"


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize(
    "fault",
    [Fault(status=503), Fault(status=429), Fault(reset=True), Fault(cut=True), Fault(torn=True), Fault(stall=4.0)],
    ids=["503", "429", "reset", "cut", "torn", "stall"],
)
def test_failures_that_pass_are_gone_through(fault: Fault, hosted: Callable[..., str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATE_RETRY_BUDGET", "30")
    name = hosted(f"ill{fault.cut}{fault.torn}{fault.stall}{fault.status}")
    fault.path, fault.method, fault.times = "model.safetensors", "GET", 3
    hub.fail(name, fault)
    assert (oneshot.fetch(name) / "model.safetensors").read_bytes() == WEIGHTS
    assert fault.times == 0


def test_all_files_share_one_budget(hosted: Callable[..., str], hub: Hub, run: Run, tmp_path: Path) -> None:
    name = hosted("away", {f"model-{n}.safetensors": b"x" for n in range(20)})
    hub.fail(name, Fault(status=503, path="*.safetensors"))
    started = time.monotonic()
    code, _, err = run("verify-checkpoint", tmp_path, "--source", name)
    assert time.monotonic() - started < 8, "of 2 s"
    assert code == 3, err
    for said in (
        f"model {name}: ",
        "answered 503; tried ",
        "lost to",
        "try again later (files that are whole are kept), or give it more time with CURATE_RETRY_BUDGET",
    ):
        assert said in err, err
    tries, failures = re.search(r"tried (\d+) times, .* lost to (\d+) × answered 503", err).groups()  # type: ignore[union-attr]
    assert int(failures) > int(tries), "of other files"


@pytest.mark.usefixtures("streamed")
def test_an_interrupt_does_not_wait_for_the_weights(hosted: Callable[..., str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> Iterator[None]:
        time.sleep(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(network, "IDLE", 60.0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 60)
    monkeypatch.setattr(download, "as_completed", interrupted)
    name = hosted("long")
    hub.fail(name, Fault(stall=20.0, path="model.safetensors", method="GET"))
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        oneshot.fetch(name)
    assert time.monotonic() - started < 6


def test_an_interrupt_does_not_wait_for_another_program_that_fetches_the_same(hosted: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def waiting(*_: object, **__: object) -> str:
        released.wait(30)
        return ""

    def interrupted(_: object) -> Iterator[None]:
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.hf_hub_download", waiting)
    monkeypatch.setattr(download, "as_completed", interrupted)
    name = hosted("awaited")
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        oneshot.fetch(name)
    assert time.monotonic() - started < 6
    assert all(t.daemon for t in threading.enumerate() if t.name == "model"), "the end of the program would wait for them"
    released.set()


def test_a_hub_that_moves_on_is_taken_as_it_was(hosted: Callable[..., str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    name = hosted("moving")
    fetch = download._fetch

    def moving(*arguments: object) -> None:
        fetch(*arguments)  # type: ignore[arg-type]
        before = hub.repository("models", name)
        assert before is not None
        monkeypatch.setitem(hub.past, before.commit, before)
        (_TREE / "models" / name / "more.safetensors").write_bytes(b"x")
        hub._repositories.pop(("models", name))

    monkeypatch.setattr(download, "_fetch", moving)
    folder = oneshot.fetch(name)
    assert {f.name for f in folder.iterdir()} == {"config.json", "model.safetensors"}
    hub.fail(name, Fault(status=503))
    assert oneshot.fetch(name) == folder


def test_who_reads_which_commit_is_there_reads_all_of_it(tmp_path: Path) -> None:
    noted, as_opened = tmp_path / "refs" / "main", tmp_path / "as_opened"
    noted.parent.mkdir()
    noted.write_text("before")
    as_opened.hardlink_to(noted)
    loading.note_whole(tmp_path / "snapshots" / "now", "main")
    assert (noted.read_text(), as_opened.read_text()) == ("now", "before")


@pytest.mark.parametrize("file", ["../../../../evil.txt", "/etc/evil", "..\\evil.txt"])
def test_a_file_that_would_be_elsewhere_is_refused(file: str, hosted: Callable[..., str], hub: Hub) -> None:
    name = hosted("odd")
    repository = hub.repository("models", name)
    assert repository is not None
    repository.files[file] = repository.files["config.json"]
    with pytest.raises(SourceError, match=r"model tests/odd: .*evil.* is no name within a folder"):
        oneshot.fetch(name)


def test_a_network_to_log_in_to_is_told_as_such(hosted: Callable[..., str], dataset: Callable[..., str], hub: Hub, run: Run, tmp_path: Path) -> None:
    name, kept = hosted("portal"), hosted("before")
    dataset("portal", [{"text": "x"}])
    folder = oneshot.fetch(kept)
    for repository in (name, kept):
        hub.fail(repository, Fault(portal=True))
    code, _, err = run("verify-checkpoint", tmp_path, "--source", name)
    assert code == 3, err
    assert f"model {name}: something else answers in the place of the hub (Expecting value: " in err
    assert "log in to this network, or name a folder" in err
    assert oneshot.fetch(kept) == folder
    with pytest.raises(SourceError, match=f"tokenizer {name}: something else answers"):
        tokens.load(name)
    with pytest.raises(SourceError, match=f"{name}: something else answers"):
        against.find([name], budget=network.Budget)


def test_what_is_wrong_is_said(hosted: Callable[..., str], hub: Hub, run: Run, tmp_path: Path) -> None:
    closed, refused = hosted("shut"), hosted("refused")
    hub.gated.add(closed)
    hub.fail(refused, Fault(status=501))
    for name, wanted, said in (
        (closed, 3, "gated; accept its terms on the hub and log in"),
        (refused, 3, "the hub answered 501; try again later"),
        ("tests/none", 3, "not found on the hub, or private; mend the name, log in"),
        ("/nowhere/model", 2, "neither a folder nor a hub id ORG/NAME"),
    ):
        code, _, err = run("verify-checkpoint", tmp_path, "--source", name)
        assert (code, f"model {name}: {said}" in err) == (wanted, True), err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "the hub's cache cannot be written (No space left on device: a file in it); make room"),
        (OSError(), "model tests/spent: OSError"),
    ],
    ids=["full", "silent"],
)
def test_a_disk_that_fails_is_told_as_such(error: OSError, said: str, hosted: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(SourceError) as told:
        oneshot.fetch(hosted("spent"))
    assert said in str(told.value)
    assert "not found" not in str(told.value)


def test_where_the_hub_has_no_answer_it_is_what_it_was(hosted: Callable[..., str], hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    name, partly = hosted("kept"), hosted("partly")
    folder = oneshot.fetch(name)
    hub.fail(partly, Fault(status=404, path="model.safetensors"))
    with pytest.raises(SourceError):
        oneshot.fetch(partly)
    hub.fail(name, Fault(status=503))
    notes: list[str] = []
    assert oneshot.fetch(name, note=notes.append) == folder
    assert f"model {name}: taken as it is in the hub's cache" in notes[-1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert oneshot.fetch(name) == folder
    for absent in (partly, "tests/never"):
        with pytest.raises(SourceError, match=f"model {absent}: not in the hub's cache, and HF_HUB_OFFLINE is set"):
            oneshot.fetch(absent)


@pytest.mark.parametrize("index", [False, True])
def test_what_is_there_for_a_tokenizer_alone_is_no_model(index: bool, hosted: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, hf_hub_download

    files = {f.name: f.read_bytes() for f in STARTER_TOKENIZER.iterdir()}
    parts = {"a": "model-1.safetensors", "b": "model.safetensors"}
    name = hosted(f"spoken{index}", files | ({"model.safetensors.index.json": json.dumps({"weight_map": parts}).encode()} if index else {}))
    tokens.load(name)
    for file in (*parts.values(), "model.safetensors.index.json")[1:] if index else ():
        hf_hub_download(name, file)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="not in the hub's cache, and HF_HUB_OFFLINE is set"):
        oneshot.fetch(name)


def test_a_file_that_the_hub_gives_its_own_program_only(hosted: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LARGEST", 200_000)
    with pytest.raises(SourceError, match=r"model\.safetensors has 0 GB, too many to be fetched here; fetch it with `hf download tests/huge`"):
        oneshot.fetch(hosted("huge"))


def test_a_folder_is_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json there"):
        oneshot.fetch(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    assert oneshot.fetch(str(tmp_path)) == tmp_path
