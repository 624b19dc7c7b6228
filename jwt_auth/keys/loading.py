"""How the ring is loaded beside the requests: once at a time, not too often, not for ever, and with
a word to the log where it fails or goes back.
"""

from __future__ import annotations

import logging
from datetime import datetime
from threading import Event, Lock
from typing import Final

from jwt_auth.exceptions import KeyFailure
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore

logger: Final = logging.getLogger("jwt_auth")

#: Seconds that a request waits at most for a load that runs beside it. All who wait for one load
#: wait for the same moment: a store that hangs costs a process this much once.
PATIENCE: Final = 2.0

#: Seconds that a load may take at least, and intervals, before another one is begun in its place.
_LOAD_SECONDS: Final = 30.0
_LOAD_INTERVALS: Final = 2

#: Loads that were given up and have not come back. Each has a thread, and perhaps a connection.
_MOST_GIVEN_UP: Final = 3

#: Seconds between the first two guesses.
_FIRST_PAUSE: Final = 1.0

#: Seconds between two log records of a store that fails.
_LOG_INTERVAL: Final = 60.0


class Load:
    """One attempt to load the ring, which any number of threads may wait for."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.failure: Exception | None = None
        self._done = Event()

    def finish(self) -> None:
        self._done.set()

    @property
    def is_finished(self) -> bool:
        return self._done.is_set()

    def is_overdue(self, now: float, *, interval: float) -> bool:
        """Whether nothing is to be expected of it any more: a store without a time-out of its own,
        whose server is gone, never answers.
        """
        return now - self.started > max(_LOAD_SECONDS, _LOAD_INTERVALS * interval)

    def wait(self, seconds: float) -> None:
        self._done.wait(max(0.0, seconds))


class GivenUp:
    """The loads that nobody waits for any more."""

    def __init__(self) -> None:
        self._loads: list[Load] = []

    def take(self, load: Load) -> bool:
        """Give it up, unless so many others hang still."""
        self._loads = [former for former in self._loads if not former.is_finished]
        if len(self._loads) >= _MOST_GIVEN_UP:
            return False
        self._loads.append(load)
        return True


class Guesses:
    """How often an unknown ``kid`` may have the ring loaded where nothing says that it has changed.

    At once, then after one second, two, four and so on up to ``limit``: made-up kids drive no
    reads. After a pause that nobody broke the first one is free again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._next = float("-inf")
        self._pause = _FIRST_PAUSE

    def take(self, now: float, *, limit: float) -> bool:
        with self._lock:
            if now < self._next:
                return False
            quiet = now >= self._next + self._pause
            self._pause = _FIRST_PAUSE if quiet else min(2 * self._pause, max(limit, _FIRST_PAUSE))
            self._next = now + self._pause
            return True


class Trouble:
    """What the log says of a store that fails: once a minute, and once when it is over."""

    def __init__(self) -> None:
        self._next = 0.0
        self._lasts = False

    def failed(self, store: KeyStore | None, error: Exception, now: float) -> None:
        # Only our own errors are known to quote nothing.
        reason = str(error) if isinstance(error, KeyFailure) else type(error).__name__
        self._record(store, reason, now)

    def hangs(self, store: KeyStore | None, seconds: float, now: float) -> None:
        self._record(store, f"it has not answered for {seconds:.0f} seconds", now)

    def gave_up(self, store: KeyStore | None, seconds: float, now: float) -> None:
        self._lasts, self._next = True, now + _LOG_INTERVAL
        logger.error(
            "The key ring has not come from %s for %.0f seconds: it is asked for anew.",
            _name(store),
            seconds,
        )

    def over(self, store: KeyStore) -> None:
        if self._lasts:
            logger.warning("The key ring was loaded from %s again.", store.describe())
        self._next, self._lasts = 0.0, False

    def _record(self, store: KeyStore | None, reason: str, now: float) -> None:
        self._lasts = True
        if now < self._next:
            return
        self._next = now + _LOG_INTERVAL
        logger.error(
            "The key ring could not be reloaded from %s, the former copy stays in use: %s",
            _name(store),
            reason,
        )


class SetBack:
    """Whether a ring that is older than the one in use is meant.

    From a replica that lags, or a row that was put back, it would have a key verify again that was
    withdrawn. An operator who restores a backup, or takes a change back, means it: then the store
    has an older ring still when an interval has passed, this one or another. And a ring with a key
    that is younger than all keys in use was made after it, from a restored one: what that withdraws
    is withdrawn at once.
    """

    def __init__(self) -> None:
        self._ring: KeyRing | None = None
        self._since = 0.0

    def is_meant(
        self, ring: KeyRing, *, held: KeyRing, store: KeyStore, now: float, interval: float
    ) -> bool:
        if ring.version >= held.version:
            self._ring = None
            return True
        if _newest(ring) > _newest(held):
            self._ring = None
            logger.error(
                "The key ring from %s has version %d, and %d was loaded before: the older one is"
                " taken at once, since it has a key that was made later.",
                store.describe(),
                ring.version,
                held.version,
            )
            return True
        if self._ring is None:
            self._since = now
        if ring != self._ring:
            self._ring = ring
            logger.error(
                "The key ring from %s has version %d, and %d was loaded before, which stays in use:"
                " an older one is taken if there is one still after the reload interval.",
                store.describe(),
                ring.version,
                held.version,
            )
        return now - self._since >= interval


def _newest(ring: KeyRing) -> datetime:
    return max(key.created_at for key in ring.keys)


def _name(store: KeyStore | None) -> str:
    return "JWT_AUTH_KEY_STORE" if store is None else store.describe()
