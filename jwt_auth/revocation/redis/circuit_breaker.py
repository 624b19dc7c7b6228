"""The circuit breaker between a process and a Redis that has failed.

Closed: Redis is asked. Open: it has failed, so the database answers, and a thread beside the
requests probes it. Half-open: it answers again, but a revocation may have missed it, so the
database goes on answering until every hash from before has expired; what could not be written is
written first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Final

from redis.exceptions import OutOfMemoryError, RedisError

from jwt_auth.forks import after_fork_in_child

logger: Final = logging.getLogger("jwt_auth")

#: Seconds between two probes.
PROBE_INTERVAL: Final = 0.5


class State(Enum):
    CLOSED = auto()
    OPEN = auto()
    HALF_OPEN = auto()


class Circuit:
    """The state, and the thread that closes it again.

    ``probe`` asks the server for a sign of life and writes what was kept; it raises RedisError
    where either fails, OutOfMemoryError where the server is only full. ``distrust`` is how long, in
    seconds, a hash from before the failure may live.
    """

    def __init__(
        self,
        probe: Callable[[], None],
        *,
        distrust: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.state = State.CLOSED
        #: A probe, too, has found that nothing can be written. Until then the failure may have been
        #: this process's alone, and others believe Redis still: revocations have to be tried.
        self.is_given_up = False
        self._probe = probe
        self._distrust = distrust
        self._clock = clock
        self._reachable_since = 0.0
        self._renew()
        after_fork_in_child(self._renew)

    def _renew(self) -> None:
        # A forked child has the state, but neither the thread nor anybody to release the lock.
        self._lock = Lock()
        self._thread: Thread | None = None

    def fail(self, error: RedisError) -> None:
        """Redis has failed just now."""
        with self._lock:
            if self.state is State.CLOSED:
                logger.error("Redis has failed (%s): the database answers meanwhile.", error)
            if self.state is not State.OPEN:
                self.is_given_up = False
            self.state = State.OPEN
        self.watch()

    def watch(self) -> None:
        """See to it that somebody probes; a no-op while somebody does."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = Thread(target=self._run, name="jwt_auth-redis", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # no thread can be had, or the process is about to end: the next one tries
            self._thread = thread

    def tick(self) -> None:
        """Probe once, and change the state by what it says."""
        try:
            self._probe()
        except RedisError as error:
            with self._lock:
                self.state = State.OPEN
                # A full server makes no hash, but takes what is revoked.
                self.is_given_up = not isinstance(error, OutOfMemoryError)
            return
        # Under the lock: closing must not undo a failure of this very moment.
        with self._lock:
            now = self._clock()
            self.is_given_up = False
            if self.state is State.OPEN:
                self.state = State.HALF_OPEN
                self._reachable_since = now
            elif self.state is State.HALF_OPEN and now - self._reachable_since >= self._distrust:
                self.state = State.CLOSED
                logger.warning("Redis is back: it answers revocation checks again.")

    def _run(self) -> None:
        while self.state is not State.CLOSED:
            sleep(PROBE_INTERVAL)
            self.tick()
