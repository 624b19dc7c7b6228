"""The process's copy of the key ring, which requests work with.

A single-flight, stale-while-revalidate cache: no request waits for the store once there is a copy.
A request reads one immutable value, and takes no lock while the copy is young. From half of
``JWT_AUTH_KEY_RELOAD_INTERVAL`` on, one background thread loads the ring, and requests use the copy
until it has done so.

A process that was idle for the whole interval is the exception. Its copy could hold a key that was
withdrawn as compromised, so its first requests wait for the load, for ``PATIENCE`` at most.

A store that fails or hangs costs no request anything, because the copy stays in use. ``load()``
ends by the time-outs of the store's client. A load that takes much longer is abandoned: another one
is started, and its result is ignored. The number of threads for loads is bounded.

A ring that is older than the copy is not taken at once. It may come from a replica that lags, and
hold a key that was withdrawn (``docs/decisions/0028``).

An unknown ``kid`` starts a load when the store says that its ring has changed. If the store can't
say, the pauses between such loads double, so that invented kids cause neither reads nor waits.

A planned change, such as the activation of a key, needs no load: each request asks the clock.

Another service's keys (``JWT_AUTH_JWKS_URL``) are used for ``JWT_AUTH_JWKS_MAX_STALENESS`` after
the last load that succeeded. Such a process starts without keys if it has to. It then tries to load
them at growing intervals, so that requests neither wait for the issuer nor flood it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from threading import Event, Lock
from time import monotonic
from typing import Any, Final

from django.core.signals import setting_changed
from django.db import connections

from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure, KeyStoreError, KeyStoreUnavailable, UnknownKey
from jwt_auth.forks import after_fork_in_child
from jwt_auth.keys import jwk
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from jwt_auth.keys.cache_limits import GrowingPauses, StoreTrouble
from jwt_auth.keys.jwk import JWK, SigningKey, VerificationKey
from jwt_auth.keys.loaded_ring import LoadedRing, prepare_ring
from jwt_auth.keys.older_rings import OlderRing, find_refused
from jwt_auth.keys.redaction import anew
from jwt_auth.keys.ring import KeyRing, arrivals, states
from jwt_auth.keys.signers.base import RemoteSigningKey
from jwt_auth.keys.stores.base import get_key_store, load_ring, send_event

#: Seconds after the start of a background load until which requests wait for it. All of them wait
#: until the same moment, so a store that hangs delays a process once per load.
PATIENCE: Final = 2.0

#: Seconds that a load may take: requests that need the first copy wait this long, and a background
#: load is abandoned after this time or two intervals, whichever is longer.
_LONGEST_LOAD: Final = 30.0

#: Background loads at the same time: the one under way, and three that were abandoned and have not
#: come back. Each has a thread, and perhaps a connection.
_MOST_LOADS: Final = 4

#: The issuer is a part of the default store's path.
_SETTINGS: Final = frozenset({"JWT_AUTH_KEY_STORE", "JWT_AUTH_ISSUER", "JWT_AUTH_JWKS_URL"})

#: Seconds between two attempts to get the first copy from another service.
_LONGEST_FIRST_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Copy:
    """All that the process knows after a load. The next load replaces it as a whole."""

    loaded: LoadedRing
    #: When the last load that succeeded began, by the monotonic clock.
    loaded_at: float
    #: When the last load ended, by the monotonic clock and by the time of day.
    tried_at: float
    told_at: datetime
    #: Whether the last load succeeded within ``PATIENCE``.
    is_quick: bool
    #: The store's stamp at the last load, if that load failed or its ring was not taken.
    refused_stamp: object | None = None
    older: OlderRing | None = None

    def is_stale(self) -> bool:
        """Whether these are another service's keys, and nobody knows whether they still hold."""
        if not self.loaded.ring.is_verify_only:
            return False
        return monotonic() - self.loaded_at > conf.jwks_max_staleness.total_seconds()


class WouldWait(Exception):
    """The answer may need a load of the ring, and the caller must not wait for one."""


class _Load:
    """One load of the ring, which any number of requests may wait for."""

    def __init__(self) -> None:
        self.started = monotonic()
        self.stamp: object | None = None
        self.copy: _Copy | None = None
        self.failure: Exception | None = None
        self.ended = Event()

    def is_overdue(self, interval: float) -> bool:
        return monotonic() - self.started > max(_LONGEST_LOAD, 2 * interval)


