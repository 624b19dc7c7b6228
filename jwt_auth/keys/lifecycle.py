"""Changes of the stored ring: the first key, the next one, the end of old and compromised ones.

Each loads the ring, computes the next one and saves it in place of the one it started from, so that
of two nodes who do so at once one wins and the other starts again from what it finds. ``dry_run``
computes and saves nothing. ``now`` is ``None`` outside of tests: the time is then taken when nobody
else can save any more, since a key has to be published for as long as was planned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from jwt_auth.conf import (
    CLOCK_DIFFERENCE,
    MAX_ACCESS_TOKEN_LIFETIME,
    MAX_KEY_PUBLISH_AHEAD,
    conf,
)
from jwt_auth.exceptions import (
    KeyMisdated,
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyTaken,
    KeyWaiting,
    UnknownKey,
)
from jwt_auth.keys import cache
from jwt_auth.keys.changes import arrivals, departures, states
from jwt_auth.keys.jwk import is_same_key
from jwt_auth.keys.making import Maker
from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.signers.base import NewKey, try_out
from jwt_auth.keys.stores.base import KeyStore, exclusive, load_ring, save_ring, send_event

#: How often a change that has to happen starts again after a collision.
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a change did, or with ``dry_run`` would do, to the ring."""

    before: KeyRing
    after: KeyRing
    #: The moment that it was computed for.
    now: datetime

    @property
    def newest(self) -> RingKey:
        """The key that waits, else the one that signs: what a change has brought."""
        return self.after.find_waiting(self.now) or self.after.signing_key(self.now)

    @property
    def removed(self) -> list[str]:
        """The kids that are no longer in the ring."""
        return [key.kid for key in self.removed_keys]

    @property
    def removed_keys(self) -> list[RingKey]:
        return [key for key in self.before.keys if self.after.find(key.kid) is None]


def retention() -> timedelta:
    """How long a key verifies after its successor's activation: to the end of its last token.

    Of the longest lifetime that there can be: the setting may have been lowered since, and says
    nothing of the tokens that are out there. A process whose copy of the ring is old goes on
    signing with the key for up to a reload interval, by a clock that may be ahead.
    """
    lifetime = MAX_ACCESS_TOKEN_LIFETIME + conf.clock_leeway
    return lifetime + conf.key_reload_interval + CLOCK_DIFFERENCE


def make_first(store: KeyStore, *, algorithm: str, now: datetime | None = None) -> RingKey:
    """Make a ring of one key, which signs at once.

    Raises:
        KeyRingExists: there is a ring.
        KeyStoreError: the store can't be written.
    """
    if conf.key_signer is not None:
        _require_no_ring(store)  # before a key is made that somebody has to pay for
    with Maker() as maker:
        key = _save_first(store, maker.make(algorithm), now)
        maker.keep(KeyRing(version=1, keys=(key,)))
    return key


def _require_no_ring(store: KeyStore) -> None:
    try:
        load_ring(store)
    except KeyRingMissing:
        return
    raise KeyRingExists


def _save_first(store: KeyStore, new: NewKey, now: datetime | None) -> RingKey:
    with exclusive(store):
        now = now or _clock()
        ring = _with_key(KeyRing(version=0), new, now, now)
        save_ring(store, ring, expected_version=None)
    cache.reset()
    (key,) = ring.keys
    send_event("activated", store, key.kid)
    return key


