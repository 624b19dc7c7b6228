"""A key ring whose keys are ready for use, with the signatures that were verified with them.

The value is immutable apart from its memory of signatures. A ring that differs is another value
with an empty memory, so that a signature is remembered for as long as the ring that verified it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from jwt_auth.keys import jwk
from jwt_auth.keys.jwk import SigningKey, VerificationKey
from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.signers.base import RemoteSigningKey, prepare_ring_key

#: Remembered signatures per process, of about 1.5 kB each.
MAX_SIGNATURES: Final = 8192


class VerifiedSignatures:
    """The claims of tokens whose signatures are good, by the SHA-256 of the whole token.

    A token's second request skips the arithmetic and the parsing. The token itself is not kept.

    Two dictionaries take turns instead of one with a lock, which a forked child could inherit
    locked. When the younger one is full, it becomes the older one, and the former older one is
    forgotten. A token that is found in the older one moves to the younger one, so that tokens in
    use stay. Two threads that do this at the same moment forget too much, which costs arithmetic.
    """

    def __init__(self) -> None:
        self._younger: dict[bytes, Any] = {}
        self._older: dict[bytes, Any] = {}

    def get(self, digest: bytes) -> Any | None:
        """Give what was added under this digest, unless it has been forgotten."""
        claims = self._younger.get(digest)
        if claims is None and (claims := self._older.get(digest)) is not None:
            self.add(digest, claims)
        return claims

    def add(self, digest: bytes, claims: Any) -> None:
        """Remember immutable claims: all requests with this token read the same object."""
        if len(self._younger) >= MAX_SIGNATURES // 2:
            self._younger, self._older = {}, self._younger
        self._younger[digest] = claims


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedRing:
    """A ring, and its keys in the form that signs and verifies, by their ``kid``."""

    ring: KeyRing
    signing: Mapping[str, SigningKey | RemoteSigningKey]
    verification: Mapping[str, tuple[RingKey, VerificationKey]]
    verified: VerifiedSignatures = field(default_factory=VerifiedSignatures)
    #: The description of the store that it came from, and the store's stamp before it was read.
    origin: str
    stamp: object | None

    def get_signing_key_and_end(
        self, now: datetime
    ) -> tuple[SigningKey | RemoteSigningKey, datetime | None]:
        """Give the key that signs now, and the time at which it expires, if that is planned.

        Raises:
            NoSigningKey: the ring has none.
        """
        key = self.ring.signing_key(now)
        return self.signing[key.kid], key.expires_at

    def find_verification_key(self, kid: str, now: datetime) -> VerificationKey | None:
        """Give the key of that ``kid``, unless it is unknown or has expired."""
        ring_key, key = self.verification.get(kid, (None, None))
        return None if ring_key is None or ring_key.is_expired(now) else key


def prepare_ring(
    ring: KeyRing, *, origin: str, stamp: object | None, former: LoadedRing | None
) -> LoadedRing:
    """Make the keys ready for use; the same ring keeps its keys and its memory of signatures.

    Raises:
        KeyFailure: a key can't be used.
    """
    if former is not None and former.ring == ring:
        return replace(former, origin=origin, stamp=stamp)
    return LoadedRing(
        ring=ring,
        signing={}
        if ring.is_verify_only
        else {key.kid: prepare_ring_key(key) for key in ring.keys},
        verification={key.kid: (key, jwk.prepare_verification_key(key.jwk)) for key in ring.keys},
        origin=origin,
        stamp=stamp,
    )
