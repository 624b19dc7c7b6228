"""The key ring: a few keys and the times from which each signs and until which it verifies.

It is one document with a timeline. Every node computes from the same document and its own clock
what each key is for at the moment, so nothing has to happen when a key's time comes::

    created_at ── published ── activates_at ── signing ── (the next activates) ── verifying
    ── expires_at

Pure: the time is passed in, an aware datetime.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NoReturn

from jwt_auth.conf import ALGORITHMS
from jwt_auth.exceptions import KeyRingTooNew, KeyRingTorn, NoSigningKey
from jwt_auth.keys.jwk import JWK, is_private, is_same_key, is_symmetric

#: Number of the document's format; a document with a higher one was written by a newer version.
FORMAT: Final = 2

#: The format of a ring whose keys are all in it, so that an older version reads what it can read.
_FORMAT_WITHOUT_SIGNERS: Final = 1

_DOCUMENT: Final = frozenset({"format", "version", "keys"})
_ENTRY: Final = frozenset({"created_at", "activates_at", "expires_at", "jwk"})
_SIGNER: Final = frozenset({"backend", "key"})


class KeyState(StrEnum):
    PUBLISHED = "published"
    SIGNING = "signing"
    VERIFYING = "verifying"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerReference:
    """Where the private part of a key is that the ring has only the public part of."""

    #: The signer's name, never a dotted path: who can write the ring must not choose what is
    #: imported.
    backend: str
    #: What the signer calls the key.
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RingKey:
    """A JWK and its times; ``repr`` leaves the JWK out. It is private, unless there is a signer."""

    kid: str
    algorithm: str
    jwk: JWK = field(repr=False)
    created_at: datetime
    activates_at: datetime
    expires_at: datetime | None = None
    signer: SignerReference | None = None

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def is_waiting(self, now: datetime) -> bool:
        """True before its activation."""
        return now < self.activates_at


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """An immutable ring; each change gives a new one with the next ``version``."""

    version: int
    keys: tuple[RingKey, ...] = ()

    def signing_key(self, now: datetime) -> RingKey:
        """The key that signs: the one that was activated last.

        Where none is yet, the first to be: the node that made it may have a clock that is a moment
        ahead.

        Raises:
            NoSigningKey: every key has expired, or there is none.
        """
        living = self.verifying_keys(now)
        active = [key for key in living if not key.is_waiting(now)]
        if active:
            # Of two that were activated in the same moment the later one in the document.
            return max(reversed(active), key=_activation)
        if living:
            return min(living, key=_activation)
        raise NoSigningKey

    def verifying_keys(self, now: datetime) -> tuple[RingKey, ...]:
        """All that have not expired, also those that wait: another node's clock may be ahead."""
        return tuple(key for key in self.keys if not key.is_expired(now))

    def published_keys(self, now: datetime) -> tuple[RingKey, ...]:
        """Those of the JWK Set: never a secret, whatever stands beside it in the ring."""
        return tuple(key for key in self.verifying_keys(now) if not is_symmetric(key.algorithm))

    def find_waiting(self, now: datetime) -> RingKey | None:
        """The key that is published and will sign later; ``None`` where there is none."""
        waiting = (key for key in self.verifying_keys(now) if key.is_waiting(now))
        return next((key for key in waiting if key is not self.signing_key(now)), None)

    def find(self, kid: str) -> RingKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def same_keys(self, jwk: JWK) -> tuple[RingKey, ...]:
        """Those that are this key, under whatever ``kid`` and for whatever algorithm."""
        return tuple(key for key in self.keys if is_same_key(key.jwk, jwk))

    def state_of(self, key: RingKey, now: datetime) -> KeyState:
        if key.is_expired(now):
            return KeyState.EXPIRED
        if key == self.signing_key(now):
            return KeyState.SIGNING
        return KeyState.PUBLISHED if key.is_waiting(now) else KeyState.VERIFYING

    def is_due(self, now: datetime, interval: timedelta) -> bool:
        """True where the newest key was activated an ``interval`` ago, or nothing can sign."""
        newest = max(map(_activation, self.verifying_keys(now)), default=None)
        return newest is None or now >= newest + interval

    def with_next_key(
        self,
        jwk: JWK,
        now: datetime,
        activates_at: datetime,
        retention: timedelta,
        *,
        signer: SignerReference | None = None,
    ) -> KeyRing:
        """Add a key that takes over at ``activates_at``.

        The former ones verify for ``retention`` after that. Never before one of them: the clock of
        the node that made it may be ahead.
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
        """Have a waiting key sign from ``now``; the former ones verify as long as was planned."""
        return self._changed(
            tuple(replace(key, activates_at=now) if key.kid == kid else key for key in self.keys)
        )

    def with_redated(self, kid: str, now: datetime, retention: timedelta) -> KeyRing:
        """Have a key sign from ``now`` whose times a wrong clock has set; the others verify for
        ``retention`` from now at most.
        """
        activated = self.with_activated(kid, now)
        latest = now + retention
        return replace(
            activated,
            keys=tuple(
                key
                if key.kid == kid
                else replace(key, expires_at=min(key.expires_at or latest, latest))
                for key in activated.keys
            ),
        )

    def without(self, kid: str) -> KeyRing:
        """Take a key out at once: what it signed is refused from now on."""
        return self._changed(tuple(key for key in self.keys if key.kid != kid))

    def retired(self, now: datetime) -> KeyRing:
        """Drop the keys that have expired; the same ring where it has none, or nothing else."""
        living = self.verifying_keys(now)
        return self._changed(living) if 0 < len(living) < len(self.keys) else self

    def to_json(self) -> str:
        """The document, with the private keys."""
        signers = any(key.signer is not None for key in self.keys)
        document = {
            "format": FORMAT if signers else _FORMAT_WITHOUT_SIGNERS,
            "version": self.version,
            "keys": [_entry(key) for key in self.keys],
        }
        return json.dumps(document, indent=2)

    @classmethod
    def from_json(cls, text: str) -> KeyRing:
        """Read a document strictly.

        Raises:
            KeyRingTorn: it is not a ring, or (``KeyRingTooNew``) of a newer format. The text says
                what is wrong and quotes nothing.
        """
        try:
            document = json.loads(text, object_pairs_hook=_unique_names)
        except (ValueError, RecursionError):
            raise KeyRingTorn("The key ring is not a JSON document.") from None
        optional = _optional_members(_read_format(document))
        _require_members(document, _DOCUMENT, "The key ring")
        version, entries = document["version"], document["keys"]
        if type(version) is not int or version < 1:
            raise KeyRingTorn("The version of the key ring is not a positive integer.")
        if not isinstance(entries, list) or not entries:
            raise KeyRingTorn("The key ring has no keys.")
        keys = tuple(
            _read_key(entry, f"Key {n} of the ring", optional) for n, entry in enumerate(entries, 1)
        )
        if len({key.kid for key in keys}) != len(keys):
            raise KeyRingTorn("Two keys of the ring have the same kid.")
        return cls(version=version, keys=keys)

    def _changed(self, keys: Sequence[RingKey]) -> KeyRing:
        return KeyRing(version=self.version + 1, keys=tuple(keys))


def _entry(key: RingKey) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "created_at": key.created_at.isoformat(),
        "activates_at": key.activates_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "jwk": key.jwk,
    }
    if key.signer is not None:
        entry["signer"] = {"backend": key.signer.backend, "key": key.signer.key}
    return entry


def _activation(key: RingKey) -> datetime:
    return key.activates_at


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value


def _read_format(document: object) -> int:
    number = document.get("format") if isinstance(document, dict) else None
    if type(number) is not int or number < 1:
        raise KeyRingTorn("The document is not a key ring: it has no format number.")
    if number > FORMAT:
        raise KeyRingTooNew(
            f"The key ring has a newer format than this version of jwt_auth can read ({FORMAT}):"
            " upgrade jwt_auth."
        )
    return number


def _optional_members(number: int) -> frozenset[str]:
    return frozenset() if number == _FORMAT_WITHOUT_SIGNERS else frozenset({"signer"})


def _require_members(
    value: object, names: frozenset[str], what: str, optional: frozenset[str] = frozenset()
) -> None:
    if not isinstance(value, dict):
        raise KeyRingTorn(f"{what} is not an object.")
    if missing := names - value.keys():
        raise KeyRingTorn(f"{what} lacks {', '.join(sorted(missing))}.")
    if value.keys() - names - optional:
        raise KeyRingTorn(f"{what} has members that do not belong there.")


def _read_key(entry: Any, what: str, optional: frozenset[str]) -> RingKey:
    _require_members(entry, _ENTRY, what, optional)
    jwk, expiry = entry["jwk"], entry["expires_at"]
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        _refuse(what, "no JWK with a kid")
    if jwk.get("alg") not in ALGORITHMS:
        _refuse(what, "no algorithm that is known")
    key = RingKey(
        kid=jwk["kid"],
        algorithm=jwk["alg"],
        jwk=jwk,
        created_at=_read_time(entry["created_at"], what),
        activates_at=_read_time(entry["activates_at"], what),
        expires_at=None if expiry is None else _read_time(expiry, what),
        signer=_read_signer(entry["signer"], jwk, what) if "signer" in entry else None,
    )
    if key.is_expired(key.activates_at):
        _refuse(what, "an expiry that is not after its activation")
    return key


def _read_signer(value: Any, jwk: JWK, what: str) -> SignerReference:
    _require_members(value, _SIGNER, f"The signer of {what[0].lower()}{what[1:]}")
    if not all(isinstance(text, str) and text for text in value.values()):
        _refuse(what, "a signer whose backend or key is no text")
    if is_private(jwk):
        _refuse(what, "a signer and a private part, of which only one can be meant")
    return SignerReference(**value)


def _read_time(value: object, what: str) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        _refuse(what, "a time that is not ISO 8601 with its zone")
    return time.astimezone(UTC)


def _refuse(what: str, fault: str) -> NoReturn:
    raise KeyRingTorn(f"{what} has {fault}.")
