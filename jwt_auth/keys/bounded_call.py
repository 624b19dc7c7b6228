"""Calls to services that may never answer, on a bounded number of threads.

A client's own time-outs start again at every byte, and they cover neither the lookup of a host's
name nor, in part, the search for credentials. So a call runs on a thread of the executor, and its
caller goes on at the deadline. The thread is free again when the client gives up. A service that
hangs therefore holds a fixed number of threads, however often it is asked.

``concurrent.futures.ThreadPoolExecutor`` would not do: at exit the interpreter joins its threads,
even after ``shutdown(wait=False)``, so that a hanging call would keep a worker from ending.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Condition, Thread
from time import monotonic
from typing import Any, TypeVar

from jwt_auth.forks import after_fork_in_child, renew_if_forked

T = TypeVar("T")


class StillWaiting(Exception):
    """Every place is taken by a call that has not come back."""


class BoundedExecutor:
    """Runs at most ``places`` calls at a time, each on a daemon thread that is kept for the next.

    A call keeps its place until it comes back, even if its caller has stopped waiting for it.
    """

    def __init__(self, places: int, *, name: str) -> None:
        self._places = places
        #: The name of each of its threads.
        self._name = name
        self._start_anew()
        # A forked child has none of its parent's threads, and perhaps a lock that one of them held.
        after_fork_in_child(self._start_anew)

    def __del__(self) -> None:
        self._calls.put(None)

    def _start_anew(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = 0
        self._running: set[Future[Any]] = set()
        #: Those of the running calls whose callers have stopped waiting.
        self._given_up: set[Future[Any]] = set()
        #: Guards the three above, and tells of each place that becomes free.
        self._place_freed = Condition()

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Start the call and return without waiting.

        Raises:
            StillWaiting: every place is taken.
            RuntimeError: the system refuses to start a thread.
        """
        renew_if_forked()
        with self._place_freed:
            if not self._has_place():
                raise StillWaiting
            return self._start(function)

    def call(self, function: Callable[[], T], *, seconds: float) -> T:
        """Return or raise what ``function`` does, within the deadline.

        Raises:
            TimeoutError: the call took longer, or no place became free in that time.
            StillWaiting: every place is taken by a call whose caller has stopped waiting. One more
                call would only wait for nothing.
            RuntimeError: the system refuses to start a thread.
        """
        renew_if_forked()
        end = monotonic() + seconds
        with self._place_freed:
            if len(self._given_up) == self._places:
                raise StillWaiting
            if not self._place_freed.wait_for(self._has_place, timeout=seconds):
                raise TimeoutError
            future = self._start(function)
        try:
            return future.result(timeout=max(0.0, end - monotonic()))
        except TimeoutError:
            with self._place_freed:
                # A call that isn't running has come back: the TimeoutError is a socket's.
                self._given_up |= {future} & self._running
            raise

    def _has_place(self) -> bool:
        return len(self._running) < self._places

    def _start(self, function: Callable[[], T]) -> Future[T]:
        """Hand the call to a thread; the caller holds the condition's lock."""
        if len(self._running) == self._threads:
            Thread(target=_work, args=(self._calls,), name=self._name, daemon=True).start()
            self._threads += 1
        future: Future[T] = Future()
        self._running.add(future)
        self._calls.put(partial(self._run, function, future))
        return future

    def _run(self, function: Callable[[], Any], future: Future[Any]) -> None:
        try:
            value, error = function(), None
        except BaseException as raised:  # noqa: BLE001  raised again where it is waited for
            value, error = None, raised
        # The place is free before the outcome is known, so that a caller who has the outcome can
        # submit the next call at once.
        with self._place_freed:
            self._running.discard(future)
            self._given_up.discard(future)
            self._place_freed.notify()
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    """Run one call after another until nothing refers to the executor any more."""
    while (call := calls.get()) is not None:
        call()
        # An idle thread must keep neither the executor alive nor the keys that a call has loaded.
        del call
    calls.put(None)  # for the next thread
