"""A network that fails: what is tried again, for how long, what it costs, and what is said in the end."""

from __future__ import annotations

import gzip
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from curator import network
from curator.slots import Slot
from tests.conftest import ENDPOINT, chat_rows, prose, small_tokenizer
from tests.hub import WEATHER, Fault, Hub
from tests.integration.test_resume import bytes_of, described

Run = Callable[..., tuple[int, str, str]]
TOKEN = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC2dE4f"
ENTRY = {"columns": ["messages"], "formatter": "chat_completion", "category": "Chat"}


@pytest.fixture
def small(dataset: Callable[..., str], write_mix: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A mix of one source for each name, which owes 3 samples."""

    def make(*names: str) -> Path:
        rows = [[{"t": prose(120, seed=1000 * p + n)} for n in range(40)] for p, _ in enumerate(names)]
        text = {"columns": ["t"], "formatter": "raw_text", "num_samples": 3}
        entries = [{"dataset": dataset(n, r), "category": n, **text} for n, r in zip(names, rows, strict=True)]
        return write_mix(entries, tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))

    return make


def test_three_requests_in_ten_fail_and_the_bytes_are_the_same(
    run: Run, dataset: Callable[..., str], write_mix: Callable[..., Path], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "IDLE", 1.0)
    text = {"columns": ["t"], "formatter": "raw_text"}
    lines = b"".join(b'{"t": "%s"}\n' % prose(200, seed=n).encode() for n in range(3000))
    entries = [{"dataset": dataset(f"w{n}", chat_rows(500)[n * 100 : (n + 1) * 100], groups=10), "num_samples": 20, **ENTRY} for n in range(4)]
    entries.append({"dataset": dataset("w-lines", files={"a.jsonl": lines}), "data_files": "a.jsonl", "num_samples": 100, **text})
    mix = write_mix(entries, tokenizer=str(small_tokenizer(tmp_path / "tokenizer")))
    costs = []
    for name, share in (("fair", 0.0), ("foul", 0.3)):
        hub.bad_weather = share
        hub.requests.clear()
        started = time.monotonic()
        code, _, err = run("build", mix, "--out", tmp_path / name, "--no-cache", "--retry-budget", "200")
        assert code == 0, err
        costs.append((hub.requests.total(), time.monotonic() - started))
    assert bytes_of(tmp_path / "foul") == bytes_of(tmp_path / "fair")
    assert described(tmp_path / "foul") == described(tmp_path / "fair")
    assert len(hub.struck) == len(WEATHER), "every kind of failure came up"
    assert hub.struck.total() >= 0.25 * costs[1][0]
    assert f"{hub.struck.total()} requests failed and were sent again" in err
    print(f"fair: {costs[0][0]} requests, {costs[0][1]:.1f} s; with 30 % failing: {costs[1][0]} requests, {costs[1][1]:.1f} s")


KINDS = (
    Fault(delay=0.3),
    Fault(stall=0.6, path="*.parquet", times=4),
    Fault(status=429, retry_after="1", times=3),
    Fault(cut=True, times=3),
    Fault(reset=True, times=4),
)


@pytest.mark.parametrize("jobs", [1, 3])
def test_whatever_sources_wait_for_and_however_many_take_turns(jobs: int, run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    for name, seconds in (("IDLE", 1.0), ("SLOW", 0.1), ("FIRST_WAIT", 0.05), ("LONGEST_WAIT", 0.3)):
        monkeypatch.setattr(network, name, seconds)
    names = [f"many{n}" for n in range(12)]
    mix, rng = small(*names), random.Random(jobs)
    assert run("build", mix, "--out", tmp_path / "fair", "--no-cache")[0] == 0
    for name in rng.sample(names, 8):
        hub.fail(f"tests/{name}", replace(rng.choice(KINDS)))
    hub.bad_weather = 0.2
    for out, cache in (("cold", []), ("none", ["--no-cache"])):
        code, _, err = run("build", mix, "--out", tmp_path / out, "--jobs", jobs, "--retry-budget", 120, *cache)
        assert code == 0, err
        assert bytes_of(tmp_path / out) == bytes_of(tmp_path / "fair")
    assert not [t.name for t in threading.enumerate() if t.name.startswith(("pull", "resolve"))]


def test_retry_after_is_honoured(run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    mix = small("later")
    hub.fail("tests/later", Fault(status=429, retry_after="2", times=1))
    started = time.monotonic()
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--retry-budget", "10")
    assert code == 0, err
    assert time.monotonic() - started >= 2


@pytest.mark.parametrize("asked", ["0", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_a_server_that_asks_for_no_wait_is_not_flooded(asked: str, run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    mix = small("now")
    hub.fail("tests/now", Fault(status=429, retry_after=asked))
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--retry-budget", "2")
    assert code == 3
    assert "answered 429" in err
    assert hub.requests.total() < 20


@pytest.mark.parametrize("command", [["build", "--out", "B"], ["plan"], ["lock"]])
def test_every_command_that_advises_to_give_more_time_can(command: list[str], run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    mix = small("busy")
    hub.fail("tests/busy", Fault(status=503, times=4))
    code, _, err = run(*command, mix, "--retry-budget", "0.6")
    assert code == 3
    assert "of 1 s lost to" in err
    assert "give it more time with --retry-budget" in err
    code, _, err = run(*command, mix, "--retry-budget", "60")
    assert code == 0, err
    assert "requests failed and were sent again" in err


@pytest.mark.parametrize("command", ["build", "report"])
def test_a_benchmark_has_a_budget_of_its_own(command: str, run: Run, small: Callable[..., Path], dataset: Callable[..., str], hub: Hub, tmp_path: Path) -> None:
    mix, exam = small("taught"), dataset("exam", [{"t": prose(60)}], split="test")
    if command == "report":
        assert run("build", mix, "--out", tmp_path / "B")[0] == 0
    told = ["report", tmp_path / "B"] if command == "report" else ["build", mix, "--out", tmp_path / "B"]
    hub.fail(exam, Fault(status=503, times=6))
    started = time.monotonic()
    code, _, err = run(*told, "--against", exam, "--retry-budget", "1.2")
    assert code == 3
    assert time.monotonic() - started < 20
    assert f"--against {exam}: " in err
    assert "answered 503" in err
    assert "of 1 s lost to" in err
    hub.faults.clear()
    hub.fail(exam, Fault(status=503, times=2))
    code, _, err = run(*told, "--against", exam, "--retry-budget", "60")
    assert code == 0, err
    assert "2 requests failed and were sent again" in err


def test_a_wait_that_is_longer_than_the_budget_is_not_begun(run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    mix = small("muchlater")
    hub.fail("tests/muchlater", Fault(status=429, retry_after="3600"))
    started = time.monotonic()
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--retry-budget", "5")
    assert code == 3
    assert time.monotonic() - started < 5
    for said in ("tests/muchlater", "answered 429", "asks to wait 3600 s", "--retry-budget"):
        assert said in err, err


def test_the_end_of_the_budget_names_the_source_and_what_was_tried(run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    mix = small("one", "two", "three")
    hub.fail("tests/one", Fault(status=503))
    hub.fail("tests/two", Fault(reset=True, path="*.parquet"))
    started = time.monotonic()
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--retry-budget", "1.5")
    assert code == 3
    assert time.monotonic() - started < 20
    assert "2 sources cannot be used" in err
    assert "tests/one" in err
    assert "answered 503" in err
    assert "tests/two" in err
    assert "tests/three" not in err
    assert "Traceback" not in err


def test_a_slow_source_holds_up_nobody_else(run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    names = [f"s{n}" for n in range(6)]
    mix = small(*names)
    run("lock", mix)  # so that only rows are slow
    for name in names[1:]:
        hub.fail(f"tests/{name}", Fault(delay=0.15, path="*.parquet"))
    hub.fail("tests/s0", Fault(delay=1.5, path="*.parquet"))
    finished: dict[str, float] = {}
    watching = threading.Event()
    started = time.monotonic()

    def watch() -> None:
        while not watching.wait(0.02):
            for name in names:
                if any(f"/{name}/resolve/" in r for r in list(hub.requests)):
                    finished.setdefault(name, time.monotonic() - started)

    thread = threading.Thread(target=watch)
    thread.start()
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--jobs", "2")
    took = time.monotonic() - started
    watching.set()
    thread.join()
    assert code == 0, err
    assert max(finished.values()) < took - 1.0, f"all were asked long before the slow one was done: {finished}, {took:.1f} s"


@pytest.mark.parametrize("fault", [Fault(status=429, retry_after="6"), Fault(delay=4.0)], ids=["429", "slow"])
def test_as_many_failing_sources_as_workers_hold_up_nobody(fault: Fault, run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(network, "SLOW", 0.5)
    ill, well = ([f"{kind}{n}-{fault.delay:.0f}" for n in range(count)] for kind, count in (("ill", 10), ("well", 3)))  # Arrow reads on eight threads
    names = [*ill, *well]
    mix = small(*names)
    run("lock", mix)  # so that only rows fail
    hub.arrived.clear()
    for name in ill:
        hub.fail(f"tests/{name}", replace(fault, path="*.parquet", times=None if fault.status else 1))
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--jobs", "2", "--retry-budget", "8")
    assert code == (3 if fault.status else 0), err
    rows = [r.split("/")[3] for r in hub.arrived if r.endswith(".parquet")]
    first = {name: rows.index(name) for name in names}
    again = min(n for n, name in enumerate(rows) if name in ill and n > first[name])
    last = max(n for n, name in enumerate(rows) if name in well)
    assert last < again, f"all that is well was pulled before anything was tried again: {rows}"


def test_waiting_for_another_build_holds_up_nobody(run: Run, small: Callable[..., Path], hub: Hub, tmp_path: Path) -> None:
    import filelock

    from curator.cache import Cache

    mix = small("shared", "own")
    assert run("build", mix, "--out", tmp_path / "A")[0] == 0
    for kept in Cache.find().entries():
        for file in kept.folder.glob("*.batch"):
            file.unlink()
    run("lock", mix)  # so that only rows are asked for
    (shared,) = (k.folder for k in Cache.find().entries() if k.about["source"] == "shared")
    hub.arrived.clear()
    other = filelock.FileLock(shared.with_suffix(".lock"), thread_local=False)
    other.acquire()
    asked: list[str] = []

    def until_own_is_pulled() -> None:
        until = time.monotonic() + 10
        while not asked and time.monotonic() < until:
            asked.extend(r for r in hub.arrived if "/own/resolve/" in r and r.startswith("GET"))
            time.sleep(0.05)
        other.release()

    thread = threading.Thread(target=until_own_is_pulled)
    thread.start()
    code, _, err = run("build", mix, "--out", tmp_path / "B", "--jobs", "1")
    thread.join()
    assert code == 0, err
    assert asked
    assert bytes_of(tmp_path / "B") == bytes_of(tmp_path / "A")


class Quiet(ThreadingHTTPServer):
    """A server that says nothing of clients that have gone."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        pass


class Answering(BaseHTTPRequestHandler):
    """What a server does with a request, without a log."""

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(answering: type[Answering]) -> Iterator[int]:
    """The port of a server on this machine."""
    server = Quiet(("127.0.0.1", 0), answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def elsewhere() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """The port of a server that is no hub, and the method and headers of each request that came there."""
    heard: list[tuple[str, str]] = []

    class Other(Answering):
        def do_GET(self) -> None:
            heard.append((self.command, str(self.headers)))
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

    with serving(Other) as port:
        yield port, heard


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_token_goes_to_the_hub_and_to_nobody_else(
    host: str, run: Run, small: Callable[..., Path], hub: Hub, elsewhere: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    port, heard = elsewhere
    mix = small("moved")
    hub.fail("tests/moved", Fault(redirect=f"http://{host}:{port}", path="*.parquet"))
    code, out, err = run("build", mix, "--out", tmp_path / "B")
    assert code == 3
    assert heard, "the redirect was followed"
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert all(TOKEN not in headers and "uthorization" not in headers for _, headers in heard)
    assert TOKEN not in out + err


def test_a_redirect_to_another_port_of_the_hub_takes_no_token_along(small: Callable[..., Path], hub: Hub, elsewhere: Any) -> None:
    """Before version 2, huggingface_hub takes it for the hub, and follows a HEAD on its own with all headers."""
    from huggingface_hub import get_hf_file_metadata, get_session
    from huggingface_hub.errors import HfHubHTTPError

    network.be_patient()
    port, heard = elsewhere
    small("aside")
    url = f"{ENDPOINT}/datasets/tests/aside/resolve/main/a.json"
    hub.fail("tests/aside", Fault(redirect=f"http://127.0.0.1:{port}"))
    with suppress(HfHubHTTPError):
        get_hf_file_metadata(url, token=TOKEN)
    get_session().get(url, headers={"Authorization": f"Bearer {TOKEN}"})
    follows = int(huggingface_hub.__version__.split(".")[0]) < 2
    assert [method for method, _ in heard] == (["HEAD", "GET"] if follows else ["GET"])
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert "uthorization" not in str(heard)


@pytest.mark.parametrize(
    ("endpoint", "url", "kept"),
    [
        ("https://huggingface.co", "https://huggingface.co:443/a", True),
        ("https://huggingface.co", "http://huggingface.co/a", False),
        ("https://mirror.example/hf", "https://mirror.example/hf/a", True),
        ("https://mirror.example/hf", "https://huggingface.co/a", False),
    ],
)
def test_the_token_is_for_the_endpoint(endpoint: str, url: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    request = httpx.Request("HEAD", url, headers={"Authorization": f"Bearer {TOKEN}"})
    network._keep_token(request)
    assert ("authorization" in request.headers) == kept


@pytest.fixture
def dripping() -> Iterator[str]:
    """The address of a server that sends a byte of a header every 0.2 s, and never the last."""
    ended = threading.Event()

    class Drip(Answering):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            while not ended.wait(0.2):
                self.wfile.write(b"x")

    with serving(Drip) as port:
        yield f"http://127.0.0.1:{port}/a"
        ended.set()


def asked(address: str, budget: network.Budget) -> tuple[str, float]:
    """What is said of an address that does not answer, and after how many seconds."""
    from huggingface_hub import get_session

    network.be_patient()
    started = time.monotonic()
    with network.spending(budget), pytest.raises(network.GaveUp) as error:
        get_session().get(address)
    return str(error.value), time.monotonic() - started


def test_headers_that_drip_have_one_time_limit(dripping: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "IDLE", 1.0)
    said, seconds = asked(dripping, network.Budget(seconds=0.5))
    assert "stalled; tried 1 times" in said
    assert 0.9 < seconds < 5


def test_waiting_for_an_answer_ends_when_nobody_wants_it(dripping: str) -> None:
    budget = network.Budget("a")
    threading.Timer(0.5, budget.close).start()
    said, seconds = asked(dripping, budget)
    assert "nobody waits" in said
    assert seconds < 5


@pytest.fixture
def endless() -> Iterator[str]:
    """The address of a server whose answer has no end; with ``?packed`` it is a few KB of gzip that become 64 MB."""

    class Endless(Answering):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            packed = gzip.compress(bytes(64 << 20)) if "packed" in self.path else b""
            if packed:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            part = packed or b"x" * (1 << 16)
            with suppress(OSError):
                while True:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                    if packed:
                        self.wfile.write(b"0\r\n\r\n")
                        return

    with serving(Endless) as port:
        yield f"http://127.0.0.1:{port}/a"


@pytest.mark.parametrize("how", ["", "?packed"])
def test_an_answer_without_end_is_given_up(how: str, endless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_HELD", 4 << 20)
    said, seconds = asked(endless + how, network.Budget("a"))
    assert "an answer of more than 4 MiB" in said
    assert seconds < 10


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that nobody answers, as behind a firewall: its queue of connections is full."""
    with socket.socket() as listening, ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a"


def test_connecting_ends_when_nobody_wants_it(black_hole: str) -> None:
    budget = network.Budget("a")
    threading.Timer(0.5, budget.close).start()
    said, seconds = asked(black_hole, budget)
    assert "nobody waits" in said
    assert seconds < 5


def test_connecting_has_one_time_limit_and_keeps_no_slot(black_hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "IDLE", 2.0)
    monkeypatch.setattr(network, "SLOW", 0.5)
    only = threading.Semaphore(1)
    taken = threading.Timer(1.5, lambda: happened.append(only.acquire(blocking=False)))
    happened: list[bool] = []
    taken.start()
    with Slot(only).taken():
        threading.Timer(1.8, only.release).start()
        said, seconds = asked(black_hole, network.Budget(seconds=0.5))
    assert "no connection in time" in said
    assert seconds < 6
    assert happened == [True]


def test_an_answer_does_not_wait_for_a_hundred_others(dripping: str, hub: Hub, dataset: Callable[..., str]) -> None:
    from huggingface_hub import HfApi

    name, budget = dataset("waiting", chat_rows(3)), network.Budget("a")
    network.be_patient()
    with ThreadPoolExecutor(120) as executor:
        waiting = [executor.submit(asked, dripping, budget) for _ in range(120)]
        time.sleep(3)
        started = time.monotonic()
        try:
            assert HfApi().dataset_info(name).id == name
        finally:
            budget.close()
        assert time.monotonic() - started < 5
    assert all("nobody waits" in done.result()[0] for done in waiting)


def test_tokens_are_taken_out_of_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-form")
    text = "Authorization: Bearer abc.def and hf_abcdefghijklmnopqrstuvwxyz0123 and a-token-of-another-form"
    assert network.redacted(text) == "Authorization: Bearer [token] and [token] and [token]"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -2359"}, None),
        ({}, None),
        ({"RateLimit": '"api";r=0;t=12'}, 12),
        ({"RateLimit": '"api";r=5;t=12'}, None),
    ],
)
def test_what_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert network.asked_to_wait(headers) == seconds


def test_a_date_to_wait_for() -> None:
    from datetime import UTC, datetime, timedelta
    from email.utils import format_datetime

    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    asked = network.asked_to_wait({"Retry-After": moment})
    assert asked is not None
    assert 25 < asked <= 30


def test_jitter_comes_from_a_seed() -> None:
    waits = [[network.Budget("a")._backoff(n) for n in range(1, 8)] for _ in range(2)]
    assert waits[0] == waits[1]
    assert waits[0] != [network.Budget("b")._backoff(n) for n in range(1, 8)]
    assert all(network.FIRST_WAIT / 2 <= w <= network.LONGEST_WAIT for w in waits[0])
