"""A process's copy of the issuer's denials, which requests are judged by.

A background thread fetches it while requests come, as in :mod:`jwt_auth.keys.cache`: from half of
the interval on, a request starts a fetch and goes on with the copy it has. From the whole interval
on it waits for the fetch, for ``PATIENCE`` seconds at most. So a revocation takes effect after the
interval at the latest if the issuer answers, also in a process that was idle.

The key cache uses its copy for as long as the store is away. A copy of denials is worth nothing
once it is old: after ``max_staleness`` seconds without an answer, nothing can be accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Event, Lock
from time import monotonic
from typing import Final

from jwt_auth.exceptions import RevocationUnknown
from jwt_auth.forks import after_fork_in_child
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from jwt_auth.revocation.denials import Denials

logger: Final = logging.getLogger("jwt_auth")

#: Seconds after the start of a fetch until which requests wait for it.
PATIENCE: Final = 2.0

#: The same for the first one, without which a new process can't accept any token.
FIRST_PATIENCE: Final = 10.0

#: Seconds after which a fetch that has not ended is left alone, and another one is started.
_LONGEST_FETCH: Final = 15.0

#: Fetches at the same time: the one under way, and three that were left alone.
_MOST_FETCHES: Final = 4

#: Seconds between two log records about an issuer that doesn't answer.
_LOG_INTERVAL: Final = 60.0

_NEVER: Final = float("-inf")


class _Fetch:
    """One fetch, which any number of requests may wait for."""

    def __init__(self) -> None:
        self.started = monotonic()
        self.ended = Event()

    def wait(self, patience: float) -> None:
        self.ended.wait(max(0.0, self.started + patience - monotonic()))


class PolledDenials:
    """``fetch`` gives the denials, or raises :class:`RevocationUnknown` with the reason."""

    def __init__(
        self, fetch: Callable[[], Denials], *, interval: float, max_staleness: float
    ) -> None:
        self._fetch_denials = fetch
        self._interval = interval
        self._max_staleness = max_staleness
        #: The denials, and when the fetch that brought them began.
        self._copy: tuple[Denials | None, float] = (None, _NEVER)
        #: When the last fetch failed, if none has succeeded since.
        self._failed_at = _NEVER
        self._next_log = _NEVER
        self._executor = BoundedExecutor(_MOST_FETCHES, name="jwt_auth-denials")
        self._reset_threads()
        after_fork_in_child(self._reset_threads)

    def _reset_threads(self) -> None:
        """Start with a free lock and no fetch under way: a forked child has no other thread."""
        self._lock = Lock()
        self._fetch: _Fetch | None = None

    def get(self) -> Denials:
        """Give the denials, as they were at most ``max_staleness`` seconds ago.

        Raises:
            RevocationUnknown: there is no such copy.
        """
        age = self._age()
        if age >= self._interval / 2:
            fetch = self._start_fetch()
            # An issuer that fails costs a request no time while the copy can still be used.
            is_failing = self._failed_at != _NEVER
            if fetch is not None and age >= (self._max_staleness if is_failing else self._interval):
                is_first = self._copy[0] is None and not is_failing
                fetch.wait(FIRST_PATIENCE if is_first else PATIENCE)
        denials, begun = self._copy
        if denials is None or monotonic() - begun >= self._max_staleness:
            raise RevocationUnknown
        return denials

    def _age(self) -> float:
        return monotonic() - self._copy[1]

    def _start_fetch(self) -> _Fetch | None:
        """Start a fetch, unless there is one, and give it; ``None`` if it is too early for one."""
        pause = self._interval / 2
        with self._lock:
            fetch, now = self._fetch, monotonic()
            if fetch is not None and now - fetch.started < _LONGEST_FETCH:
                return fetch
            if self._age() < pause or now - self._failed_at < pause:
                return None  # another request was faster
            new = _Fetch()
            with suppress(StillWaiting, RuntimeError):  # no thread: a later request tries again
                self._executor.submit(partial(self._run, new))
                self._fetch = new
            return self._fetch

    def _run(self, fetch: _Fetch) -> None:
        denials, failure = None, ""
        try:
            denials = self._fetch_denials()
        except RevocationUnknown as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001  its text may quote anything
            failure = f"The deny feed can't be read ({type(error).__name__})."
        finally:
            with self._lock:
                if is_under_way := self._fetch is fetch:
                    self._fetch = None
                    self._keep(denials, fetch)
            fetch.ended.set()
        if is_under_way:
            self._log(failure)

    def _keep(self, denials: Denials | None, fetch: _Fetch) -> None:
        if denials is None:
            self._failed_at = monotonic()
        else:
            self._copy, self._failed_at = (denials, fetch.started), _NEVER

    def _log(self, failure: str) -> None:
        now = monotonic()
        if not failure:
            if self._next_log != _NEVER:
                logger.warning("The deny feed can be read again.")
            self._next_log = _NEVER
        elif now >= self._next_log:
            self._next_log = now + _LOG_INTERVAL
            is_usable = self._age() < self._max_staleness
            logger.error(
                "%s %s",
                failure,
                f"The last answer is used until it is {self._max_staleness:g} seconds old."
                if is_usable
                else "Access tokens can't be accepted until it can.",
            )