class _Cache:
    def __init__(self) -> None:
        self._executor = BoundedExecutor(_MOST_LOADS, name="jwt_auth-keys")
        self.reset_threads()
        self._forget()

    def reset_threads(self) -> None:
        """Start with a free lock and no load under way: a forked child has no other thread."""
        self._lock = Lock()
        self._load: _Load | None = None

    def reset(self) -> None:
        with self._lock:
            self._load = None  # its result will be ignored
            self._forget()

    def _forget(self) -> None:
        self._copy: _Copy | None = None
        self._pauses, self._trouble = GrowingPauses(), StoreTrouble()
        self._first_pauses = GrowingPauses()
        self._first_failure: KeyFailure = KeyStoreError()

    def find(self) -> LoadedRing | None:
        copy = self._copy
        return None if copy is None else copy.loaded

    def get(self, *, may_wait: bool = True) -> _Copy:
        """Give the copy, unless it is too old to be used.

        Raises:
            KeyFailure: there is none, or it is too old.
            WouldWait: ``may_wait`` is false, and the ring has to be loaded first.
        """
        copy = self._get(may_wait=may_wait)
        if copy.is_stale():
            raise KeyStoreUnavailable(
                f"The keys of {copy.loaded.origin} are not used any more, because they could not be"
                " loaded for longer than JWT_AUTH_JWKS_MAX_STALENESS."
            )
        return copy

    def _get(self, *, may_wait: bool) -> _Copy:
        """Give the copy; start a load from half the interval on, wait for it from the whole on."""
        copy = self._copy
        if copy is None:
            if not may_wait:
                raise WouldWait
            return self._get_first()
        interval = conf.key_reload_interval.total_seconds()
        age = monotonic() - copy.tried_at
        if age < interval / 2:
            return copy
        if age >= interval and not may_wait:
            raise WouldWait
        load = self._start_load(copy)
        if age >= interval:
            _wait(load)
        return self._copy or copy

    def get_for_unknown_kid(self, copy: _Copy) -> _Copy:
        """Give a newer copy if there may be one, otherwise the same."""
        stamp = get_key_store().stamp()
        if stamp is None or stamp == copy.refused_stamp:
            # The store can't say, or its present ring could not be loaded.
            load = self._start_load(copy, is_guess=True)
            if copy.is_quick:
                _wait(load)
            return self._copy or copy
        for _ in range(2):  # again, because the load under way may have begun before the change
            current = self._copy or copy
            if stamp in (current.loaded.stamp, current.refused_stamp):
                break
            _wait(self._start_load(current))
        return self._copy or copy

    def _start_load(self, seen: _Copy | None, *, is_guess: bool = False) -> _Load | None:
        """Start a background load, unless there is one, and give it.

        Give ``None`` if another load has already replaced the copy that the request has ``seen``,
        if it is too early for a guess, or if no thread is free.
        """
        with self._lock:
            if self._copy not in (seen, None):
                return None
            load, interval = self._load, conf.key_reload_interval.total_seconds()
            now = monotonic()
            lasts = 0.0 if load is None else now - load.started
            if load is None and is_guess and not self._pauses.may_load(now, limit=interval):
                return None
            if load is None or load.is_overdue(interval):
                new = _Load()
                with suppress(StillWaiting, RuntimeError):  # no thread: a later request tries again
                    self._executor.submit(partial(self._load_in_background, new))
                    self._load = new
            load = self._load
        if seen is not None and lasts > interval:
            reason = f"it has not answered for {lasts:.0f} seconds"
            self._trouble.failed(now, seen.loaded.origin, reason, is_stale=seen.is_stale())
        return load

    def _get_first(self) -> _Copy:
        """Load in the request's thread, because nothing can be answered without a key.

        The other requests wait for that load and share its result. In a background thread, a store
        in the database would not see the request's transaction, in which a project's tests run.
        """
        mine = _Load()
        with self._lock:
            if (copy := self._copy) is not None:
                return copy
            if self._load is None and not self._may_load_first():
                raise anew(self._first_failure)
            load = self._load = self._load or mine
        if load is mine:
            self._run(load)
        else:
            if load.is_overdue(conf.key_reload_interval.total_seconds()):
                load = self._start_load(None) or load
            load.ended.wait(_LONGEST_LOAD)
        copy, failure = self._copy or load.copy, load.failure
        if copy is not None:
            return copy
        # A new instance: a traceback must not grow from thread to thread.
        told = anew(failure) if isinstance(failure, KeyFailure) else KeyStoreError()
        if load is mine and failure is not None:
            self._first_failure = told
            raise failure
        raise told

    def _may_load_first(self) -> bool:
        return conf.jwks_url is None or self._first_pauses.may_load(
            monotonic(), limit=_LONGEST_FIRST_PAUSE
        )

    def _load_in_background(self, load: _Load) -> None:
        try:
            self._run(load)
        finally:
            connections.close_all()  # this thread's, if the store or a receiver uses a database

    def _run(self, load: _Load) -> None:
        """Load the ring in this thread, and replace the copy.

        Only the load under way does so. The result of one that was abandoned, or that began before
        a reset, is ignored.
        """
        former = self._copy
        try:
            load.copy = _load_copy(load, former)
        except Exception as error:  # noqa: BLE001  a store's client may raise anything
            load.failure = error
            load.copy = former and replace(
                former,
                tried_at=monotonic(),
                told_at=datetime.now(UTC),
                is_quick=False,
                refused_stamp=load.stamp,
            )
        finally:
            with self._lock:
                is_under_way = self._load is load
                if is_under_way:
                    self._load, self._copy = None, load.copy or former
            load.ended.set()
        if is_under_way and former is not None and load.copy is not None:
            self._tell(former, load.copy, load.failure)

    def _tell(self, former: _Copy, copy: _Copy, failure: Exception | None) -> None:
        """Log the outcome, and send an event for each key whose state has changed.

        Most states change by the clock alone, so this is done after a failure, too.
        """
        if failure is None:
            self._trouble.ended(copy.loaded.origin)
        else:
            # Only our own errors are known to quote no secret.
            reason = str(failure) if isinstance(failure, KeyFailure) else type(failure).__name__
            origin, is_stale = copy.loaded.origin, copy.is_stale()
            self._trouble.failed(copy.tried_at, origin, reason, is_stale=is_stale)
        before = states(former.loaded.ring, former.told_at)
        after = states(copy.loaded.ring, copy.told_at)
        for event, kid in arrivals(before, after, new_keys=False):
            send_event(event, get_key_store(), kid)


