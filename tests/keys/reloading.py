"""The process's copy of the ring as its tests see it: the clock, the threads, what is told."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from coverage import Coverage

from jwt_auth import signals
from jwt_auth.exceptions import UnknownKey
from jwt_auth.keys import cache, loading
from tests.keys.stores import HELD, MemoryKeyStore

#: Seconds that a request waits at most for a reload. The package's own two may pass on a machine
#: that is busy. Longer than a store is ever held, so that a request that waits for a held one
#: comes back when that is over, and is found out.
PATIENCE: Final = HELD + 15

#: Requests at once.
REQUESTS: Final = 8


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def reloads() -> list[threading.Thread]:
    """The threads that load the ring in the background."""
    return [thread for thread in threading.enumerate() if thread.name == "jwt_auth-keys"]


def finish_reloads() -> None:
    for thread in reloads():
        thread.join(60)
        assert not thread.is_alive()


def use(now: datetime) -> str:
    """The key that a request signs with; whatever it has begun is over."""
    kid = cache.get_signing_key(now).kid
    finish_reloads()
    return kid


def knows(kid: str, now: datetime) -> bool:
    """Whether a request finds the key that a token names."""
    try:
        return cache.get_verification_key(kid, now).kid == kid
    except UnknownKey:
        return False


def at_once(store: MemoryKeyStore, request: Callable[[], object]) -> list[Future[Any]]:
    """Answer a load only when all of several requests wait; give what has become of each."""
    with store.held(), ThreadPoolExecutor(REQUESTS, thread_name_prefix="request") as pool:
        outcomes = [pool.submit(request) for _ in range(REQUESTS)]
        end = time.monotonic() + HELD
        while _count_waiting("request") < REQUESTS:
            assert time.monotonic() < end
            time.sleep(0.002)
        store.answer.set()
    return outcomes


def _count_waiting(prefix: str) -> int:
    """How many threads of that name stand in an event's wait."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
    frames = sys._current_frames()
    codes = [frames[thread.ident].f_code for thread in threads if thread.ident in frames]
    return sum((code.co_filename, code.co_name) == (threading.__file__, "wait") for code in codes)


class Hanging:
    """Loads that the store does not answer before the test ends, while it answers later ones."""

    def __init__(self, store: MemoryKeyStore) -> None:
        self.store = store
        self.answers: list[threading.Event] = []
        self.threads: list[threading.Thread] = []

    def hang(self, begin: Callable[[], object]) -> None:
        """Have the load that this begins hang."""
        before = reloads()
        self.store.asked.clear()
        self.answers.append(self.store.answer)
        self.store.answer.clear()
        begin()
        assert self.store.asked.wait(HELD)
        self.threads += [thread for thread in reloads() if thread not in before]
        self.store.answer = threading.Event()
        self.store.answer.set()

    def finish_others(self) -> None:
        for thread in reloads():
            if thread not in self.threads:
                thread.join(60)
                assert not thread.is_alive()

    def let_go(self) -> None:
        for number in range(len(self.answers)):
            self.let_go_of(number)

    def let_go_of(self, number: int) -> None:
        self.answers[number].set()
        for thread in self.threads[number : number + 1]:
            thread.join(60)
            assert not thread.is_alive()


@contextmanager
def told() -> Iterator[list[dict[str, Any]]]:
    """The events from here on; a receiver that fails changes nothing."""
    events: list[dict[str, Any]] = []

    def receive(**event: Any) -> None:
        events.append(event)
        raise ValueError

    signals.key_event.connect(receive)
    try:
        yield events
    finally:
        signals.key_event.disconnect(receive)


@contextmanager
def stopped(function: Callable[[], object], *, line: int) -> Iterator[bool]:
    """Have a thread call the function, and stand still before that line of the copy's modules.

    Lines are counted as they are run. Gives whether there are so many; the thread goes on at the
    end. So a test can have anything happen between any two steps of a request.
    """
    there, go_on = threading.Event(), threading.Event()
    left, is_stopped = line, False

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left, is_stopped
        if frame.f_code.co_filename not in (cache.__file__, loading.__file__):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                is_stopped = True
                there.set()
                go_on.wait(60)
        return trace

    def run() -> None:
        former = sys.gettrace()
        sys.settrace(trace)
        try:
            function()
        finally:
            sys.settrace(former)
            there.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert there.wait(60)
        yield is_stopped
    finally:
        go_on.set()
        thread.join(60)
    assert not thread.is_alive()


def holds_in_child(check: Callable[[], bool]) -> bool:
    """Fork, and give what the child has found. A child that hangs is ended."""
    with warnings.catch_warnings():
        # A child of a process with threads may find locks that nobody frees: that is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # pragma: no cover  it ends without a word to anybody
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(60)
        code = 1
        try:
            code = 0 if check() else 1
        finally:
            if (measuring := Coverage.current()) is not None:
                measuring.stop()
                measuring.save()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
