"""Several processes, one for each GPU, calibrate one model together, each on its share of the samples. Hides how they are started, how
they find each other, and what becomes of the others when one of them fails.

The processes know each other by the variables that torchrun sets (https://docs.pytorch.org/docs/stable/elastic/run.html), so that
either can start them. llm-compressor adds up what each of them saw. The first one alone prints and writes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import IO, Any, TypeVar

from curator.errors import INTERRUPTED, QuantizeError, UsageError

PATIENCE = timedelta(days=2)  # one process may evaluate while the others wait for it; `launch` notices those that have died
GRACE = 20.0  # seconds between asking a process to end and ending it
POLL = 0.2
SHOWN = 2000  # characters of what a failed process said
LIFELINE = "CURATE_LIFELINE"  # the number of a pipe's end that reads as closed when the launcher has gone

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Started:
    rank: int
    process: subprocess.Popen[bytes]
    said: IO[bytes] | None  # the errors of all but the first, which has the terminal


def launch(count: int, words: Sequence[str]) -> int:
    """Run ``curate`` with ``words`` in ``count`` processes and give the exit code of the first. Raises UsageError where there are not
    so many GPUs, and QuantizeError where another than the first fails. None is left at work, even where this process is killed."""
    _refuse_more_than_there_are(count)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(count)}
    started: list[_Started] = []
    with _lifeline() as line:  # until all have ended: one that is told of it by line and signal is interrupted while it clears up
        address[LIFELINE] = str(line)
        try:
            with _terminated_as_interrupted():
                started.extend(_start(rank, words, address) for rank in range(count))  # those begun are in it, whenever it ends
                failed = _wait(started)
        except KeyboardInterrupt:  # the terminal has told them too
            return INTERRUPTED
        finally:
            _end(started)
    if failed is not None and failed.rank:
        raise QuantizeError(f"the process of GPU {failed.rank} failed (code {failed.process.returncode}): {_last_words(failed)}")
    return int(started[0].process.returncode)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends this process as Ctrl-C does; left to itself it would leave the others at work, with nobody to wait for them."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _lifeline() -> Iterator[int]:
    """The end of a pipe that the processes hold; the system closes the other end with this process, however that ends."""
    held, kept = os.pipe()
    try:
        yield held
    finally:
        os.close(held)
        os.close(kept)


def _end_with_the_launcher() -> None:
    """Have this process interrupted when the one that launched it has gone, and ended where it does not heed that."""

    def wait(line: int) -> None:
        os.read(line, 1)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(GRACE)
        os._exit(INTERRUPTED)

    if LIFELINE in os.environ:
        threading.Thread(target=wait, args=(int(os.environ[LIFELINE]),), name="lifeline", daemon=True).start()


def _refuse_more_than_there_are(count: int) -> None:
    import torch

    there = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    if there < count:
        raise UsageError(f"--gpus {count}: there {'is' if there == 1 else 'are'} {there} here; give {max(1, there)} or fewer")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(rank: int, words: Sequence[str], address: dict[str, str]) -> _Started:
    said = tempfile.TemporaryFile() if rank else None  # noqa: SIM115 - closed when it is read, or with the process
    environment = os.environ | address | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    process = subprocess.Popen(  # noqa: S603 - this command again, with the words that it was given
        [sys.executable, "-m", "curator", *words],
        env=environment,
        pass_fds=(int(address[LIFELINE]),),
        stdout=subprocess.DEVNULL if rank else None,
        stderr=said,
    )
    return _Started(rank, process, said)


def _wait(started: Sequence[_Started]) -> _Started | None:
    """Wait until all have ended well; gives the first that has not."""
    while True:
        codes = [(one, one.process.poll()) for one in started]
        failed = next((one for one, code in codes if code), None)
        if failed is not None or all(code == 0 for _, code in codes):
            return failed
        time.sleep(POLL)


def _end(started: Sequence[_Started]) -> None:
    """End those that still run: they would wait forever for one that has gone. Asked first, so that nothing half-written stays."""
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + GRACE
    for one in started:
        try:
            one.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def _last_words(one: _Started) -> str:
    assert one.said is not None
    one.said.seek(0)
    lines = one.said.read().decode("utf-8", "replace")[-SHOWN:].strip().splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it said nothing"])[-1]


def started() -> bool:
    """Whether this process is one of several, by its environment."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined() -> Iterator[None]:
    """Be one of several processes within the block, where the environment says so. Raises UsageError for one that has no GPU."""
    if not started():
        yield
        return
    _end_with_the_launcher()
    import torch
    from torch import distributed

    device, backend = None, "gloo"
    if torch.accelerator.is_available():
        local = int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
        if local >= torch.accelerator.device_count():
            raise UsageError(f"process {local + 1} of this machine has no GPU; start no more processes than there are")
        torch.accelerator.set_device_index(local)
        device = torch.device(torch.accelerator.current_accelerator().type, local)
        backend = distributed.get_default_backend_for_device(device)
    distributed.init_process_group(backend, init_method="env://", timeout=PATIENCE, device_id=device)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """The number of this process, counted from 0."""
    from torch import distributed

    return int(distributed.get_rank()) if distributed.is_available() and distributed.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    from torch import distributed

    return int(distributed.get_world_size()) if distributed.is_available() and distributed.is_initialized() else 1


def share(items: Sequence[T]) -> list[T]:
    """This process's part of what all of them do together. Raises UsageError where there is less than one for each."""
    if len(items) < size():
        raise UsageError(f"--gpus {size()}: {len(items)} samples to calibrate on are fewer; give fewer GPUs or more samples")
    return list(items[rank() :: size()])


def gathered(value: T) -> list[T]:
    """The value of every process, in their order, at the first; at the others their own alone."""
    if size() == 1:
        return [value]
    from torch import distributed

    values: list[Any] = [None] * size()
    # Through memory and not the GPUs: a ledger of a large model is as large as a layer of it.
    group = distributed.new_group(backend="gloo", timeout=PATIENCE)
    distributed.gather_object(value, values if rank() == 0 else None, dst=0, group=group)
    return values if rank() == 0 else [value]
