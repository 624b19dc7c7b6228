"""A ring's document, encrypted as a whole under a key-encryption key (AES-256-GCM, RFC 5116 §5.2).

What stays readable beside it (format, version, kids, which key-encryption key) is bound to it as
associated data: whoever can write to the storage can neither change a key, a time or an algorithm,
nor put the keys of one version under the number of another.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import InvalidKey, KeyRingTooNew, KeyRingTorn, KeyStoreError
from jwt_auth.keys.ring import KeyRing

#: Number of the envelope's format; one with a higher number was written by a newer version.
FORMAT: Final = 1

#: Size of a key-encryption key in bytes, for AES-256.
KEY_BYTES: Final = 32

#: A command that prints a good one.
MAKE_KEY: Final = "openssl rand -base64 32"

#: Size of a nonce in bytes; a random one is safe for 2^32 saves (NIST SP 800-38D §8.3).
_NONCE_BYTES: Final = 12

#: Of 32 random bytes fewer are different once in about 10^39; of a placeholder, most often one.
_MIN_DIFFERENT_BYTES: Final = 8

_HEADER: Final = frozenset({"format", "version", "kids", "key_encryption_key"})
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEncryptionKey:
    """A key that encrypts rings; ``id`` names it and tells nothing of it."""

    id: str
    secret: bytes = field(repr=False)


class UnknownKeyEncryptionKey(KeyStoreError):
    """The ring is encrypted under a key that is not at hand; ``id`` says which."""

    def __init__(self, key_id: str) -> None:
        super().__init__()
        self.id = key_id


def parse_keys(text: str) -> tuple[KeyEncryptionKey, ...]:
    """Read comma-separated keys of 32 bytes, each in base64 or base64url.

    Raises:
        InvalidKey: with the reason, and which of them it is.
    """
    return tuple(_parse_key(part, number) for number, part in enumerate(text.split(","), 1))


def seal(ring: KeyRing, key: KeyEncryptionKey) -> str:
    """Encrypt a ring; gives the document to store."""
    header = {
        "format": FORMAT,
        "version": ring.version,
        "kids": [ring_key.kid for ring_key in ring.keys],
        "key_encryption_key": key.id,
    }
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key.secret).encrypt(nonce, ring.to_json().encode(), _associated(header))
    return json.dumps({**header, "sealed": base64url_encode(nonce + sealed)}, indent=2)


def unseal(document: str, keys: Sequence[KeyEncryptionKey]) -> str:
    """Decrypt a stored document; gives the ring's own.

    Raises:
        UnknownKeyEncryptionKey: none of the keys is the one that it was encrypted under.
        KeyRingTorn: it is no such document, or was changed since (``KeyRingTooNew``: or is of a
            newer format). The text quotes nothing.
    """
    header, sealed = _read(document)
    key_id = header["key_encryption_key"]
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise UnknownKeyEncryptionKey(key_id)
    nonce, encrypted = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key.secret).decrypt(nonce, encrypted, _associated(header)).decode()
    except (InvalidTag, ValueError):  # too short for a nonce
        raise KeyRingTorn("The key ring was changed since it was encrypted.") from None


def key_id_of(document: str) -> str:
    """Say which key-encryption key a document was encrypted under.

    Raises:
        KeyRingTorn: as :func:`unseal`.
    """
    return str(_read(document)[0]["key_encryption_key"])


def _parse_key(text: str, number: int) -> KeyEncryptionKey:
    try:
        # Both alphabets, with padding or without: who makes keys has one tool or another.
        raw = text.strip().rstrip("=").replace("+", "-").replace("/", "_")
        secret = base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidKey(f"Key-encryption key {number} is not base64.") from None
    if len(secret) != KEY_BYTES:
        reason = f"has {len(secret)} bytes instead of {KEY_BYTES}"
        raise InvalidKey(f"Key-encryption key {number} {reason}.")
    if len(set(secret)) < _MIN_DIFFERENT_BYTES:
        raise InvalidKey(f"Key-encryption key {number} is not random.")
    return KeyEncryptionKey(id=_id_of(secret), secret=secret)


def _id_of(secret: bytes) -> str:
    # A hash of 256 random bits tells nothing of them.
    return sha256(b"jwt_auth key-encryption key\0" + secret).hexdigest()[:16]


def _associated(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    return b"jwt_auth key ring\0" + text.encode()


def _read(document: str) -> tuple[dict[str, Any], bytes]:
    try:
        envelope = json.loads(document)
    except (ValueError, RecursionError):
        raise KeyRingTorn("The key ring is not a JSON document.") from None
    number = envelope.get("format") if isinstance(envelope, dict) else None
    if type(number) is not int or number < 1:
        raise KeyRingTorn("The document is not a key ring: it has no format number.")
    if number > FORMAT:
        raise KeyRingTooNew
    if envelope.keys() != _HEADER | {"sealed"}:
        raise KeyRingTorn("The document is not an encrypted key ring.")
    sealed, key_id = envelope.pop("sealed"), envelope["key_encryption_key"]
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise KeyRingTorn("The key ring does not say what it is encrypted under.")
    try:
        return envelope, base64url_decode(sealed if isinstance(sealed, str) else "=")
    except ValueError:
        raise KeyRingTorn("The encrypted part of the key ring is cut off or damaged.") from None
