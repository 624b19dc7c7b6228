"""The key ring: a few keys, and the times from which each signs and until which it verifies.

The ring is one document with a timeline. Every node computes from the document and its clock what
each key is for at the moment. Nothing has to be written when a key's time comes::

    created_at ── published ── activates_at ── signing ── (the next activates) ── verifying
    ── expires_at

The ring is pure: each method takes the time as an aware datetime.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from jwt_auth.exceptions import NoSigningKey, VerifyOnly
from jwt_auth.keys import ring_document
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.jwk_format import is_same_key, is_symmetric
from jwt_auth.keys.ring_key import UNKNOWN_AGE, RingKey, SignerReference

__all__ = [
    "UNKNOWN_AGE",
    "KeyRing",
    "KeyState",
    "RingKey",
    "SignerReference",
    "States",
    "arrivals",
    "states",
]


class KeyState(StrEnum):
    PUBLISHED = "published"
    SIGNING = "signing"
    VERIFYING = "verifying"
    EXPIRED = "expired"


#: The event that reports a key's arrival in a state.
_ARRIVALS: Final = {
    KeyState.PUBLISHED: "published",
    KeyState.SIGNING: "activated",
    KeyState.VERIFYING: "superseded",
    KeyState.EXPIRED: "expired",
}

#: The state of each key, by its ``kid``.
States = Mapping[str, KeyState]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """An immutable ring. Each change gives a new one with the next ``version``."""

    version: int
    keys: tuple[RingKey, ...] = ()
    #: Whether these are the public keys of another service, which alone knows the key that signs.
    is_verify_only: bool = False

    @classmethod
    def from_json(cls, text: str) -> KeyRing:
        """Read a document strictly.

        Raises:
            KeyRingTorn: the text is not a ring, or (``KeyRingTooNew``) is one of a newer format.
        """
        version, keys = ring_document.read(text)
        return cls(version=version, keys=keys)

    def to_json(self) -> str:
        """The document, with the private keys."""
        return json.dumps(ring_document.build_document(self.version, self.keys), indent=2)

    def signing_key(self, now: datetime) -> RingKey:
        """The key that signs: the one that was activated last.

        If all keys are still waiting, it is the first of them: the clock of the node that made it
        may be a moment ahead.

        Raises:
            NoSigningKey: every key has expired, or the ring is empty.
            VerifyOnly: another service signs.
        """
        if self.is_verify_only:
            raise VerifyOnly
        living = self.verifying_keys(now)
        active = [key for key in living if not key.is_waiting(now)]
        if active:
            # Of two keys that were activated in the same moment, the later one in the document.
            return max(reversed(active), key=_activation)
        if living:
            return min(living, key=_activation)
        raise NoSigningKey

    def verifying_keys(self, now: datetime) -> tuple[RingKey, ...]:
        """All keys that have not expired. A waiting key is one: another node's clock may be ahead
        and sign with it already.
        """
        return tuple(key for key in self.keys if not key.is_expired(now))

    def published_keys(self, now: datetime) -> tuple[RingKey, ...]:
        """The keys of the JWK Set, which never has a secret, even if the ring has one."""
        return tuple(key for key in self.verifying_keys(now) if not is_symmetric(key.algorithm))

    def find_waiting(self, now: datetime) -> RingKey | None:
        """The key that is published and will sign later, if the ring has one."""
        waiting = (key for key in self.verifying_keys(now) if key.is_waiting(now))
        return next((key for key in waiting if key is not self.signing_key(now)), None)

    def find(self, kid: str) -> RingKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def same_keys(self, jwk: JWK) -> tuple[RingKey, ...]:
        """The entries of this key, under any ``kid`` and for any algorithm."""
        return tuple(key for key in self.keys if is_same_key(key.jwk, jwk))

    def state_of(self, key: RingKey, now: datetime) -> KeyState:
        if key.is_expired(now):
            return KeyState.EXPIRED
        if not self.is_verify_only and key == self.signing_key(now):
            return KeyState.SIGNING
        return KeyState.PUBLISHED if key.is_waiting(now) else KeyState.VERIFYING

    def is_due(self, now: datetime, interval: timedelta) -> bool:
        """True if the newest key was activated an ``interval`` ago, or no key can sign."""
        newest = max(map(_activation, self.verifying_keys(now)), default=None)
        return newest is None or now >= newest + interval

    @classmethod
    def of_unknown_age(cls, jwk: JWK) -> KeyRing:
        """Make a ring of one key, which signs, although nobody knows when it was made."""
        return cls(version=0).with_next_key(jwk, UNKNOWN_AGE, UNKNOWN_AGE, timedelta(0))

    @classmethod
    def of_public_keys(cls, jwks: Iterable[JWK]) -> KeyRing:
        """Make a ring of another service's keys, whose age and plans only that service knows."""
        keys = (
            RingKey(
                kid=jwk["kid"],
                algorithm=jwk["alg"],
                jwk=jwk,
                created_at=UNKNOWN_AGE,
                activates_at=UNKNOWN_AGE,
            )
            for jwk in jwks
        )
        return cls(version=0, keys=tuple(keys), is_verify_only=True)

    def with_next_key(
        self,
        jwk: JWK,
        now: datetime,
        activates_at: datetime,
        retention: timedelta,
        *,
        signer: SignerReference | None = None,
    ) -> KeyRing:
        """Add a key that takes over at ``activates_at``, and let the former ones verify for
        ``retention`` after that.

        The new key never takes over before a former one is activated: the clock of the node that
        made the former one may be ahead.
        """
        activates_at = max([activates_at, *map(_activation, self.keys)])
        former = (
            replace(key, expires_at=key.expires_at or activates_at + retention) for key in self.keys
        )
        added = RingKey(
            kid=jwk["kid"],
            algorithm=jwk["alg"],
            jwk=jwk,
            created_at=now,
            activates_at=activates_at,
            signer=signer,
        )
        return self._changed((*former, added))

    def with_activated(self, kid: str, now: datetime) -> KeyRing:
        """Let a waiting key sign from ``now``. The former ones verify as long as was planned."""
        return self._changed(
            [replace(key, activates_at=now) if key.kid == kid else key for key in self.keys]
        )

    def with_redated(self, kid: str, now: datetime, retention: timedelta) -> KeyRing:
        """Let a key sign from ``now`` that was made by a wrong clock. The other keys, whose
        expiries come from that clock, too, verify for ``retention`` from now at most.
        """
        latest = now + retention
        return self._changed(
            [
                replace(key, activates_at=now)
                if key.kid == kid
                else replace(key, expires_at=min(key.expires_at or latest, latest))
                for key in self.keys
            ]
        )

    def without(self, kid: str) -> KeyRing:
        """Remove a key. Tokens that it signed are refused from now on."""
        return self._changed([key for key in self.keys if key.kid != kid])

    def retired(self, now: datetime) -> KeyRing:
        """Drop the keys that have expired. A ring that has none, or nothing else, stays as it
        is.
        """
        living = self.verifying_keys(now)
        return self._changed(living) if 0 < len(living) < len(self.keys) else self

    def _changed(self, keys: Sequence[RingKey]) -> KeyRing:
        return KeyRing(version=self.version + 1, keys=tuple(keys))


def states(ring: KeyRing, now: datetime) -> States:
    return {key.kid: ring.state_of(key, now) for key in ring.keys}


def arrivals(before: States, after: States, *, new_keys: bool = True) -> Iterator[tuple[str, str]]:
    """Give event and ``kid`` of each key whose state has changed; with ``new_keys`` also of each
    key that is new in the ring.
    """
    for kid, state in after.items():
        if state != before.get(kid) and (new_keys or kid in before):
            yield _ARRIVALS[state], kid


def _activation(key: RingKey) -> datetime:
    return key.activates_at
