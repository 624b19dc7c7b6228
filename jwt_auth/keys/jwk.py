"""JSON Web Keys in, prepared keys out (RFC 7517, RFC 7518 §6, RFC 8037).

A key belongs to one algorithm for life. A key that is malformed, weak or of the wrong kind is
refused here once, when the ring is loaded, so that a request only sees keys that are ready. PyJWT
does the arithmetic and gets typed keys only: it never has to guess which kind of key some bytes are
(CVE-2022-29217). No error text holds key material.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys.jwk_format import (
    EC,
    KINDS,
    OCT,
    OKP,
    RSA,
    Header,
    is_private,
    kind_of,
    read_header,
    read_members,
)
from jwt_auth.keys.redaction import raised_anew
from jwt_auth.keys.strength import refuse_weak_rsa

JWK = dict[str, Any]

#: Modulus of new RSA keys in bits: NIST SP 800-57 part 1 rev. 5, table 2, for use beyond 2030.
RSA_BITS: Final = 3072

#: Shortest HMAC secret in bytes (RFC 7518 §3.2: the size of the hash or more).
SECRET_BYTES: Final = 32

#: The message that a key signs before it is used. It is not a token.
_TRIAL: Final = b"jwt_auth tries a key"

_IMPLEMENTATIONS: Final[Mapping[str, Algorithm]] = {
    name: implementation
    for name, implementation in get_default_algorithms().items()
    if name in KINDS
}

#: An Ed25519 key's tokens may use either name (RFC 9864 §2.2 and RFC 8037 §3.1).
_OTHER_NAMES: Final = {"EdDSA": "Ed25519"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key or secret, ready to sign."""

    kid: str
    algorithm: str
    _key: Any = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        return _IMPLEMENTATIONS[self.algorithm].sign(message, self._key)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key or secret, ready to verify."""

    kid: str
    algorithm: str
    _key: Any = field(repr=False, compare=False)

    def accepts(self, alg: str) -> bool:
        """True if a token's ``alg`` is this key's."""
        return alg == self.algorithm or alg == _OTHER_NAMES.get(self.algorithm)

    def verify(self, message: bytes, signature: bytes) -> bool:
        return _IMPLEMENTATIONS[self.algorithm].verify(message, self._key, signature)


def generate(algorithm: str) -> JWK:
    """Make a private JWK from the system's random source; its ``kid`` is its thumbprint.

    Raises:
        InvalidKey: the algorithm is unknown.
    """
    while True:
        jwk = _generate(algorithm)
        # One kid in 64 begins with a dash, and a command would take it for an option.
        if not jwk["kid"].startswith("-"):
            return jwk


def _generate(algorithm: str) -> JWK:
    key: Any
    match kind_of(algorithm).kty:
        case "oct":
            # The kid is random: a thumbprint would publish a hash of the secret with every token.
            header = Header(kid=secrets.token_urlsafe(32), algorithm=algorithm, kind=OCT)
            return {**header.members, "k": base64url_encode(secrets.token_bytes(SECRET_BYTES))}
        case "EC":
            key = generate_private_key(SECP256R1())
        case "OKP":
            key = Ed25519PrivateKey.generate()
        case _:
            key = generate_rsa_key(public_exponent=65537, key_size=RSA_BITS)
    members = members_of(key, algorithm)
    return private_jwk({**members, "alg": algorithm, "kid": thumbprint(members)})


@raised_anew(InvalidKey)
def prepare_signing_key(jwk: Mapping[str, Any]) -> SigningKey:
    """Prepare a private JWK for signing.

    Raises:
        InvalidKey: with the reason.
    """
    header = read_header(jwk, "sign")
    key = _private_key(jwk, header)
    return SigningKey(kid=header.kid, algorithm=header.algorithm, _key=key)


@raised_anew(InvalidKey)
def prepare_verification_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """Prepare a JWK, public or private, for verifying.

    Raises:
        InvalidKey: with the reason.
    """
    # If a private key may sign, its public half may verify. A secret has no public half.
    header = read_header(jwk, "verify", *(["sign"] if "d" in jwk else []))
    read = _secret if header.kind is OCT else _public_key
    return VerificationKey(kid=header.kid, algorithm=header.algorithm, _key=read(jwk, header))


@raised_anew(InvalidKey)
def public_jwk(jwk: Mapping[str, Any]) -> JWK:
    """The JWK as it may be published: its public members, ``kid``, ``alg`` and ``use``.

    Raises:
        InvalidKey: the key is a secret, which has nothing to publish, or malformed.
    """
    header = read_header(jwk)
    if header.kind is OCT:
        raise InvalidKey("A secret can't be published.")
    _public_key(jwk, header)
    return {**header.members, **{name: jwk[name] for name in header.kind.public}}


def private_jwk(jwk: Mapping[str, Any]) -> JWK:
    """The JWK as a ring keeps it: with the members that a signing key needs, and no others.

    Raises:
        InvalidKey: with the reason.
    """
    header = read_header(jwk, "sign")
    _private_key(jwk, header)
    names = header.kind.public + header.kind.private
    return {**header.members, **{name: jwk[name] for name in names}}


def typed_key(jwk: Mapping[str, Any]) -> Any:
    """The key as an object of ``cryptography``, private if the JWK is; a secret as bytes.

    Raises:
        InvalidKey: with the reason.
    """
    read = _private_key if is_private(jwk) else _public_key
    return read(jwk, read_header(jwk))


def members_of(key: Any, algorithm: str) -> JWK:
    """The ``kty``, ``crv`` and numbers of a key object of ``cryptography``."""
    members = _IMPLEMENTATIONS[algorithm].to_jwk(key, as_dict=True)
    kind = KINDS[algorithm]
    return {
        name: members[name]
        for name in (*kind.names, *kind.public, *kind.private)
        if name in members
    }


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint of a public or private JWK, base64url (RFC 7638 §3).

    Raises:
        InvalidKey: the key is a secret, whose hash must not become public, or malformed.
    """
    kind = next((kind for kind in (EC, OKP, RSA) if kind.kty == jwk.get("kty")), None)
    if kind is None:
        raise InvalidKey("Only EC, OKP and RSA keys have a thumbprint.")
    members = {**kind.names, **read_members(jwk, kind.public, kind)}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return base64url_encode(sha256(text.encode()).digest())


