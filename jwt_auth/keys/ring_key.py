"""One key of the ring: its JWK, the times of its life and, for a remote key, its signer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from jwt_auth.keys.jwk import JWK

#: Stands for the times of a key of unknown age: long ago, so that the key signs, and the same on
#: every node.
UNKNOWN_AGE: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerReference:
    """Says which signer holds the private part of a key. The ring has only the public part."""

    #: The signer's name, never a dotted path: an attacker who can write to the ring must not choose
    #: which code is imported.
    backend: str
    #: The signer's name for the key.
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RingKey:
    """A JWK and its times.

    The JWK is private, unless the key has a signer or is another service's (``JWT_AUTH_JWKS_URL``).
    """

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
