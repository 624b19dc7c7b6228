"""Keys in PEM, both ways: PKCS#8, SEC1 and PKCS#1 (RFC 7468, RFC 5915, RFC 8017 appendix A.1).

What comes in leaves as a JWK of our own form, judged as strictly as one from the ring; what goes
out is PKCS#8, encrypted where there is a passphrase (PBES2, RFC 8018 §6.2). No error text holds key
material.
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
from jwt_auth.keys.pss_parameters import allowed_algorithms

_PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
_PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey

#: Of a private key, in whichever form.
_BEGINNING: Final = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")

#: The only form in which OpenSSL marks an encrypted SEC1 or PKCS#1 key (RFC 1421 §4.6.1.1).
_OLD_ENCRYPTION = b"Proc-Type: 4,ENCRYPTED"


def jwk_from_pem(pem: bytes, *, algorithm: str | None, passphrase: bytes | None = None) -> JWK:
    """Read a private key as a JWK whose ``kid`` is its thumbprint.

    ``algorithm`` may be ``None`` where the kind of the key leaves no choice.

    Raises:
        InvalidKey: with the reason: not a private key, encrypted, weak, or not for ``algorithm``.
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
        raise InvalidKey("What should be a public key is none.") from None
    return adopt_public(_members(key), algorithm=algorithm)


def jwk_to_pem(jwk: Mapping[str, Any], *, passphrase: bytes | None = None) -> bytes:
    """Write a private JWK as PKCS#8, or a public one as SubjectPublicKeyInfo.

    A private key without a passphrase is written as it is.

    Raises:
        InvalidKey: a secret, which PEM has no form for, malformed, or an empty passphrase.
    """
    if passphrase == b"":
        raise InvalidKey("The passphrase is empty.")
    if jwks.is_symmetric(jwk["alg"]):
        raise InvalidKey("A secret has no PEM form: take the format jwk.")
    key: _PrivateKey | _PublicKey = jwks.typed_key(jwk)
    if isinstance(key, _PublicKey):
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if passphrase is None:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        encryption = BestAvailableEncryption(passphrase)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    except ValueError:
        raise InvalidKey("The passphrase is longer than OpenSSL takes: 1023 bytes.") from None


def _choose(allowed: frozenset[str], algorithm: str | None) -> str:
    """The algorithm of a key that is restricted to RSASSA-PSS."""
    if not allowed:
        raise InvalidKey(
            "The key restricts itself to RSASSA-PSS with another hash or salt than PS256 has: no"
            " algorithm here has it."
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
        # Theirs may quote the key; and a wrong passphrase is not told from damage for certain.
        reason = "The passphrase is wrong, or the" if encrypted else "The"
        raise InvalidKey(f"{reason} PEM does not hold a valid private key.") from None


def _require_private(pem: bytes) -> None:
    number = len(_BEGINNING.findall(pem))
    if number == 1:
        return
    if number > 1:
        raise InvalidKey(f"There are {number} private keys in the PEM: give the one that is meant.")
    if any(mark in pem for mark in (b"PUBLIC KEY-----", b"CERTIFICATE-----")):
        raise InvalidKey("A public key can't sign: give the private key that belongs to it.")
    raise InvalidKey("There is no private key in PEM there.")


def _members(key: object) -> JWK:
    """The key's members as a JWK, without what is said about it."""
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
            raise InvalidKey("The key is neither RSA, P-256 nor Ed25519: no algorithm here has it.")