def _public_key(jwk: Mapping[str, Any], header: Header) -> Any:
    members = read_members(jwk, header.kind.public, header.kind)
    if header.kind is RSA:
        n, e = (int.from_bytes(base64url_decode(members[name]), "big") for name in ("n", "e"))
        refuse_weak_rsa(n, e)
    return _from_jwk(header.algorithm, {**header.kind.names, **members})


def _private_key(jwk: Mapping[str, Any], header: Header) -> Any:
    kind, algorithm = header.kind, header.algorithm
    if kind is OCT:
        return _secret(jwk, header)
    public_key = _public_key(jwk, header)
    members = read_members(jwk, kind.public + kind.private, kind)
    key = _from_jwk(algorithm, {**kind.names, **members})
    if key.public_key() != public_key:
        raise InvalidKey("The private part of the key does not match its public part.")
    # OpenSSL signs with an RSA key that has a very long exponent and does not verify with it: every
    # token of such a key would be refused.
    implementation = _IMPLEMENTATIONS[algorithm]
    if not implementation.verify(_TRIAL, public_key, implementation.sign(_TRIAL, key)):
        raise InvalidKey("A signature of the key does not verify with its public part.")
    return key


def _secret(jwk: Mapping[str, Any], header: Header) -> Any:
    members = read_members(jwk, OCT.private, OCT)
    secret = _from_jwk(header.algorithm, {**OCT.names, **members})
    if len(secret) < SECRET_BYTES:
        raise InvalidKey(f"A secret for {header.algorithm} must have {SECRET_BYTES} bytes or more.")
    return secret


def _from_jwk(algorithm: str, jwk: JWK) -> Any:
    """Have PyJWT make the typed key. It refuses points off the curve and inconsistent numbers."""
    implementation = _IMPLEMENTATIONS[algorithm]
    try:
        return implementation.prepare_key(implementation.from_jwk(jwk))
    except (PyJWTError, ValueError, UnsupportedAlgorithm):
        # The texts of these errors may quote the key.
        raise InvalidKey("The numbers of the key do not make a valid key.") from None
