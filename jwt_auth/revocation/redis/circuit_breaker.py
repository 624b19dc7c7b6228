"""The circuit breaker between a process and Redis.

Closed: Redis answers requests. Open: Redis has failed, so the database answers, and a background
thread probes Redis. Half-open: Redis works again, and what could not be written to it has been
written. But it may have missed a revocation of another process, so the database answers until
every hash from before the failure has expired.
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
    """The state of the circuit, and the thread that closes it again.

    ``probe`` asks the server for a sign of life and writes the kept denials. It raises RedisError
    if either fails, and OutOfMemoryError if the server is only full. ``distrust`` is the lifetime
    of a hash in seconds: no hash from before the failure lives longer. The log says that
    ``authority`` answers meanwhile.
    """

    def __init__(
        self,
        probe: Callable[[], None],
        *,
        distrust: float,
        authority: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.state = State.CLOSED
        #: Whether a probe has failed, too. Until then, other processes may still reach Redis and
        #: trust it, so every revocation has to be tried.
        self.is_given_up = False
        self._probe = probe
        self._distrust = distrust
        self._authority = authority
        self._clock = clock
        self._reachable_since = 0.0
        self._renew()
        after_fork_in_child(self._renew)

    def _renew(self) -> None:
        # A forked child has the state but not the thread, and no thread that releases the lock.
        self._lock = Lock()
        self._thread: Thread | None = None

    def fail(self, error: RedisError) -> None:
        """Open the circuit because Redis has just failed."""
        with self._lock:
            if self.state is State.CLOSED:
                logger.error("Redis has failed (%s): %s answers meanwhile.", error, self._authority)
            if self.state is not State.OPEN:
                self.is_given_up = False
            self.state = State.OPEN
        self.watch()

    def watch(self) -> None:
        """Start the thread that probes Redis, unless it is running."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = Thread(target=self._run, name="jwt_auth-redis", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # out of threads, or the process is about to end: the next request tries
            self._thread = thread

    def tick(self) -> None:
        """Probe once, and change the state by the result."""
        try:
            self._probe()
        except RedisError as error:
            with self._lock:
                self.state = State.OPEN
                # A full server makes no new hash, but the scripts that revoke still succeed.
                self.is_given_up = not isinstance(error, OutOfMemoryError)
            return
        # Under the lock: closing must not overwrite a failure that is reported at the same moment.
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