def _wait(load: _Load | None) -> None:
    if load is not None:
        load.ended.wait(max(0.0, load.started + PATIENCE - monotonic()))


def _load_copy(load: _Load, former: _Copy | None) -> _Copy:
    store = get_key_store()
    load.stamp = store.stamp()  # before the ring: a change in between is noticed the next time
    held = None if former is None else former.loaded
    ring = load_ring(store, known=None if held is None else held.ring)
    loaded = prepare_ring(ring, origin=store.describe(), stamp=load.stamp, former=held)
    now = monotonic()
    copy = _Copy(
        loaded=loaded,
        loaded_at=load.started,
        tried_at=now,
        told_at=datetime.now(UTC),
        is_quick=now - load.started < PATIENCE,
    )
    if former is None or former.loaded.origin != loaded.origin:
        return copy  # versions of different stores can't be compared
    older = find_refused(
        ring, held=former.loaded.ring, former=former.older, origin=loaded.origin, now=now
    )
    if older is None:
        return copy
    return replace(copy, loaded=former.loaded, refused_stamp=load.stamp, older=older)


_cache: Final = _Cache()


def get_signing_key_and_end(now: datetime) -> tuple[SigningKey | RemoteSigningKey, datetime | None]:
    """Give the key that signs now, and the time at which it expires, if that is planned.

    Raises:
        NoSigningKey: the ring has none.
        KeyFailure: the ring is missing, or can't be loaded.
    """
    return _cache.get().loaded.get_signing_key_and_end(now)


def get_verification_key(kid: str, now: datetime, *, may_wait: bool = True) -> VerificationKey:
    """Give the key of that ``kid``.

    Raises:
        UnknownKey: the ring has no such key, or it has expired.
        KeyFailure: the ring is missing, or can't be loaded.
        WouldWait: ``may_wait`` is false, and the ring may have to be loaded first.
    """
    copy = _cache.get(may_wait=may_wait)
    key = copy.loaded.find_verification_key(kid, now)
    if key is None:
        if not may_wait:
            raise WouldWait
        newer = _cache.get_for_unknown_kid(copy)
        key = newer.loaded.find_verification_key(kid, now)
    if key is None:
        raise UnknownKey
    return key


def find_loaded_ring() -> LoadedRing | None:
    """Give the ring that requests work with, if there is one; no store is asked for it."""
    return _cache.find()


def get_loaded_ring(*, may_wait: bool = True) -> LoadedRing:
    """Give the ring that requests work with, its keys ready for use.

    Raises:
        KeyFailure: the ring is missing, or can't be loaded.
        WouldWait: ``may_wait`` is false, and the ring has to be loaded first.
    """
    return _cache.get(may_wait=may_wait).loaded


def get_ring() -> KeyRing:
    """Give the ring that requests work with.

    Raises:
        KeyFailure: the ring is missing, or can't be loaded.
    """
    return _cache.get().loaded.ring


def get_jwk_set(now: datetime) -> dict[str, list[JWK]]:
    """Give the JWK Set to publish (RFC 7517 §5): public members of the keys that have not expired.

    Raises:
        KeyFailure: the ring is missing, or can't be loaded.
    """
    return {"keys": [jwk.public_jwk(key.jwk) for key in get_ring().published_keys(now)]}


def reset() -> None:
    """Forget the copy; the next use loads it."""
    _cache.reset()


def _reset_on_change(*, setting: str, **kwargs: Any) -> None:
    if setting in _SETTINGS:
        reset()


def _reset_after_fork() -> None:
    # A function: the weak reference to a method would make Python complain when it exits.
    _cache.reset_threads()


after_fork_in_child(_reset_after_fork)
setting_changed.connect(_reset_on_change, dispatch_uid="jwt_auth.keys.cache")
