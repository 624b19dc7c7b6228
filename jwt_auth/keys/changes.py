"""A change of the stored ring: load it, compute the next one, save that, and announce it.

The next ring is saved in place of the one that it was computed from. If two nodes do so at the same
time, one of them wins, and the other starts again from the new ring.

Only tests pass ``now``. Otherwise the time is taken under the store's lock: a key has to be
published for as long as was planned, and waiting for the lock must not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from jwt_auth.exceptions import KeyRingConflict
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing, RingKey, arrivals, states
from jwt_auth.keys.stores.base import KeyStore, exclusive, load_ring, save_ring, send_event

#: Computes the next ring from the one that is stored and the time.
NextRing = Callable[[KeyRing, datetime], KeyRing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the ring that was made, or with ``dry_run`` would be made."""

    before: KeyRing
    after: KeyRing
    #: The moment that the change was computed for.
    now: datetime

    @property
    def newest(self) -> RingKey:
        """The key that the change has brought: the waiting one, otherwise the signing one."""
        return self.after.find_waiting(self.now) or self.after.signing_key(self.now)

    @property
    def removed_keys(self) -> list[RingKey]:
        """The keys that the change has taken out of the ring."""
        return [key for key in self.before.keys if self.after.find(key.kid) is None]


def apply_change(
    store: KeyStore,
    next_ring: NextRing,
    *,
    now: datetime | None,
    attempts: int = 1,
    dry_run: bool = False,
    compromised: str | None = None,
) -> Change:
    """Put the next ring in place of the stored one, in at most ``attempts`` attempts.

    ``dry_run`` computes it and saves nothing. ``compromised`` is the kid of a key that is removed
    for that reason.

    Raises:
        KeyRingConflict: another process changed the ring during each attempt.
        KeyStoreError: the store can't be read or written.
    """
    while True:
        ring = load_ring(store)
        done = _change(ring, next_ring, now)
        if dry_run or done.after == done.before:
            return done
        try:
            with exclusive(store):
                done = _change(ring, next_ring, now)  # time may have passed at the lock
                save_ring(store, done.after, expected_version=ring.version)
        except KeyRingConflict:
            attempts -= 1
            if attempts == 0:
                raise
            continue
        cache.reset()
        _announce(store, done, compromised=compromised)
        return done


def save_first(
    store: KeyStore,
    next_ring: NextRing,
    *,
    now: datetime | None,
) -> Change:
    """Save the first ring, which is computed from an empty one.

    Raises:
        KeyRingExists: there is a ring.
        KeyStoreError: the store can't be written.
    """
    with exclusive(store):
        done = _change(KeyRing(version=0), next_ring, now)
        save_ring(store, done.after, expected_version=None)
    cache.reset()
    _announce(store, done, compromised=None)
    return done


def _change(ring: KeyRing, next_ring: NextRing, now: datetime | None) -> Change:
    now = now or _clock()
    return Change(before=ring, after=next_ring(ring, now), now=now)


def _announce(store: KeyStore, done: Change, *, compromised: str | None) -> None:
    key = None if compromised is None else done.before.find(compromised)
    lost = () if key is None else done.before.same_keys(key.jwk)
    for removed in done.removed_keys:
        send_event("compromised" if removed in lost else "retired", store, removed.kid)
    for event, kid in arrivals(states(done.before, done.now), states(done.after, done.now)):
        send_event(event, store, kid)


def _clock() -> datetime:
    return datetime.now(UTC)
