"""RSA keys that restrict themselves to RSASSA-PSS, as `openssl genpkey -algorithm RSA-PSS` does."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk
from jwt_auth.keys.pem import jwk_from_pem
from jwt_auth.keys.pss_parameters import allowed_algorithms
from tests.keys.test_pem import PASSPHRASE, key, pem


def tlv(tag: int, *contents: bytes) -> bytes:
    """An element of DER."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*contents: bytes) -> bytes:
    return tlv(0x30, *contents)


def name(text: str) -> bytes:
    """An object identifier, by the hexadecimal digits of its content."""
    return tlv(0x06, bytes.fromhex(text))


NULL = b"\x05\x00"
RSASSA_PSS = name("2a864886f70d01010a")
MGF1 = name("2a864886f70d010108")
SHA_256 = sequence(name("608648016503040201"), NULL)
SHA_512 = sequence(name("608648016503040203"), NULL)
HMAC_SHA_256 = sequence(name("2a864886f70d0209"), NULL)
HMAC_SHA_1 = sequence(name("2a864886f70d0207"), NULL)
PBES2, PBKDF2 = name("2a864886f70d01050d"), name("2a864886f70d01050c")
AES_128_CBC = name("608648016503040102")
AES_192_CBC = name("608648016503040116")
AES_256_CBC = name("60864801650304012a")
DES_EDE3_CBC = name("2a864886f70d0307")

HASH = tlv(0xA0, SHA_256)
MASK = tlv(0xA1, sequence(MGF1, SHA_256))


def salt(length: int) -> bytes:
    return tlv(0xA2, tlv(0x02, bytes([length])))


def as_pem(label: str, der: bytes) -> bytes:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


def restricted(*parameters: bytes) -> bytes:
    """An RSA key in PKCS#8, for RSASSA-PSS with these parameters."""
    # PKCS#1 has no room for what the key is for.
    numbers = key("RS256").private_bytes(
        Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    return sequence(tlv(0x02, b"\x00"), sequence(RSASSA_PSS, *parameters), tlv(0x04, numbers))


def encrypted(der: bytes, cipher: bytes = AES_256_CBC, length: int = 32) -> bytes:
    """The key encrypted as OpenSSL 3 does it, with AES-256 where nothing else is asked for."""
    vector, salt_ = b"v" * 16, b"s" * 8
    padder = PKCS7(128).padder()
    padded = padder.update(der) + padder.finalize()
    secret = PBKDF2HMAC(SHA256(), length, salt_, 2048).derive(PASSPHRASE)
    encryptor = Cipher(AES(secret), CBC(vector)).encryptor()
    derivation = sequence(PBKDF2, sequence(tlv(0x04, salt_), tlv(0x02, b"\x08\x00"), HMAC_SHA_256))
    scheme = sequence(derivation, sequence(cipher, tlv(0x04, vector)))
    return sequence(
        sequence(PBES2, scheme), tlv(0x04, encryptor.update(padded) + encryptor.finalize())
    )


FITTING = [(), (sequence(HASH, MASK),), (sequence(HASH, MASK, salt(32)),)]


@pytest.mark.parametrize("parameters", FITTING, ids=["none", "hash", "salt"])
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_restricted_key_is_for_ps256_only(
    parameters: tuple[bytes, ...], is_encrypted: bool
) -> None:
    """It need not be said, and another algorithm is refused."""
    der = restricted(*parameters)
    text = (
        as_pem("ENCRYPTED PRIVATE KEY", encrypted(der))
        if is_encrypted
        else as_pem("PRIVATE KEY", der)
    )
    passphrase = PASSPHRASE if is_encrypted else None
    members = jwk_from_pem(text, algorithm=None, passphrase=passphrase)
    assert members["alg"] == "PS256"
    assert members == jwk_from_pem(text, algorithm="PS256", passphrase=passphrase)
    assert jwk.prepare_signing_key(members).sign(b"message")
    with pytest.raises(InvalidKey, match="restricts itself to RSASSA-PSS: it can't be for RS256"):
        jwk_from_pem(text, algorithm="RS256", passphrase=passphrase)


@pytest.mark.parametrize(
    ("cipher", "length"), [(AES_128_CBC, 16), (AES_192_CBC, 24)], ids=["AES-128", "AES-192"]
)
def test_restriction_is_seen_whatever_the_length_of_the_cipher(cipher: bytes, length: int) -> None:
    """`openssl pkcs8 -v2 aes-128-cbc`."""
    text = as_pem("ENCRYPTED PRIVATE KEY", encrypted(restricted(), cipher, length))
    assert allowed_algorithms(text, PASSPHRASE) == frozenset({"PS256"})


@pytest.mark.parametrize(
    "parameters",
    [
        sequence(),  # SHA-1 is the default
        sequence(HASH),
        sequence(MASK),
        sequence(tlv(0xA0, SHA_512), MASK),
        sequence(HASH, tlv(0xA1, sequence(MGF1, SHA_512))),
        sequence(HASH, tlv(0xA1, sequence(RSASSA_PSS, SHA_256))),
        sequence(HASH, MASK, salt(33)),
    ],
    ids=["SHA-1", "mask of SHA-1", "hash of SHA-1", "SHA-512", "mask of SHA-512", "mask", "salt"],
)
@pytest.mark.parametrize("algorithm", [None, "PS256", "RS256"])
def test_key_that_is_restricted_to_another_hash_is_refused(
    parameters: bytes, algorithm: str | None
) -> None:
    """PS256 is SHA-256 twice, with 32 bytes of salt (RFC 7518 §3.5)."""
    with pytest.raises(InvalidKey, match="another hash or salt than PS256"):
        jwk_from_pem(as_pem("PRIVATE KEY", restricted(parameters)), algorithm=algorithm)


@pytest.mark.parametrize("kind", ["ES256", "RS256"])
def test_key_that_says_nothing_of_its_use_is_not_restricted(kind: str) -> None:
    """In each of its forms."""
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        assert allowed_algorithms(pem(kind, form), None) is None
    encrypted_ = pem(kind, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    assert allowed_algorithms(encrypted_, PASSPHRASE) is None


def of_pbkdf2(*rest: bytes, cipher: bytes = AES_256_CBC) -> bytes:
    derivation = sequence(PBKDF2, sequence(tlv(0x04, b"salt"), tlv(0x02, b"\x01"), *rest))
    return sequence(PBES2, sequence(derivation, sequence(cipher, tlv(0x04, b"v" * 16))))


@pytest.mark.parametrize(
    "scheme",
    [
        sequence(name("2a864886f70d010c0103"), NULL),  # PKCS#12's, with 3DES
        sequence(PBES2, sequence(sequence(MGF1, NULL), sequence(AES_256_CBC, NULL))),
        of_pbkdf2(),
        of_pbkdf2(tlv(0x02, b"\x20")),
        of_pbkdf2(HMAC_SHA_1),
        of_pbkdf2(HMAC_SHA_256, cipher=DES_EDE3_CBC),
    ],
    ids=["PKCS#12", "derivation", "default", "length", "SHA-1", "3DES"],
)
def test_what_is_encrypted_in_another_way_tells_nothing(scheme: bytes) -> None:
    """It is no reason to refuse the key."""
    text = as_pem("ENCRYPTED PRIVATE KEY", sequence(scheme, tlv(0x04, b"encrypted")))
    assert allowed_algorithms(text, PASSPHRASE) is None
