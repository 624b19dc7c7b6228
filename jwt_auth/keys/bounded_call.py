"""A hard limit on how long a call may take.

A client's own time-outs count anew at every byte, know nothing of the look-up of a host's name and
little of the search for credentials. So the call gets a thread, and whoever waits for it goes on at
the deadline. The thread ends by the client's time-outs; until then only so many others are started,
or none, so that a service that hangs costs a few threads and not one a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Semaphore, Thread
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")


class StillWaiting(Exception):
    """An earlier call, which nobody waits for any more, has not come back yet."""


class Callers:
    """Makes calls, so many at a time, each with a deadline.

    A call that nobody waits for any more keeps its place until it comes back. Once such calls have
    all places, nobody waits for one.
    """

    def __init__(self, places: int, *, name: str) -> None:
        self._number = places
        #: What its threads are called.
        self._name = name
        self._places = Semaphore(places)
        self._abandoned: list[Thread] = []
        self._lock = Lock()

    def call(self, function: Callable[[], T], *, seconds: float) -> T:
        """Give or raise what ``function`` does.

        Raises:
            TimeoutError: it takes longer, or no place has become free in that time.
            StillWaiting: so many earlier ones do, still.
            RuntimeError: the system has no thread for it.
        """
        if self._count_abandoned() >= self._number:
            raise StillWaiting
        end = monotonic() + seconds
        if not self._places.acquire(timeout=seconds):
            raise TimeoutError
        call = _Call(function, name=self._name, at_end=self._places.release)
        try:
            call.start()
        except RuntimeError:
            self._places.release()
            raise
        try:
            value: T = call.wait(max(0.0, end - monotonic()))
        except _Late:
            with self._lock:
                self._abandoned.append(call)
            raise
        return value

    def _count_abandoned(self) -> int:
        with self._lock:
            self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
            return len(self._abandoned)


class _Late(TimeoutError):
    """The call has not come back; one that has may have raised a ``TimeoutError`` of its own."""


class _Call(Thread):
    """Makes one call in a thread that ends with the process."""

    def __init__(
        self, function: Callable[[], Any], *, name: str, at_end: Callable[[], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._function, self._at_end = function, at_end
        self._outcome: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def run(self) -> None:
        try:
            self._outcome.put((self._function(), None))
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            self._outcome.put((None, error))
        finally:
            self._at_end()

    def wait(self, seconds: float) -> Any:
        try:
            value, error = self._outcome.get(timeout=seconds)
        except Empty:
            raise _Late from None
        if error is not None:
            raise error
        return value
