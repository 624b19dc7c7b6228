"""The restriction that an RSA key in PKCS#8 may carry: to RSASSA-PSS, and to certain hashes
(RFC 4055 §1.2 and §3.1, RFC 5958 §2).

``cryptography`` ignores the restriction and gives the key like any other. The DER is read here only
after ``cryptography`` has read it, so that it is well-formed.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

_PKCS8: Final = re.compile(rb"-----BEGIN (ENCRYPTED )?PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END")

#: Object identifiers, as DER has them.
_RSASSA_PSS: Final = bytes.fromhex("2a864886f70d01010a")
_MGF1: Final = bytes.fromhex("2a864886f70d010108")
_SHA_256: Final = bytes.fromhex("608648016503040201")
_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_HMAC_SHA_256: Final = bytes.fromhex("2a864886f70d0209")
_AES_CBC: Final = {
    bytes.fromhex("60864801650304012a"): 32,
    bytes.fromhex("608648016503040116"): 24,
    bytes.fromhex("608648016503040102"): 16,
}

#: Bytes of salt in a signature of PS256 (RFC 7518 §3.5).
_SALT: Final = 32

#: Numbers of the members of RSASSA-PSS-params.
_HASH: Final = 0
_MASK: Final = 1
_SALT_LENGTH: Final = 2

#: A tag.
_SEQUENCE: Final = 0x30

_Elements = list[tuple[int, bytes]]


def allowed_algorithms(pem: bytes, passphrase: bytes | None) -> frozenset[str] | None:
    """The algorithms that the key may be used for, or ``None`` if it names no restriction.

    The restriction of an encrypted key can be seen if it is encrypted as OpenSSL 3 and
    ``cryptography`` do by default; otherwise the answer is ``None``, too.
    """
    match = _PKCS8.search(pem)
    if match is None:
        return None
    der = base64.b64decode(match[2])
    key = _decrypted(der, passphrase or b"") if match[1] else der
    if key is None:
        return None
    ((_, info),) = _elements(key)
    (_, _version), (_, identifier), *_rest = _elements(info)
    (_, name), *parameters = _elements(identifier)
    if name != _RSASSA_PSS:
        return None
    return frozenset({"PS256"}) if _allow_ps256(parameters) else frozenset()


def _allow_ps256(parameters: _Elements) -> bool:
    """True for SHA-256 and a salt of its length. A parameter that is left out means SHA-1 or a salt
    of 20 bytes.
    """
    if not parameters:
        return True
    ((_, sequence),) = parameters
    named = {tag & 0x1F: content for tag, content in _elements(sequence)}
    if not {_HASH, _MASK} <= named.keys() or _algorithm(named[_HASH])[0] != _SHA_256:
        return False
    function, generator_hash = _algorithm(named[_MASK])
    if function != _MGF1 or _elements(generator_hash)[0][1] != _SHA_256:
        return False
    if _SALT_LENGTH not in named:
        return True  # at least 20 bytes, which PS256's salt has
    return int.from_bytes(_elements(named[_SALT_LENGTH])[0][1], "big") <= _SALT


def _algorithm(content: bytes) -> tuple[bytes, bytes]:
    """The name and the parameters of an AlgorithmIdentifier; empty if it has none."""
    ((_, identifier),) = _elements(content)
    (_, name), *parameters = _elements(identifier)
    return name, parameters[0][1] if parameters else b""


def _decrypted(der: bytes, passphrase: bytes) -> bytes | None:
    """Decrypt PBES2 with PBKDF2, HMAC-SHA-256 and AES in CBC mode (RFC 8018 §6.2). Give ``None``
    for any other scheme.
    """
    ((_, info),) = _elements(der)
    (_, scheme), (_, encrypted) = _elements(info)
    (_, name), (_, parameters), *_rest = _elements(scheme)
    if name != _PBES2:
        return None
    (_, derivation), (_, encryption) = _elements(parameters)
    (_, function), (_, how) = _elements(derivation)
    (_, cipher), *vector = _elements(encryption)
    if function != _PBKDF2 or cipher not in _AES_CBC:
        return None
    (_, salt), (_, iterations), *rest = _elements(how)
    digest = _digest(rest)
    if digest is None:
        return None
    key = PBKDF2HMAC(digest, _AES_CBC[cipher], salt, int.from_bytes(iterations, "big"))
    decryptor = Cipher(AES(key.derive(passphrase)), CBC(vector[0][1])).decryptor()
    padded = decryptor.update(encrypted) + decryptor.finalize()
    return padded[: -padded[-1]]


def _digest(rest: _Elements) -> HashAlgorithm | None:
    """The hash of PBKDF2, which the key's length may precede."""
    if not rest or rest[-1][0] != _SEQUENCE:
        return None  # SHA-1, the default of old versions
    return SHA256() if _elements(rest[-1][1])[0][1] == _HMAC_SHA_256 else None


def _elements(content: bytes) -> _Elements:
    """The tag and the content of each DER element in a row (X.690 §8.1)."""
    found = []
    while content:
        tag, length, start = content[0], content[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(content[2:start], "big")
        found.append((tag, content[start : start + length]))
        content = content[start + length :]
    return found
