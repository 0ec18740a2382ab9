"""Slots: no more workers at work than there are slots, and none of them kept by one that waits."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from curator import slots
from curator.slots import Slot


def test_one_that_waits_lets_another_work_and_has_its_turn_again() -> None:
    only = threading.Semaphore(1)
    happened: list[str] = []
    other_done = threading.Event()

    def waits() -> None:
        with Slot(only).taken(), slots.aside() as step_aside:
            other.start()
            step_aside()
            step_aside()  # once is enough
            assert other_done.wait(10)
            happened.append("waited")
        happened.append("worked on")

    def works() -> None:
        with Slot(only).taken():
            happened.append("worked")
            other_done.set()
            time.sleep(0.1)
            happened.append("done")

    other = threading.Thread(target=works)
    waits()
    other.join()
    assert happened.index("done") < happened.index("worked on")
    assert only.acquire(blocking=False)
    assert not only.acquire(blocking=False)


def test_threads_that_wait_in_one_name_leave_one_slot() -> None:
    semaphore = threading.Semaphore(1)
    slot = Slot(semaphore)
    with slot.taken():
        slot.leave()
        slot.leave()
        assert semaphore.acquire(blocking=False)
        assert not semaphore.acquire(blocking=False)
        slot.come_back()  # another still waits: no slot is needed
        semaphore.release()
        slot.come_back()
        assert not semaphore.acquire(blocking=False)
    assert semaphore.acquire(blocking=False)


def test_no_more_work_than_there_are_turns() -> None:
    semaphore, lock = threading.Semaphore(3), threading.Lock()
    working, most = 0, 0

    def work(seed: int) -> None:
        nonlocal working, most
        rng = random.Random(seed)
        with Slot(semaphore).taken():
            for _ in range(20):
                with lock:
                    working += 1
                    most = max(most, working)
                time.sleep(rng.random() / 1000)
                with lock:
                    working -= 1
                with slots.aside() as step_aside:
                    step_aside()
                    time.sleep(rng.random() / 1000)

    with ThreadPoolExecutor(16) as executor:
        list(executor.map(work, range(16)))
    assert most == 3


def test_outside_of_any_turn_nothing_is_left() -> None:
    assert slots.present() is None
    with slots.aside() as step_aside:
        step_aside()
