"""Keys in PEM, both ways: PKCS#8, SEC1 and PKCS#1 (RFC 7468, RFC 5915, RFC 8017 appendix A.1).

A key that is read becomes a JWK in the form that a ring keeps, and is judged as strictly as any
imported key. A private key is written as PKCS#8, encrypted if there is a passphrase (PBES2,
RFC 8018 §6.2). No error text holds key material.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.imported_keys import adopt, adopt_public
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.jwk_format import is_symmetric
from jwt_auth.keys.pss_parameters import allowed_algorithms

_PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
_PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

#: The first line of a private key in any form.
_BEGINNING: Final = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")

#: The mark of an encrypted SEC1 or PKCS#1 key, always in this form (RFC 1421 §4.6.1.1).
_OLD_ENCRYPTION = b"Proc-Type: 4,ENCRYPTED"


def jwk_from_pem(pem: bytes, *, algorithm: str | None, passphrase: bytes | None = None) -> JWK:
    """Read a private key as a JWK whose ``kid`` is its thumbprint.

    ``algorithm`` may be ``None`` if the kind of the key leaves no choice.

    Raises:
        InvalidKey: the key is not private, encrypted, weak, or not for ``algorithm``.
    """
    key = _load(pem, passphrase)
    allowed = allowed_algorithms(pem, passphrase)
    if allowed is not None:
        algorithm = _choose(allowed, algorithm)
    return adopt(_members(key), algorithm=algorithm)


def public_jwk_from_der(der: bytes, *, algorithm: str) -> JWK:
    """Read a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), as key services give it, as a public JWK.

    Raises:
        InvalidKey: with the reason.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKey("This is not a public key.") from None
    return adopt_public(_members(key), algorithm=algorithm)


def jwk_to_pem(jwk: Mapping[str, Any], *, passphrase: bytes | None = None) -> bytes:
    """Write a private JWK as PKCS#8, or a public one as SubjectPublicKeyInfo.

    Without a passphrase a private key is written unencrypted.

    Raises:
        InvalidKey: the key is a secret, which has no PEM form, or malformed, or the passphrase is
            empty or too long.
    """
    if passphrase == b"":
        raise InvalidKey("The passphrase is empty.")
    if is_symmetric(jwk["alg"]):
        raise InvalidKey("A secret has no PEM form: use the format jwk.")
    key: _PrivateKey | _PublicKey = jwks.typed_key(jwk)
    if isinstance(key, _PublicKey):
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        encryption = BestAvailableEncryption(passphrase)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    except ValueError:
        raise InvalidKey("The passphrase is longer than OpenSSL's limit of 1023 bytes.") from None


def _choose(allowed: frozenset[str], algorithm: str | None) -> str:
    """The algorithm of a key that is restricted to RSASSA-PSS."""
    if not allowed:
        raise InvalidKey(
            "The key restricts itself to RSASSA-PSS with another hash or salt than PS256 has: it"
            " fits none of the algorithms."
        )
    (only,) = allowed
    if algorithm not in (None, only):
        raise InvalidKey(
            f"The key restricts itself to RSASSA-PSS: it can't be for {algorithm}, only for {only}."
        )
    return only


def _load(pem: bytes, passphrase: bytes | None) -> object:
    _require_private(pem)
    encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem or _OLD_ENCRYPTION in pem
    if encrypted and not passphrase:
        raise InvalidKey("The PEM is encrypted: give its passphrase.")
    if passphrase is not None and not encrypted:
        raise InvalidKey("There is a passphrase, and the PEM is not encrypted: leave it out.")
    try:
        return load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The texts of these errors may quote the key. A wrong passphrase can't be told from damage
        # for certain.
        reason = "The passphrase is wrong, or the" if encrypted else "The"
        raise InvalidKey(f"{reason} PEM does not hold a valid private key.") from None


def _require_private(pem: bytes) -> None:
    number = len(_BEGINNING.findall(pem))
    if number == 1:
        return
    if number > 1:
        raise InvalidKey(f"There are {number} private keys in the PEM: give one only.")
    if any(mark in pem for mark in (b"PUBLIC KEY-----", b"CERTIFICATE-----")):
        raise InvalidKey("A public key can't sign: give the private key that belongs to it.")
    raise InvalidKey("The text holds no private key in PEM.")


def _members(key: object) -> JWK:
    """The kind and the numbers of the key as members of a JWK."""
    match key:
        case RSAPrivateKey() | RSAPublicKey():
            return jwks.members_of(key, "RS256")
        case EllipticCurvePrivateKey() | EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            return jwks.members_of(key, "ES256")
        case EllipticCurvePrivateKey() | EllipticCurvePublicKey():
            raise InvalidKey("The key is not on the curve P-256, the only one that ES256 has.")
        case Ed25519PrivateKey() | Ed25519PublicKey():
            return jwks.members_of(key, "EdDSA")
        case _:
            raise InvalidKey("The key is neither RSA, P-256 nor Ed25519: no algorithm can use it.")
