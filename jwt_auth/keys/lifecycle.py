"""Changes of the stored ring: the first key, the next one, the end of old and compromised ones.

With ``dry_run`` the next ring is computed and not saved. Only tests pass ``now``; otherwise the
time is taken when the ring is saved.
"""

from __future__ import annotations

import logging
import sys
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final

from jwt_auth.conf import (
    CLOCK_DIFFERENCE,
    MAX_ACCESS_TOKEN_LIFETIME,
    MAX_KEY_PUBLISH_AHEAD,
    conf,
)
from jwt_auth.exceptions import (
    KeyMisdated,
    KeyRingExists,
    KeyRingMissing,
    KeyTaken,
    KeyWaiting,
    UnknownKey,
)
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.changes import Change, apply_change, save_first
from jwt_auth.keys.jwk_format import is_same_key
from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.signers.base import NewKey, how_to_end, make_key, try_out
from jwt_auth.keys.stores.base import KeyStore, load_ring

logger: Final = logging.getLogger("jwt_auth")

#: How often a change that has to happen starts again after a collision.
_ATTEMPTS: Final = 5


class _KeyMaker:
    """Makes one key, however often the change of the ring starts again.

    A key that a key service has made costs money and could sign. If no ring has the key in the end,
    :meth:`close` says so in the log. It does not delete the key: a deletion by mistake could not be
    undone.
    """

    def __init__(self, *, dry_run: bool = False) -> None:
        self._dry_run = dry_run
        self._made: NewKey | None = None

    def make(self, algorithm: str | None) -> NewKey:
        if self._made is None:
            algorithm = algorithm or conf.algorithm
            # A dry run computes with a key that never leaves this process.
            local = self._dry_run
            self._made = NewKey(jwk=jwks.generate(algorithm)) if local else make_key(algorithm)
            try_out(self._made)
        return self._made

    def keep(self, ring: KeyRing) -> None:
        """Note which ring was saved: the key is in use if that ring has it."""
        if self._made is not None and ring.find(self._made.jwk["kid"]) is not None:
            self._made = None

    def close(self) -> None:
        if self._made is not None and self._made.signer is not None:
            signer = self._made.signer
            text = f"A key was made at {signer.backend} in vain. {how_to_end(signer)}"
            logger.warning("%s", text)
            if (error := sys.exception()) is not None:
                error.add_note(text)  # a command that fails shows it, and no records


def retention() -> timedelta:
    """How long a key verifies after its successor's activation: until its last token has expired.

    Tokens may have the longest lifetime that the setting allows: it may have been lowered since
    they were issued. A process with an old copy of the ring signs with the key for up to a reload
    interval more, by a clock that may be ahead.
    """
    lifetime = MAX_ACCESS_TOKEN_LIFETIME + conf.clock_leeway
    return lifetime + conf.key_reload_interval + CLOCK_DIFFERENCE


def make_first(store: KeyStore, *, algorithm: str, now: datetime | None = None) -> RingKey:
    """Make a ring of one key, which signs immediately.

    Raises:
        KeyRingExists: there is a ring.
        KeyStoreError: the store can't be written.
    """
    if conf.key_signer is not None:
        _require_no_ring(store)  # before a key service charges for a key
    with closing(_KeyMaker()) as maker:
        done = _save_first(store, maker.make(algorithm), now)
        maker.keep(done.after)
    return done.newest


def _require_no_ring(store: KeyStore) -> None:
    try:
        load_ring(store)
    except KeyRingMissing:
        return
    raise KeyRingExists


def _save_first(store: KeyStore, new: NewKey, now: datetime | None) -> Change:
    return save_first(store, lambda ring, now: _with_key(ring, new, now, now), now=now)


def add(
    store: KeyStore, new: NewKey, *, now: datetime | None = None, at_once: bool = False
) -> Change:
    """Publish an imported key as the next one, or make the first ring of it.

    Raises:
        KeyTaken: the ring has a key with its kid, or this key under another kid.
        KeyWaiting: the next key is published already.
        KeyMisdated: as :func:`rotate`.
        KeySignerError: its signer does not sign with it.
        KeyRingConflict: another process changed the ring at the same time.
        KeyStoreError: the store can't be read or written.
    """

    def next_ring(ring: KeyRing, now: datetime) -> KeyRing:
        if ring.find(new.jwk["kid"]) is not None:
            raise KeyTaken
        for former in ring.same_keys(new.jwk):
            raise KeyTaken(
                f"The ring has this key already, as {former.kid} for {former.algorithm}: a key has"
                " one kid and one algorithm. Give another key."
            )
        _refuse_misdated(ring, now)
        if ring.find_waiting(now) is not None:
            raise KeyWaiting(
                "The next key is published already: run the command again once that one signs,"
                " or let it sign with `manage.py rotate_keys --now`."
            )
        return _with_next(ring, new, now, at_once=at_once)

    try_out(new)
    try:
        return apply_change(store, next_ring, now=now)
    except KeyRingMissing:
        return _save_first(store, new, now)


