"""Calls with a deadline: a service that hangs holds a fixed number of threads, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from tests.keys.reloading import holds_in_child
from tests.keys.remote.waiting import end, let_deadline_pass, threads_of

pytestmark = pytest.mark.smoke

PLACES, NAME = 3, "jwt_auth-test"


@pytest.fixture
def executor() -> BoundedExecutor:
    return BoundedExecutor(PLACES, name=NAME)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that calls wait for. It is set when the test ends."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def before() -> set[threading.Thread]:
    """The idle threads of other tests' executors."""
    return threads_of(NAME)


def _give_up(executor: BoundedExecutor, gate: threading.Event, calls: int) -> None:
    for _ in range(calls):
        with pytest.raises(TimeoutError):
            executor.call(gate.wait, seconds=0.01)


def _wait_for_free_places(executor: BoundedExecutor, *, rounds: int = 1) -> None:
    """Return when as many calls as there are places have met, in each round."""
    barrier = threading.Barrier(PLACES)
    with ThreadPoolExecutor(rounds * PLACES) as pool:
        calls = [
            pool.submit(executor.call, lambda: barrier.wait(60), seconds=60)
            for _ in range(rounds * PLACES)
        ]
    assert sorted(call.result() for call in calls) == sorted([*range(PLACES)] * rounds)


@pytest.mark.parametrize("rounds", [1, 2])
def test_calls_run_at_the_same_time(executor: BoundedExecutor, rounds: int) -> None:
    """Each call waits here for all the others. Further calls get the places after them."""
    _wait_for_free_places(executor, rounds=rounds)


def test_call_starts_no_thread_while_one_is_idle(
    executor: BoundedExecutor, before: set[threading.Thread]
) -> None:
    """A signature costs no operating system thread."""
    idents = {executor.call(threading.get_ident, seconds=60) for _ in range(50)}
    assert len(idents) == 1
    assert len(threads_of(NAME) - before) == 1


def test_call_that_was_given_up_keeps_its_place(
    executor: BoundedExecutor, gate: threading.Event, before: set[threading.Thread]
) -> None:
    """Other calls go on, until such calls have all places; then no caller waits for one."""
    _give_up(executor, gate, PLACES - 1)
    assert executor.call(os.getpid, seconds=60) == os.getpid()
    _give_up(executor, gate, 1)
    for _ in range(5):
        with pytest.raises(StillWaiting):
            executor.call(os.getpid, seconds=60)
    assert len(threads_of(NAME) - before) == PLACES


def test_place_is_free_again_once_its_call_has_come_back(
    executor: BoundedExecutor, gate: threading.Event
) -> None:
    """However late that is, and more than once."""
    for _ in range(PLACES):
        late = [executor.submit(gate.wait) for _ in range(PLACES - 1)]
        _give_up(executor, gate, 1)
        gate.set()
        assert all(call.result(60) for call in late)
        _wait_for_free_places(executor)
        gate.clear()


def test_submit_raises_at_once_if_every_place_is_taken(
    executor: BoundedExecutor, gate: threading.Event
) -> None:
    """Its caller doesn't wait, and a queue would grow for as long as the service hangs."""
    futures = [executor.submit(gate.wait) for _ in range(PLACES)]
    with pytest.raises(StillWaiting):
        executor.submit(os.getpid)
    gate.set()
    assert [future.result(60) for future in futures] == [True] * PLACES


def test_place_is_free_when_the_outcome_is_known() -> None:
    """Even inside the future's own callback, which runs first."""
    single, seen = BoundedExecutor(1, name=NAME), Future[int]()

    def submit_next(future: Future[int]) -> None:
        single.submit(lambda: seen.set_result(future.result()))

    gate = threading.Event()
    first = single.submit(lambda: gate.wait(60) and os.getpid())
    first.add_done_callback(submit_next)
    gate.set()
    assert seen.result(60) == os.getpid()


def test_wait_for_a_place_counts(executor: BoundedExecutor, gate: threading.Event) -> None:
    """If every place is taken by a call that is still waited for, the deadline holds, too."""
    calls = [executor.submit(gate.wait) for _ in range(PLACES)]
    with pytest.raises(TimeoutError):
        executor.call(os.getpid, seconds=0.05)
    gate.set()
    assert all(call.result(60) for call in calls)


def test_time_that_passes_before_a_place_is_free_is_not_given_again(
    executor: BoundedExecutor, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for a place and the call share one deadline: here the wait has used it up."""
    with monkeypatch.context() as patched:
        let_deadline_pass(patched, after=lambda seconds: True)
        with pytest.raises(TimeoutError):
            executor.call(lambda: gate.wait(30), seconds=60)


def test_thread_that_can_not_start_leaves_its_place(
    executor: BoundedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise calls that never began would use up the places."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for _ in range(PLACES):
            with pytest.raises(RuntimeError):
                executor.call(os.getpid, seconds=0.01)
    _wait_for_free_places(executor)


def test_call_that_raises_a_time_out_has_come_back(executor: BoundedExecutor) -> None:
    """A socket's time-out is a TimeoutError, too; that call isn't one that was given up."""

    def fail() -> None:
        raise TimeoutError("mine")

    for _ in range(PLACES + 1):
        with pytest.raises(TimeoutError, match="mine"):
            executor.call(fail, seconds=60)
    _wait_for_free_places(executor)


def test_idle_thread_keeps_nothing_of_the_last_call(executor: BoundedExecutor) -> None:
    """Its result may be a private key."""

    class Key:
        pass

    forgotten = threading.Event()
    key = executor.call(Key, seconds=60)
    weakref.finalize(key, forgotten.set)
    del key
    assert forgotten.wait(60)


def test_threads_end_with_their_executor(before: set[threading.Thread]) -> None:
    """A project's tests may build a store for each value of the setting."""
    executor = BoundedExecutor(PLACES, name=NAME)
    _wait_for_free_places(executor)
    threads = threads_of(NAME) - before
    assert len(threads) == PLACES
    del executor
    end(threads)


def test_forked_child_starts_anew(executor: BoundedExecutor, gate: threading.Event) -> None:
    """The child has none of the threads, and the calls that took all places aren't its own."""
    _give_up(executor, gate, PLACES)
    assert holds_in_child(lambda: executor.call(os.getpid, seconds=30) == os.getpid())
    with pytest.raises(StillWaiting):
        executor.call(os.getpid, seconds=60)


def test_hanging_call_does_not_keep_the_process_from_ending() -> None:
    """A worker that is told to stop would otherwise wait for the service that hangs."""
    script = (
        "import threading\n"
        "from jwt_auth.keys.bounded_call import BoundedExecutor\n"
        "BoundedExecutor(1, name='jwt_auth-test').submit(threading.Event().wait)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
