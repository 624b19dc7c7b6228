"""The bounded queue: what waits, what is dropped, and what a process does before it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Barrier, Event, Thread
from typing import NoReturn

import pytest

from jwt_auth.mail import background
from jwt_auth.mail.background import BackgroundQueue, QueueFull
from tests.keys.reloading import count_waiting, holds_in_child
from tests.keys.remote.waiting import threads_of, wait_until

pytestmark = pytest.mark.smoke

#: Seconds that are long enough for everything that a busy machine has to do.
PATIENT = 60
THREADS, CAPACITY = 2, 3
NAME = "jwt_auth-mail-test"


@pytest.fixture
def queue() -> BackgroundQueue:
    return BackgroundQueue(capacity=CAPACITY, threads=THREADS, name=NAME)


@pytest.fixture
def gate() -> Iterator[Event]:
    """An event that calls wait for. It is set when the test ends."""
    gate = Event()
    yield gate
    gate.set()


@pytest.fixture
def before() -> set[Thread]:
    """The idle threads of other tests' queues."""
    return threads_of(NAME)


def _occupy(queue: BackgroundQueue, gate: Event) -> None:
    """Have every thread of the queue wait for the gate."""
    arrived = Barrier(THREADS + 1)

    def hang() -> None:
        arrived.wait(PATIENT)
        gate.wait(PATIENT)

    for _ in range(THREADS):
        queue.put(hang)
    arrived.wait(PATIENT)


def _occupy_one(queue: BackgroundQueue, gate: Event) -> None:
    def hang() -> None:
        gate.wait(PATIENT)

    queue.put(hang)


@pytest.mark.usefixtures("prompt")
def test_calls_run_at_the_same_time_on_as_many_threads_as_there_are_places(
    queue: BackgroundQueue, gate: Event, before: set[Thread]
) -> None:
    """And not on more, however many calls wait."""
    _occupy(queue, gate)
    for _ in range(CAPACITY):
        queue.put(gate.set)
    assert len(threads_of(NAME) - before) == THREADS
    gate.set()
    assert queue.flush(PATIENT)


@pytest.mark.usefixtures("prompt")
def test_one_thread_runs_calls_that_come_one_after_the_other(
    queue: BackgroundQueue, before: set[Thread]
) -> None:
    """In their order."""
    done: list[int] = []
    for number in range(10):
        queue.put(lambda number=number: done.append(number))  # type: ignore[misc]  # a default
        assert queue.flush(PATIENT)
    assert done == [*range(10)]
    assert len(threads_of(NAME) - before) == 1


@pytest.mark.usefixtures("prompt")
def test_full_queue_drops_and_counts(queue: BackgroundQueue, gate: Event) -> None:
    """The request isn't held up, and the queue doesn't grow while a mail server hangs."""
    _occupy(queue, gate)
    done: list[int] = []
    for number in range(CAPACITY):
        queue.put(lambda number=number: done.append(number))  # type: ignore[misc]  # a default
    for dropped in (1, 2):
        with pytest.raises(QueueFull):
            queue.put(lambda: done.append(-1))
        assert queue.dropped == dropped
    gate.set()
    assert queue.flush(PATIENT)
    assert sorted(done) == [*range(CAPACITY)]


def test_call_does_not_begin_before_its_time(
    queue: BackgroundQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that caused it is answered first. The end of the process waits for no delay."""
    monkeypatch.setattr(background, "_DELAY", (3600, 3600))
    waiting = count_waiting(NAME)
    done: list[str] = []
    queue.put(lambda: done.append("early"))
    wait_until(lambda: count_waiting(NAME) == waiting + 1)
    assert not done
    assert queue.flush(PATIENT)
    assert done == ["early"]


def test_call_begins_when_its_time_has_come(
    queue: BackgroundQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, also behind another one."""
    monkeypatch.setattr(background, "_DELAY", (0.01, 0.05))
    done: list[int] = []
    queue.put(lambda: done.append(1))
    queue.put(lambda: done.append(2))
    wait_until(lambda: len(done) == 2)


@pytest.mark.usefixtures("prompt")
def test_flush_gives_up_after_its_time(queue: BackgroundQueue, gate: Event) -> None:
    """A server that hangs doesn't keep the process from ending."""
    _occupy(queue, gate)
    assert not queue.flush(0.01)
    gate.set()
    assert queue.flush(PATIENT)


@pytest.mark.usefixtures("prompt")
def test_end_of_the_process_says_what_is_left(
    queue: BackgroundQueue,
    gate: Event,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those that run count, too: nobody knows whether they will be done."""
    monkeypatch.setattr(background, "_EXIT_PATIENCE", 0.01)
    _occupy(queue, gate)
    queue.put(gate.set)
    queue._flush_before_exit()
    (said,) = log.messages
    assert f"{THREADS + 1} messages" in said


@pytest.mark.usefixtures("prompt")
def test_end_of_an_idle_process_says_nothing(
    queue: BackgroundQueue, log: pytest.LogCaptureFixture
) -> None:
    """It has sent everything, or has never had anything to send."""
    queue._flush_before_exit()
    assert not log.messages


def test_child_begins_with_an_empty_queue(
    queue: BackgroundQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent does what it has accepted, and the child what it accepts itself: each once."""
    monkeypatch.setattr(background, "_DELAY", (3600, 3600))
    done: list[str] = []
    queue.put(lambda: done.append("parent"))

    def works_alone() -> bool:
        queue.put(lambda: done.append("child"))
        return queue.flush(PATIENT) and done == ["child"]

    with queue._changed:  # as another thread of the parent may at that moment
        assert holds_in_child(works_alone)
    assert queue.flush(PATIENT)
    assert done == ["parent"]


@pytest.mark.usefixtures("prompt")
def test_thread_that_is_killed_is_replaced(
    queue: BackgroundQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a greenlet of gevent: the next call starts another one."""
    monkeypatch.setattr("threading.excepthook", lambda *args: None)

    def end() -> NoReturn:
        raise SystemExit

    for _ in range(THREADS + 1):
        queue.put(end)
        assert queue.flush(PATIENT)
        wait_until(lambda: queue._threads == 0)
    done: list[int] = []
    queue.put(lambda: done.append(1))
    assert queue.flush(PATIENT)
    assert done == [1]


@pytest.mark.usefixtures("prompt")
def test_system_without_another_thread_uses_those_that_there_are(
    queue: BackgroundQueue, gate: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only without any can't a call be accepted."""
    done: list[int] = []

    def refuse(thread: Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            queue.put(lambda: done.append(0))
    _occupy_one(queue, gate)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        queue.put(lambda: done.append(1))
    gate.set()
    assert queue.flush(PATIENT)
    assert done == [1]


_PROCESS = """
import os

import django

django.setup()
from jwt_auth.mail import background
background._DELAY = (3600, 3600)
queue = background.BackgroundQueue(capacity=9, threads=2, name="mail")
for number in range(5):
    queue.put(lambda number=number: os.write(1, b"%d\\n" % number))
"""


def test_process_does_what_it_has_accepted_before_it_ends() -> None:
    """A worker that is recycled, a command."""
    command = [sys.executable, "-c", _PROCESS]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=120, env=os.environ
    )
    assert sorted(done.stdout.split()) == [*"01234"]
    assert not done.stderr
