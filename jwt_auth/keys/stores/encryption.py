"""A ring's document, encrypted as a whole under a key-encryption key (AES-256-GCM, RFC 5116 §5.2).

Format, version, kids and the id of the key-encryption key stay readable. They are bound to the rest
as associated data: an attacker who can write to the storage can neither change a key, a time or an
algorithm, nor put the keys of one version under the number of another.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwt_auth.encoding import base64_decode_from_any_tool, base64url_decode, base64url_encode
from jwt_auth.exceptions import InvalidKey, KeyRingTorn, KeyStoreError
from jwt_auth.keys import ring_document
from jwt_auth.keys.ring import KeyRing

#: Number of the envelope's format. A newer version of the package writes a higher number.
FORMAT: Final = 1

#: Size of a key-encryption key in bytes, for AES-256.
KEY_BYTES: Final = 32

#: A command that prints a good key-encryption key.
MAKE_KEY: Final = "openssl rand -base64 32"

#: Size of a nonce in bytes. Random ones are safe for 2^32 saves (NIST SP 800-38D §8.3).
_NONCE_BYTES: Final = 12

#: Of 32 random bytes fewer are different once in some 10^39. A placeholder often has one.
_MIN_DIFFERENT_BYTES: Final = 8

_HEADER: Final = frozenset({"format", "version", "kids", "key_encryption_key"})
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEncryptionKey:
    """A key that encrypts rings; its ``id`` reveals nothing of it."""

    id: str
    secret: bytes = field(repr=False)


class UnknownKeyEncryptionKey(KeyStoreError):
    """The ring is encrypted under a key that the setting lacks; ``id`` says which."""

    def __init__(self, key_id: str) -> None:
        super().__init__()
        self.id = key_id


def parse_keys(text: str) -> tuple[KeyEncryptionKey, ...]:
    """Read comma-separated keys of 32 bytes, each in base64 or base64url.

    Raises:
        InvalidKey: with the reason and the position of the key.
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
        UnknownKeyEncryptionKey: it was encrypted under a key that is not one of ``keys``.
        KeyRingTorn: it is not an encrypted ring, or was changed since.
        KeyRingTooNew: its format is newer than :data:`FORMAT`.
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
        secret = base64_decode_from_any_tool(text)
    except ValueError:
        raise InvalidKey(f"Key-encryption key {number} is not base64.") from None
    if len(secret) != KEY_BYTES:
        reason = f"has {len(secret)} bytes instead of {KEY_BYTES}"
        raise InvalidKey(f"Key-encryption key {number} {reason}.")
    if len(set(secret)) < _MIN_DIFFERENT_BYTES:
        raise InvalidKey(f"Key-encryption key {number} is not random.")
    return KeyEncryptionKey(id=_id_of(secret), secret=secret)


def _id_of(secret: bytes) -> str:
    # A hash of 256 random bits reveals nothing of them.
    return sha256(b"jwt_auth key-encryption key\0" + secret).hexdigest()[:16]


def _associated(header: dict[str, Any]) -> bytes:
    text = json.dumps(header, sort_keys=True, separators=(",", ":"))
    return b"jwt_auth key ring\0" + text.encode()


def _read(document: str) -> tuple[dict[str, Any], bytes]:
    envelope = ring_document.parse_document(document)
    ring_document.read_format(envelope, newest=FORMAT)
    if envelope.keys() != _HEADER | {"sealed"}:
        raise KeyRingTorn("The document is not an encrypted key ring.")
    sealed, key_id = envelope.pop("sealed"), envelope["key_encryption_key"]
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise KeyRingTorn("The key ring does not say which key it is encrypted under.")
    try:
        return envelope, base64url_decode(sealed if isinstance(sealed, str) else "=")
    except ValueError:
        raise KeyRingTorn("The encrypted part of the key ring is cut off or damaged.") from None