def rotate(
    store: KeyStore,
    *,
    algorithm: str | None,
    now: datetime | None = None,
    at_once: bool = False,
    if_due: bool = False,
    dry_run: bool = False,
) -> Change:
    """Publish the next key, which signs after ``JWT_AUTH_KEY_PUBLISH_AHEAD`` or ``at_once``.

    If a key is waiting already, nothing changes; ``at_once`` activates that one. With ``if_due``
    nothing changes before the interval has passed.

    Raises:
        KeyMisdated: a key was made by a clock that was far ahead. ``at_once`` activates that key
            instead.
        KeyWaiting: the waiting key has another algorithm than was asked for.
        KeyRingConflict: another process changed the ring at the same time.
        KeyStoreError: the store can't be read or written.
    """

    def next_ring(ring: KeyRing, now: datetime) -> KeyRing:
        misdated = _find_misdated(ring, now)
        if misdated is not None and at_once:
            return ring.retired(now).with_redated(misdated.kid, now, retention())
        _refuse_misdated(ring, now)
        waiting = ring.find_waiting(now)
        if if_due and (waiting is not None or not ring.is_due(now, conf.key_rotation_interval)):
            return ring
        if waiting is None:
            return _with_next(ring, maker.make(algorithm), now, at_once=at_once)
        if algorithm not in (None, waiting.algorithm):
            raise KeyWaiting
        return ring.retired(now).with_activated(waiting.kid, now) if at_once else ring

    with closing(_KeyMaker(dry_run=dry_run)) as maker:
        attempts = _ATTEMPTS if if_due else 1
        done = apply_change(store, next_ring, now=now, attempts=attempts, dry_run=dry_run)
        maker.keep(done.after)
    return done


def retire(store: KeyStore, *, now: datetime | None = None, dry_run: bool = False) -> Change:
    """Drop the keys whose tokens have all expired.

    Raises:
        KeyRingConflict: other processes changed the ring again and again.
        KeyStoreError: the store can't be read or written.
    """
    return apply_change(store, KeyRing.retired, now=now, attempts=_ATTEMPTS, dry_run=dry_run)


def replace_compromised(
    store: KeyStore,
    *,
    kid: str,
    algorithm: str | None,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Change:
    """Remove a key immediately and make a new one that signs immediately.

    The same key under another kid or for another algorithm is removed, too. So is a waiting key: it
    lay in the same store, and it has signed no token that would be missed.

    Raises:
        UnknownKey: the ring has no key with that kid.
        KeyRingConflict: other processes changed the ring again and again.
        KeyStoreError: the store can't be read or written.
    """

    def next_ring(ring: KeyRing, now: datetime) -> KeyRing:
        lost = ring.find(kid)
        if lost is None:
            raise UnknownKey
        kept = ring
        for key in ring.keys:
            if key.is_waiting(now) or is_same_key(key.jwk, lost.jwk):
                kept = kept.without(key.kid)
        # A node whose clock is behind would otherwise sign with a former key for a while.
        return _with_key(kept, maker.make(algorithm), now, now - CLOCK_DIFFERENCE)

    with closing(_KeyMaker(dry_run=dry_run)) as maker:
        done = apply_change(
            store, next_ring, now=now, attempts=_ATTEMPTS, dry_run=dry_run, compromised=kid
        )
        maker.keep(done.after)
    return done


def _find_misdated(ring: KeyRing, now: datetime) -> RingKey | None:
    """The key that waits for longer than any setting allows, so that a clock was or is wrong."""
    latest = now + MAX_KEY_PUBLISH_AHEAD + CLOCK_DIFFERENCE
    return next((key for key in ring.keys if key.activates_at > latest), None)


def _refuse_misdated(ring: KeyRing, now: datetime) -> None:
    key = _find_misdated(ring, now)
    if key is not None:
        raise KeyMisdated(
            f"Key {key.kid} is to sign from {key.activates_at:%Y-%m-%d} only: the clock of the"
            f" machine that made it was wrong, or the clock of this one is ({now:%Y-%m-%d})."
            " Set the clock, or have that key sign now with `manage.py rotate_keys --now`."
        )


def _with_next(ring: KeyRing, new: NewKey, now: datetime, *, at_once: bool) -> KeyRing:
    return _with_key(ring, new, now, now if at_once else now + conf.key_publish_ahead)


def _with_key(ring: KeyRing, new: NewKey, now: datetime, activates_at: datetime) -> KeyRing:
    return ring.retired(now).with_next_key(
        new.jwk, now, activates_at, retention(), signer=new.signer
    )
