"""The process's own copy of the key ring, which requests work with.

A request reads one immutable object and takes no lock. The copy is loaded at its first use; once it
is older than ``JWT_AUTH_KEY_RELOAD_INTERVAL``, one thread loads it anew while requests go on with
what they have; twice as old, as after a quiet hour, it is loaded before the answer. A ``kid`` that
the copy does not know is looked up at once, but only where the store says that its ring has changed
(or, from a store that can't say, once a second): nobody's made-up kids cause a read. A key whose
time has come in between needs none of that: the clock picks it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock, Thread
from time import monotonic
from typing import Any, Final

from django.core.signals import setting_changed
from django.db import connections

from jwt_auth.conf import conf
from jwt_auth.exceptions import KeyFailure, UnknownKey
from jwt_auth.keys import jwk
from jwt_auth.keys.jwk import JWK, SigningKey, VerificationKey
from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.stores.base import KeyStore, get_key_store, load_ring

logger: Final = logging.getLogger("jwt_auth")

#: Seconds between two reloads for unknown kids, from a store that has no stamp.
_UNKNOWN_KID_INTERVAL: Final = 1.0

#: Seconds between two log records of a store that fails.
_LOG_INTERVAL: Final = 60.0

#: The issuer is a part of the default store's path.
_SETTINGS: Final = frozenset({"JWT_AUTH_KEY_STORE", "JWT_AUTH_ISSUER"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """A loaded ring with its keys prepared."""

    generation: int
    store: KeyStore
    ring: KeyRing
    stamp: object | None
    signing: Mapping[str, SigningKey]
    verification: Mapping[str, tuple[RingKey, VerificationKey]]

    def find(self, kid: str, now: datetime) -> VerificationKey | None:
        ring_key, key = self.verification.get(kid, (None, None))
        return None if ring_key is None or ring_key.is_expired(now) else key


class _ActiveRing:
    def __init__(self) -> None:
        self._copy: _Copy | None = None
        self._generation = 0
        self._refused_stamp: object | None = None
        self._tried_at = 0.0
        self._next_guess = 0.0
        self._next_record = 0.0
        self.renew_locks()

    def renew_locks(self) -> None:
        """Start with free locks: a forked child has nobody to release those that were held."""
        self._loading = Lock()
        self._in_background = Lock()

    def reset(self) -> None:
        with self._loading:
            self._copy = None
            self._generation += 1
            self._refused_stamp = None
            self._next_guess = self._next_record = 0.0

    @property
    def generation(self) -> int:
        copy = self._copy
        return self._generation if copy is None else copy.generation

    def get(self) -> _Copy:
        """The copy; an old one is still given, and renewed beside the request."""
        copy = self._copy
        if copy is None:
            return self._load_first()
        interval = conf.key_reload_interval.total_seconds()
        age = monotonic() - self._tried_at
        if age >= 2 * interval:
            return self._load_overdue(copy)
        if age >= interval:
            self._start_reload()
        return copy

    def _load_overdue(self, copy: _Copy) -> _Copy:
        """Load before the answer: in a process that was idle the copy may be of any age.

        It could hold a key that was withdrawn as compromised. Where there is traffic the thread is
        always first, so that no request waits for the store.
        """
        with self._loading:
            if self._copy is copy:  # else somebody has loaded it while we waited
                self._reload(copy.store)
        return self._copy or copy

    def get_for_unknown_kid(self, copy: _Copy) -> _Copy:
        """A newer copy than ``copy`` where there may be one, else the same."""
        stamp = copy.store.stamp()
        if self._may_have_changed(copy, stamp):
            with self._loading:
                current = self._copy
                # Else somebody has loaded it while we waited for the lock.
                if current is copy or (current and stamp not in (None, current.stamp)):
                    self._reload(copy.store)
        return self._copy or copy

    def _may_have_changed(self, copy: _Copy, stamp: object | None) -> bool:
        if stamp is not None and stamp == copy.stamp:
            return False
        if stamp is not None and stamp != self._refused_stamp:
            return True
        # The store can't say, or what it has could not be loaded.
        if monotonic() < self._next_guess:
            return False
        self._next_guess = monotonic() + _UNKNOWN_KID_INTERVAL
        return True

    def _load_first(self) -> _Copy:
        with self._loading:
            if self._copy is not None:
                return self._copy
            store = get_key_store()
            return self._load(store, store.stamp())

    def _start_reload(self) -> None:
        if not self._in_background.acquire(blocking=False):
            return
        try:
            Thread(target=self._reload_beside, name="jwt_auth-keys", daemon=True).start()
        except RuntimeError:  # no more threads: the next request tries again
            self._in_background.release()

    def _reload_beside(self) -> None:
        try:
            with self._loading:
                if self._copy is not None:
                    self._reload(self._copy.store)
        finally:
            connections.close_all()  # this thread's, where the store is a database
            self._in_background.release()

    def _reload(self, store: KeyStore) -> None:
        """Load anew; whatever goes wrong, the copy stays."""
        stamp = None
        try:
            stamp = store.stamp()  # before the ring: a change in between is seen the next time
            self._load(store, stamp)
        except Exception as error:  # noqa: BLE001  a store's client may raise anything
            self._refused_stamp = stamp
            self._tried_at = monotonic()
            self._record(store, error)

    def _load(self, store: KeyStore, stamp: object | None) -> _Copy:
        ring = load_ring(store)
        former = self._copy
        if former is not None and former.ring == ring:
            copy = replace(former, stamp=stamp)
        else:
            copy = _Copy(
                generation=self._generation + 1,
                store=store,
                ring=ring,
                stamp=stamp,
                signing={key.kid: jwk.signing_key(key.jwk) for key in ring.keys},
                verification={key.kid: (key, jwk.verification_key(key.jwk)) for key in ring.keys},
            )
        self._generation = copy.generation
        self._copy = copy
        self._refused_stamp = None
        self._tried_at = monotonic()
        return copy

    def _record(self, store: KeyStore, error: Exception) -> None:
        if monotonic() < self._next_record:
            return
        self._next_record = monotonic() + _LOG_INTERVAL
        # Only our own errors are known to quote nothing.
        reason = error if isinstance(error, KeyFailure) else type(error).__name__
        logger.error(
            "The key ring could not be reloaded from %s, the former copy stays in use: %s",
            store.describe(),
            reason,
        )


_active: Final = _ActiveRing()
os.register_at_fork(after_in_child=_active.renew_locks)


def signing_key(now: datetime) -> SigningKey:
    """The key that signs now.

    Raises:
        NoSigningKey: the ring has none.
        KeyFailure: there is no ring, or it can't be loaded.
    """
    copy = _active.get()
    return copy.signing[copy.ring.signing_key(now).kid]


def verification_key(kid: str, now: datetime) -> VerificationKey:
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


def jwk_set(now: datetime) -> dict[str, list[JWK]]:
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


setting_changed.connect(_reset_on_change, dispatch_uid="jwt_auth.keys.active")
