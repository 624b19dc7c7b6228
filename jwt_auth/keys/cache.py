"""The process's own copy of the key ring, which requests work with.

A request reads one immutable object and takes no lock. From half of
``JWT_AUTH_KEY_RELOAD_INTERVAL`` on, one thread loads the ring anew while requests go on with what
they have: where there is traffic nobody waits for the store, and no copy gets older than the
interval. Only a process that was idle for the interval loads before it answers, and waits for two
seconds at most: its copy could hold a key that was withdrawn as compromised. A store that fails or
hangs costs nobody anything: the copy stays, and one thread at a time is at it. A load that does not
come back is given up, and another begun in its place. A ring that is older than the copy is not
taken at once: it may be a replica's that lags, and have a key that was withdrawn.

A ``kid`` that the copy does not know is looked up at once where the store says that its ring has
changed. A store that can't say is asked now and then, ever more seldom, so that made-up kids drive
neither reads nor waits. A key whose time has come in between needs none of that: the clock picks
it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock, Thread
from time import monotonic
from typing import Any, Final

from django.core.signals import setting_changed
from django.db import connections

from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure, KeyStoreError, UnknownKey
from jwt_auth.keys import jwk
from jwt_auth.keys.jwk import JWK, SigningKey, VerificationKey
from jwt_auth.keys.loading import PATIENCE, GivenUp, Guesses, Load, SetBack, Trouble
from jwt_auth.keys.redaction import anew
from jwt_auth.keys.ring import KeyRing, RingKey, States, arrivals, states
from jwt_auth.keys.signers.base import RemoteSigningKey, prepare_ring_key
from jwt_auth.keys.stores.base import KeyStore, get_key_store, load_ring, send_event

#: Seconds that a request waits at most for the first load, which another one makes.
_FIRST_PATIENCE: Final = 30.0

#: The issuer is a part of the default store's path.
_SETTINGS: Final = frozenset({"JWT_AUTH_KEY_STORE", "JWT_AUTH_ISSUER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """A loaded ring with its keys prepared."""

    generation: int
    ring: KeyRing
    stamp: object | None
    #: What the store that it is from calls itself.
    origin: str
    signing: Mapping[str, SigningKey | RemoteSigningKey]
    verification: Mapping[str, tuple[RingKey, VerificationKey]]

    def find(self, kid: str, now: datetime) -> VerificationKey | None:
        ring_key, key = self.verification.get(kid, (None, None))
        return None if ring_key is None or ring_key.is_expired(now) else key


class _ActiveRing:
    def __init__(self) -> None:
        self._copy: _Copy | None = None
        self._generation = 0
        self.forget_threads()
        self._forget_store()

    def forget_threads(self) -> None:
        """Start with free locks and nobody at work: in a forked child there are no other threads,
        and the store's open connections are its parent's.
        """
        self._lock = Lock()
        self._running: Load | None = None
        self._given_up = GivenUp()
        self._store: KeyStore | None = None

    def _forget_store(self) -> None:
        self._store = None
        self._refused_stamp: object | None = None
        self._tried_at = 0.0
        self._is_quick = True
        self._guesses, self._trouble, self._set_back = Guesses(), Trouble(), SetBack()
        self._states: States = {}

    def reset(self) -> None:
        with self._lock:
            self._copy = None
            self._generation += 1
            self._running = None  # what it brings is thrown away
            self._forget_store()

    @property
    def generation(self) -> int:
        copy = self._copy
        return self._generation if copy is None else copy.generation

    def get(self) -> _Copy:
        """The copy, renewed beside the request from half the interval on."""
        copy = self._copy
        if copy is None:
            return self._load_first()
        interval = conf.key_reload_interval.total_seconds()
        age = monotonic() - self._tried_at
        if age < interval / 2:
            return copy
        load = self._start_load()
        if age >= interval:
            _wait(load)
        return self._copy or copy

    def get_for_unknown_kid(self, copy: _Copy) -> _Copy:
        """A newer copy than ``copy`` where there may be one, else the same."""
        stamp = None if self._store is None else self._store.stamp()
        if stamp is None or stamp == self._refused_stamp:
            # The store can't say, or what it has could not be loaded.
            return self._guess(copy)
        for _ in range(2):  # again where a load was under way that began before the change
            current = self._copy or copy
            if stamp in (current.stamp, self._refused_stamp):
                break
            load = self._start_load()
            _wait(load)
        return self._copy or copy

    def _guess(self, copy: _Copy) -> _Copy:
        current = self._copy
        if current is not None and current is not copy:
            return current
        load = self._running
        if load is None:
            limit = conf.key_reload_interval.total_seconds()
            if not self._guesses.take(monotonic(), limit=limit):
                return copy
            load = self._start_load()
        if self._is_quick:
            _wait(load)
        return self._copy or copy

    def _load_first(self) -> _Copy:
        """Load in the request: without a key nothing can be answered. The others wait for the one
        who loads, and share what comes of it.
        """
        with self._lock:
            if self._copy is not None:
                return self._copy
            load, mine = self._find_running(), False
            if load is None:
                load, mine = Load(monotonic()), True
                self._running = load
        if mine:
            try:
                return self._load(load)
            except Exception as error:
                load.failure = error
                raise
            finally:
                self._finish(load)
        load.wait(_FIRST_PATIENCE)
        return self._get_loaded(load)

    def _get_loaded(self, load: Load) -> _Copy:
        if self._copy is not None:
            return self._copy
        failure = load.failure
        # An instance of its own: a traceback must not grow from thread to thread.
        raise anew(failure) if isinstance(failure, KeyFailure) else KeyStoreError

    def _start_load(self) -> Load:
        """Have one thread load the ring; whoever comes while it is at it gets the same load."""
        now, interval = monotonic(), conf.key_reload_interval.total_seconds()
        running = self._running
        if running is None or running.is_overdue(now, interval=interval):
            with self._lock:
                running = self._find_running()
                if running is None:
                    return self._start_thread()
        if now - running.started > interval:
            self._trouble.hangs(self._store, now - running.started, now)
        return running

    def _find_running(self) -> Load | None:
        """The load that is under way, with the lock held; one that does not come back is given up,
        and what it may still bring is thrown away.
        """
        load, now = self._running, monotonic()
        interval = conf.key_reload_interval.total_seconds()
        if load is None or not load.is_overdue(now, interval=interval):
            return load
        if not self._given_up.take(load):
            return load
        self._running = None
        self._trouble.gave_up(self._store, now - load.started, now)
        return None

    def _start_thread(self) -> Load:
        self._running = load = Load(monotonic())
        try:
            Thread(target=self._reload, args=[load], name="jwt_auth-keys", daemon=True).start()
        except RuntimeError:  # no more threads: the next request tries again
            self._running = None
            load.finish()
        return load

    def _reload(self, load: Load) -> None:
        """Load anew; whatever goes wrong, the copy stays."""
        try:
            self._load(load)
        except Exception as error:  # noqa: BLE001  a store's client may raise anything
            if self._running is load:  # else it was given up, or there was a reset
                self._is_quick = False
                self._tried_at = now = monotonic()
                self._trouble.failed(self._store, error, now)
        finally:
            self._finish(load)
        self._tell_changes()
        connections.close_all()  # this thread's, where the store is a database

    def _finish(self, load: Load) -> None:
        with self._lock:
            if self._running is load:
                self._running = None
        load.finish()

    def _load(self, load: Load) -> _Copy:
        former = self._copy
        self._store = store = get_key_store()
        stamp = store.stamp()  # before the ring: a change in between is seen the next time
        try:
            ring = load_ring(store, known=None if former is None else former.ring)
            copy = self._prepare(ring, stamp, store, former)
        except Exception:
            if self._running is load:
                self._refused_stamp = stamp
            raise
        with self._lock:
            if self._running is not load:  # it was given up, or there was a reset
                return self._copy or copy
            if former is not None and not self._is_meant(copy, former, store):
                self._keep(former, load, store)
                self._refused_stamp = stamp
                return former
            self._keep(copy, load, store)
        return copy

    def _is_meant(self, copy: _Copy, former: _Copy, store: KeyStore) -> bool:
        """Whether to take it. Of another store the versions say nothing."""
        return copy.origin != former.origin or self._set_back.is_meant(
            copy.ring,
            held=former.ring,
            store=store,
            now=monotonic(),
            interval=conf.key_reload_interval.total_seconds(),
        )

    def _prepare(
        self, ring: KeyRing, stamp: object | None, store: KeyStore, former: _Copy | None
    ) -> _Copy:
        if former is not None and former.ring == ring:
            return replace(former, stamp=stamp, origin=store.describe())
        return _Copy(
            generation=self._generation + 1,
            ring=ring,
            stamp=stamp,
            origin=store.describe(),
            signing={key.kid: prepare_ring_key(key) for key in ring.keys},
            verification={
                key.kid: (key, jwk.prepare_verification_key(key.jwk)) for key in ring.keys
            },
        )

    def _keep(self, copy: _Copy, load: Load, store: KeyStore) -> None:
        self._generation = copy.generation
        self._copy = copy
        self._refused_stamp = None
        self._tried_at = monotonic()
        self._is_quick = self._tried_at - load.started < PATIENCE
        self._states = self._states or states(copy.ring, datetime.now(UTC))
        self._trouble.over(store)

    def _tell_changes(self) -> None:
        """Tell of keys that have come into another state here, most often by the clock alone."""
        copy, store = self._copy, self._store
        if copy is None or store is None:
            return
        with self._lock:  # a load that was given up may come back beside a later one
            former, self._states = self._states, states(copy.ring, datetime.now(UTC))
        for event, kid in arrivals(former, self._states, new_keys=False):
            send_event(event, store, kid)


def _wait(load: Load) -> None:
    load.wait(load.started + PATIENCE - monotonic())


_active: Final = _ActiveRing()
os.register_at_fork(after_in_child=_active.forget_threads)


def get_signing_key(now: datetime) -> SigningKey | RemoteSigningKey:
    """The key that signs now.

    Raises:
        NoSigningKey: the ring has none.
        KeyFailure: there is no ring, or it can't be loaded.
    """
    return get_signing_key_and_end(now)[0]


def get_signing_key_and_end(now: datetime) -> tuple[SigningKey | RemoteSigningKey, datetime | None]:
    """The same, with the moment from which on the key verifies nothing, where that is planned."""
    copy = _active.get()
    key = copy.ring.signing_key(now)
    return copy.signing[key.kid], key.expires_at


def get_verification_key(kid: str, now: datetime) -> VerificationKey:
    """The key of that ``kid``.

    Raises:
        UnknownKey: there is none, or it has expired.
        KeyFailure: there is no ring, or it can't be loaded.
    """
    copy = _active.get()
    key = copy.find(kid, now) or _active.get_for_unknown_kid(copy).find(kid, now)
    if key is None:
        raise UnknownKey
    return key


def get_ring() -> KeyRing:
    """The ring that requests work with.

    Raises:
        KeyFailure: there is no ring, or it can't be loaded.
    """
    return _active.get().ring


def get_jwk_set(now: datetime) -> dict[str, list[JWK]]:
    """The JWK Set to publish (RFC 7517 §5): public members of the keys that have not expired.

    Raises:
        KeyFailure: there is no ring, or it can't be loaded.
    """
    return {"keys": [jwk.public_jwk(key.jwk) for key in _active.get().ring.published_keys(now)]}


def generation() -> int:
    """A number that goes up whenever the copy differs from the one before."""
    return _active.generation


def reset() -> None:
    """Forget the copy; the next use loads it."""
    _active.reset()


def _reset_on_change(*, setting: str, **kwargs: Any) -> None:
    if setting in _SETTINGS:
        reset()


setting_changed.connect(_reset_on_change, dispatch_uid="jwt_auth.keys.cache")
