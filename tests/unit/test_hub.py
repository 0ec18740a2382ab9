"""The loopback hub answers as the real one does, and fails as told."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from tests.conftest import ENDPOINT, chat_rows
from tests.hub import Fault, Hub


def test_ranges_and_heads(hub: Hub, dataset: Callable[..., str]) -> None:
    name = dataset("ranges", files={"a.txt": b"0123456789"})
    url = f"{ENDPOINT}/datasets/{name}/resolve/main/a.txt"
    assert httpx.get(url).content == b"0123456789"
    part = httpx.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert httpx.get(url, headers={"Range": "bytes=-3"}).content == b"789"
    head = httpx.head(url)
    assert (head.content, head.headers["x-linked-size"]) == (b"", "10")
    assert len(head.headers["x-repo-commit"]) == 40


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_faults_strike_as_often_as_told(status: int, hub: Hub, dataset: Callable[..., str]) -> None:
    name = dataset(f"fault{status}", files={"a.txt": b"x"})
    hub.fail(name, Fault(status=status, path="a.txt", times=2))
    url = f"{ENDPOINT}/datasets/{name}/resolve/main/a.txt"
    assert [httpx.get(url).status_code for _ in range(3)] == [status, status, 200]


def test_cut_bodies_and_delays(hub: Hub, dataset: Callable[..., str]) -> None:
    name = dataset("cut", files={"a.txt": b"x" * 1000})
    hub.fail(name, Fault(cut=True, path="a.txt", times=1))
    hub.fail(name, Fault(delay=0.2, path="a.txt", times=1))
    url = f"{ENDPOINT}/datasets/{name}/resolve/main/a.txt"
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url)
    started = time.monotonic()
    assert len(httpx.get(url).content) == 1000
    assert time.monotonic() - started > 0.2


def test_a_gated_dataset_opens_with_its_token(hub: Hub, dataset: Callable[..., str]) -> None:
    name = dataset("gate", chat_rows(3))
    hub.gated.add(name)
    hub.private_token = "tests-only"
    url = f"{ENDPOINT}/datasets/{name}/resolve/main/data/train-00000-of-00001.parquet"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"Authorization": "Bearer other"}).status_code == 403
    assert httpx.get(url, headers={"Authorization": "Bearer tests-only"}).status_code == 200
    assert httpx.get(f"{ENDPOINT}/api/datasets/{name}").json()["gated"] == "manual"


def test_a_build_outlives_errors_that_pass(
    hub: Hub, dataset: Callable[..., str], run: Callable[..., tuple[int, str, str]], write_mix: Callable[..., object]
) -> None:
    name = dataset("flaky", chat_rows(60))
    hub.fail(name, Fault(status=503, path="*.parquet", times=1))
    mix = write_mix([{"dataset": name, "columns": ["messages"], "formatter": "chat_completion", "num_samples": 2}])
    code, _, err = run("build", mix, "--out", f"{mix}.build")
    assert code == 0, err
