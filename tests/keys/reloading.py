"""Helpers for tests of the process's copy of the ring: clock, loads, stores that hang, events."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import pytest
from coverage import Coverage

from jwt_auth import signals
from jwt_auth.exceptions import UnknownKey
from jwt_auth.keys import cache
from jwt_auth.keys.jwk import SigningKey
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.signers.base import RemoteSigningKey
from tests.keys.stores import HELD, MemoryKeyStore

#: Seconds that a request waits at most for a load, instead of the package's two, which may pass on
#: a busy machine. It is longer than a store is held, so that a test notices a request that waits.
PATIENCE: Final = HELD + 15

#: Requests at once.
REQUESTS: Final = 8


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


#: The background loads of this process. Its threads can't tell, because they are kept.
_submitted: list[Future[None]] = []


def record_reloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have :func:`reloads` know the background loads from here on."""
    submit = cache._cache._executor.submit

    def record(function: Callable[[], None]) -> Future[None]:
        _submitted[:] = reloads()
        _submitted.append(future := submit(function))
        return future

    monkeypatch.setattr(cache._cache._executor, "submit", record)


def reloads() -> list[Future[None]]:
    """The background loads that have not come back."""
    return [future for future in _submitted if not future.done()]


def finish_reloads(futures: Iterable[Future[None]] | None = None) -> None:
    """Wait until these background loads have come back, or all of them."""
    assert not wait(reloads() if futures is None else futures, 60).not_done


def signing_key(now: datetime) -> SigningKey | RemoteSigningKey:
    """The key that a request signs with."""
    return cache.get_signing_key_and_end(now)[0]


def use(now: datetime) -> str:
    """The key that a request signs with. Loads that it has started have ended."""
    kid = signing_key(now).kid
    finish_reloads()
    return kid


def knows(kid: str, now: datetime) -> bool:
    """Whether a request finds the key that a token names."""
    try:
        return cache.get_verification_key(kid, now).kid == kid
    except UnknownKey:
        return False


class Process:
    """A process that works with its copy of the store's ring, at one time of day."""

    def __init__(
        self, store: MemoryKeyStore, rings: tuple[KeyRing, KeyRing], clock: Clock, now: datetime
    ) -> None:
        self.store, self.clock, self.now = store, clock, now
        #: A ring of one key, and the ring after a rotation; the key that signs with each.
        self.ring, self.following = rings
        self.kid, self.new_kid = (ring.keys[-1].kid for ring in rings)

    def request(self) -> str:
        """The key that a request signs with."""
        return signing_key(self.now).kid

    def use(self) -> str:
        """The same. Loads that the request has started have ended."""
        return use(self.now)

    def knows(self, kid: str) -> bool:
        """Whether a request finds the key that a token names."""
        return knows(kid, self.now)

    def invent_kids(self, number: int) -> None:
        """Ask for as many keys that nobody has. Loads that this has started have ended."""
        for n in range(number):
            assert not self.knows(f"made up {n}")
            finish_reloads()

    def let_pass(self, seconds: float) -> None:
        self.clock.time += seconds

    def at_once(self, request: Callable[[], object]) -> list[Future[Any]]:
        """Have several requests wait for one load, and give the outcome of each."""
        with self.store.held(), ThreadPoolExecutor(REQUESTS, thread_name_prefix="request") as pool:
            outcomes = [pool.submit(request) for _ in range(REQUESTS)]
            end = time.monotonic() + HELD
            while count_waiting("request") < REQUESTS:
                assert time.monotonic() < end
                time.sleep(0.002)
            self.store.answer.set()
        return outcomes


def count_waiting(prefix: str) -> int:
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
        self.futures: list[Future[None]] = []

    def hang(self, begin: Callable[[], object]) -> None:
        """Have the load that this begins hang."""
        before = reloads()
        self.store.asked.clear()
        self.answers.append(self.store.answer)
        self.store.answer.clear()
        begin()
        assert self.store.asked.wait(HELD)
        self.futures += [future for future in reloads() if future not in before]
        self.store.answer = threading.Event()
        self.store.answer.set()

    def finish_others(self) -> None:
        finish_reloads([future for future in reloads() if future not in self.futures])

    def let_go(self) -> None:
        for number in range(len(self.answers)):
            self.let_go_of(number)

    def let_go_of(self, number: int) -> None:
        self.answers[number].set()
        finish_reloads(self.futures[number : number + 1])


class Gate:
    """A lock that stops its first visitor in front of it, so that others can overtake that one."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._is_new = True
        self.reached, self.open = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        if self._is_new:
            self._is_new = False
            self.reached.set()
            assert self.open.wait(HELD)
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages that the package has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "jwt_auth"]


@contextmanager
def told() -> Iterator[list[dict[str, Any]]]:
    """The events from here on. A receiver that fails must change nothing."""
    events: list[dict[str, Any]] = []

    def receive(**event: Any) -> None:
        events.append(event)
        raise ValueError

    signals.key_event.connect(receive)
    try:
        yield events
    finally:
        signals.key_event.disconnect(receive)


def holds_in_child(check: Callable[[], bool], *, fork: Callable[[], int] = os.fork) -> bool:
    """Fork, and give the outcome of the check in the child. A child that hangs is killed."""
    with warnings.catch_warnings():
        # It warns that the child may have inherited a held lock, which is what the tests are about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = fork()
    if child == 0:  # pragma: no cover  it ends by os._exit()
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