def add(
    store: KeyStore, new: NewKey, *, now: datetime | None = None, at_once: bool = False
) -> Change:
    """Publish a key that somebody brings as the next one, or make the first ring of it.

    Raises:
        KeyTaken: the ring has a key of its kid, or this key under another one.
        KeyWaiting: the next key is published already.
        KeyMisdated: as :func:`rotate`.
        KeySignerError: its signer does not sign with it.
        KeyRingConflict: somebody else changed the ring at the same time.
        KeyStoreError: the store can't be read or written.
    """

    def change(ring: KeyRing, now: datetime) -> Change:
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
        ahead = timedelta(0) if at_once else conf.key_publish_ahead
        return Change(before=ring, after=_with_key(ring, new, now, now + ahead), now=now)

    try_out(new)

    try:
        return _apply(store, change, now=now, attempts=1, dry_run=False)
    except KeyRingMissing:
        key = _save_first(store, new, now)
        return Change(
            before=KeyRing(version=0), after=KeyRing(version=1, keys=(key,)), now=key.created_at
        )


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

    Nothing changes while one is waiting already; ``at_once`` activates that one. With ``if_due``
    nothing changes before the interval has passed.

    Raises:
        KeyMisdated: a key was made by a clock that was far ahead, and not ``at_once``, which
            activates that one.
        KeyWaiting: the one that is waiting has another algorithm than was asked for.
        KeyRingConflict: somebody else changed the ring at the same time.
        KeyStoreError: the store can't be read or written.
    """
    maker = Maker(dry_run=dry_run)

    def change(ring: KeyRing, now: datetime) -> Change:
        misdated = _find_misdated(ring, now)
        if misdated is not None and at_once:
            after = ring.retired(now).with_redated(misdated.kid, now, retention())
            return Change(before=ring, after=after, now=now)
        _refuse_misdated(ring, now)
        waiting = ring.find_waiting(now)
        if if_due and (waiting is not None or not ring.is_due(now, conf.key_rotation_interval)):
            return Change(before=ring, after=ring, now=now)
        if waiting is None:
            ahead = timedelta(0) if at_once else conf.key_publish_ahead
            after = _with_key(ring, maker.make(algorithm), now, now + ahead)
            return Change(before=ring, after=after, now=now)
        if algorithm not in (None, waiting.algorithm):
            raise KeyWaiting
        after = ring.retired(now).with_activated(waiting.kid, now) if at_once else ring
        return Change(before=ring, after=after, now=now)

    attempts = _ATTEMPTS if if_due else 1
    with maker:
        done = _apply(store, change, now=now, attempts=attempts, dry_run=dry_run)
        maker.keep(done.after)
    return done


def retire(store: KeyStore, *, now: datetime | None = None, dry_run: bool = False) -> Change:
    """Drop the keys that can verify no living token.

    Raises:
        KeyRingConflict: the ring was changed by others again and again.
        KeyStoreError: the store can't be read or written.
    """
    return _apply(
        store,
        lambda ring, now: Change(before=ring, after=ring.retired(now), now=now),
        now=now,
        attempts=_ATTEMPTS,
        dry_run=dry_run,
    )


def replace_compromised(
    store: KeyStore,
    *,
    kid: str,
    algorithm: str | None,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Change:
    """Remove a key at once and make a new one that signs at once.

    So goes the same key under another kid or for another algorithm, and a key that waits: it lay in
    the same store, and nobody would miss what it has signed.
    The new key's time has come also where the clock is behind: else a former one would sign there.

    Raises:
        UnknownKey: the ring has no key of that kid.
        KeyRingConflict: the ring was changed by others again and again.
        KeyStoreError: the store can't be read or written.
    """
    maker = Maker(dry_run=dry_run)

    def change(ring: KeyRing, now: datetime) -> Change:
        lost = ring.find(kid)
        if lost is None:
            raise UnknownKey
        kept = ring
        for key in ring.keys:
            if key.is_waiting(now) or is_same_key(key.jwk, lost.jwk):
                kept = kept.without(key.kid)
        new, at_once = maker.make(algorithm), now - CLOCK_DIFFERENCE
        return Change(before=ring, after=_with_key(kept, new, now, at_once), now=now)

    with maker:
        done = _apply(store, change, now=now, attempts=_ATTEMPTS, dry_run=dry_run, compromised=kid)
        maker.keep(done.after)
    return done


def _find_misdated(ring: KeyRing, now: datetime) -> RingKey | None:
    """The key that no setting could have wait for so long: a clock was wrong, there or here."""
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


def _with_key(ring: KeyRing, new: NewKey, now: datetime, activates_at: datetime) -> KeyRing:
    return ring.retired(now).with_next_key(
        new.jwk, now, activates_at, retention(), signer=new.signer
    )


def _clock() -> datetime:
    return datetime.now(UTC)


def _apply(
    store: KeyStore,
    change: Callable[[KeyRing, datetime], Change],
    *,
    now: datetime | None,
    attempts: int,
    dry_run: bool,
    compromised: str | None = None,
) -> Change:
    """Load, change and save; after a collision again, from what the other one has made of it."""
    while True:
        ring = load_ring(store)
        done = change(ring, now or _clock())
        if dry_run or done.after == done.before:
            return done
        try:
            with exclusive(store):
                done = change(ring, now or _clock())  # anew: somebody may have been waited for
                save_ring(store, done.after, expected_version=ring.version)
        except KeyRingConflict:
            attempts -= 1
            if attempts == 0:
                raise
            continue
        cache.reset()
        _announce(store, done, compromised=compromised)
        return done


def _announce(store: KeyStore, done: Change, *, compromised: str | None) -> None:
    before, after = states(done.before, done.now), states(done.after, done.now)
    key = None if compromised is None else done.before.find(compromised)
    lost = set() if key is None else {same.kid for same in done.before.same_keys(key.jwk)}
    for kid in departures(before, after):
        send_event("compromised" if kid in lost else "retired", store, kid)
    for event, kid in arrivals(before, after):
        send_event(event, store, kid)
