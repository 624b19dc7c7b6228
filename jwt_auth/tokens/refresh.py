"""Refresh tokens: opaque to the client, and authenticated by an HMAC (RFC 9700 §4.14).

A token is base64url(format, family id, generation, secret, tag): 1 + 16 + 4 + 32 + 16 bytes, 92
characters. The tag is an HMAC over the rest, with a key derived from ``SECRET_KEY``. A forged,
truncated or foreign token is refused because of its tag, without SQL and without any effect on a
family.

The secret of a family's first token is random. The secret of a successor is an HMAC over a fresh
random nonce and the token that it replaces. So a lost answer can be given again, and the server
never stores a usable token. The first token of a family that a password change opens is derived in
the same way from the newest token of the former family.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.tokens.secret_keys import derive, secret_keys

_FORMAT: Final = 1
_BODY: Final = struct.Struct(">B16sI32s")
_TAG_BYTES: Final = 16
_SECRET_BYTES: Final = 32
LENGTH: Final = (_BODY.size + _TAG_BYTES) * 4 // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """A token that we issued: its tag was verified, or the token was made here."""

    family_id: UUID
    generation: int
    text: str

    def __repr__(self) -> str:
        return f"<RefreshToken {self.generation} of family {self.family_id}>"

    @property
    def digest(self) -> str:
        """SHA-256 of the whole token in hex. The database stores nothing else of the token."""
        return hashlib.sha256(self.text.encode("ascii")).hexdigest()

    def successor(self, nonce: bytes) -> RefreshToken:
        """Derive the token that replaces this one, with a ``nonce`` that is fresh and random."""
        return next(self.successors(nonce))

    def successors(self, nonce: bytes) -> Iterator[RefreshToken]:
        """Derive the successor with ``SECRET_KEY``, then with each of ``SECRET_KEY_FALLBACKS``.

        ``SECRET_KEY`` may have been rotated between a request and its retry. The stored digest
        shows which of the keys was used.
        """
        return self._heirs(self.family_id, self.generation + 1, nonce)

    def firsts(self, family_id: UUID, nonce: bytes) -> Iterator[RefreshToken]:
        """Derive the first token of a family that replaces this token's, with the same keys."""
        return self._heirs(family_id, 1, nonce)

    def _heirs(self, family_id: UUID, generation: int, nonce: bytes) -> Iterator[RefreshToken]:
        for secret_key in secret_keys():
            key = derive(secret_key, b"jwt_auth refresh token successor 1")
            secret = hmac.digest(key, nonce + self.text.encode("ascii"), "sha256")
            yield _make(family_id, generation, secret, secret_key=secret_key)


def issue_first(family_id: UUID) -> RefreshToken:
    """Issue the first token of a family, with 256 bits from the system's random source."""
    secret_key = next(secret_keys())
    return _make(family_id, 1, secrets.token_bytes(_SECRET_BYTES), secret_key=secret_key)


def parse(text: str) -> RefreshToken:
    """Read a presented token; nothing in it is used before its tag has been verified.

    Raises:
        RefreshTokenRefused: malformed, truncated, or not made with any of our secret keys.
    """
    if len(text) != LENGTH:
        raise RefreshTokenRefused
    try:
        value = base64url_decode(text)
    except ValueError:
        raise RefreshTokenRefused from None
    body, tag = value[: _BODY.size], value[_BODY.size :]
    if not any(hmac.compare_digest(tag, _tag(body, secret_key=key)) for key in secret_keys()):
        raise RefreshTokenRefused
    version, family_id, generation, _ = _BODY.unpack(body)
    if version != _FORMAT:
        raise RefreshTokenRefused
    return RefreshToken(family_id=UUID(bytes=family_id), generation=generation, text=text)


def _make(family_id: UUID, generation: int, secret: bytes, *, secret_key: bytes) -> RefreshToken:
    body = _BODY.pack(_FORMAT, family_id.bytes, generation, secret)
    text = base64url_encode(body + _tag(body, secret_key=secret_key))
    return RefreshToken(family_id=family_id, generation=generation, text=text)


def _tag(body: bytes, *, secret_key: bytes) -> bytes:
    key = derive(secret_key, b"jwt_auth refresh token tag 1")
    return hmac.digest(key, body, "sha256")[:_TAG_BYTES]
