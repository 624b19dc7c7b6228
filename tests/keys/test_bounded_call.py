"""Calls with a deadline, several at a time: what hangs costs so many threads and no more."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jwt_auth.keys import bounded_call
from jwt_auth.keys.bounded_call import Callers, StillWaiting

pytestmark = pytest.mark.smoke

PLACES, NAME = 3, "jwt_auth-test"


@pytest.fixture
def callers() -> Callers:
    return Callers(PLACES, name=NAME)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What calls wait for; it opens when the test is over."""
    gate = threading.Event()
    yield gate
    gate.set()
    for thread in _callers_threads():
        thread.join(60)


def _callers_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def _abandon(callers: Callers, gate: threading.Event, calls: int) -> None:
    for _ in range(calls):
        with pytest.raises(TimeoutError):
            callers.call(gate.wait, seconds=0.01)


def test_calls_run_at_the_same_time(callers: Callers) -> None:
    """Each waits here for all the others."""
    barrier = threading.Barrier(PLACES)
    with ThreadPoolExecutor(PLACES) as pool:
        calls = [pool.submit(callers.call, barrier.wait, seconds=60) for _ in range(PLACES)]
    assert sorted(call.result() for call in calls) == list(range(PLACES))


def test_call_that_nobody_waits_for_keeps_its_place(
    callers: Callers, gate: threading.Event
) -> None:
    """The others go on, until such calls have all places; then nobody waits for one."""
    _abandon(callers, gate, PLACES - 1)
    assert callers.call(os.getpid, seconds=60) == os.getpid()
    _abandon(callers, gate, 1)
    for _ in range(5):
        with pytest.raises(StillWaiting):
            callers.call(os.getpid, seconds=60)
    assert len(_callers_threads()) == PLACES


def test_place_is_free_again_once_its_call_has_come_back(
    callers: Callers, gate: threading.Event
) -> None:
    """However late; more than once."""
    for _ in range(2):
        _abandon(callers, gate, PLACES)
        gate.set()
        for thread in _callers_threads():
            thread.join(60)
        assert callers.call(os.getpid, seconds=60) == os.getpid()
        gate.clear()


def test_wait_for_a_place_counts(callers: Callers, gate: threading.Event) -> None:
    """So many calls that are all waited for still: one more has its deadline, too."""
    begun = threading.Barrier(PLACES + 1)

    def occupy() -> bool:
        begun.wait(60)
        return gate.wait(60)

    with ThreadPoolExecutor(PLACES) as pool:
        calls = [pool.submit(callers.call, occupy, seconds=60) for _ in range(PLACES)]
        begun.wait(60)
        with pytest.raises(TimeoutError):
            callers.call(os.getpid, seconds=0.05)
        gate.set()
    assert all(call.result() for call in calls)


def test_time_that_passes_before_a_place_is_free_is_not_given_anew(
    callers: Callers, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is one for the wait and the call: here the wait has used it up."""
    times = iter([100.0, 160.0])
    with monkeypatch.context() as patched:
        patched.setattr(bounded_call, "monotonic", lambda: next(times))
        with pytest.raises(TimeoutError):
            callers.call(lambda: gate.wait(30), seconds=60)


def test_thread_that_can_not_start_leaves_its_place(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the places would be used up, with nobody in them."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(PLACES):
            with pytest.raises(RuntimeError):
                callers.call(os.getpid, seconds=0.01)
    assert callers.call(os.getpid, seconds=60) == os.getpid()


def test_call_that_raises_a_time_out_has_come_back(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's own is one, too. It is not abandoned, not even until its thread has ended."""

    class Places(threading.Semaphore):
        def release(self, n: int = 1) -> None:
            gate.wait(60)
            super().release(n)

    def fail() -> None:
        raise TimeoutError("mine")

    monkeypatch.setattr(bounded_call, "Semaphore", Places)
    callers = Callers(PLACES, name=NAME)
    for _ in range(PLACES):
        with pytest.raises(TimeoutError, match="mine"):
            callers.call(fail, seconds=60)
    with pytest.raises(TimeoutError):  # for want of a place, and not StillWaiting
        callers.call(fail, seconds=0.01)
    gate.set()
    assert callers.call(os.getpid, seconds=60) == os.getpid()
