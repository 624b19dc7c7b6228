"""JSON Web Keys in, prepared keys out (RFC 7517, RFC 7518 §6, RFC 8037).

A key belongs to one algorithm for life. Whatever is malformed, weak or of the wrong kind is refused
here, once, when the ring is loaded; a request only ever sees keys that are ready. PyJWT does the
arithmetic, and is given typed keys only: it never has to guess what kind of key some bytes are
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
from jwt_auth.keys.redaction import raised_anew
from jwt_auth.keys.strength import refuse_weak_rsa

JWK = dict[str, Any]

#: Modulus of new RSA keys in bits: NIST SP 800-57 part 1 rev. 5, table 2, for use beyond 2030.
RSA_BITS: Final = 3072

#: Shortest HMAC secret in bytes (RFC 7518 §3.2: the size of the hash or more).
SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What a JWK has to look like; ``size`` is the exact length of each member in bytes."""

    kty: str
    public: tuple[str, ...]
    private: tuple[str, ...]
    crv: str | None = None
    size: int | None = None

    @property
    def names(self) -> dict[str, str]:
        return {"kty": self.kty} | ({} if self.crv is None else {"crv": self.crv})


#: What a key signs before it is used; no token.
_TRIAL: Final = b"jwt_auth tries a key"

#: Characters.
_MAX_KID: Final = 255

_EC: Final = _Kind(kty="EC", crv="P-256", public=("x", "y"), private=("d",), size=32)
_OKP: Final = _Kind(kty="OKP", crv="Ed25519", public=("x",), private=("d",), size=32)
_RSA: Final = _Kind(kty="RSA", public=("n", "e"), private=("d", "p", "q", "dp", "dq", "qi"))
_OCT: Final = _Kind(kty="oct", public=(), private=("k",))

#: What makes a key that one: of a secret ``k``, else the public members.
_MATERIAL: Final = ("kty", "crv", *_EC.public, *_RSA.public, *_OCT.private)

_KINDS: Final = {"ES256": _EC, "EdDSA": _OKP, "PS256": _RSA, "RS256": _RSA, "HS256": _OCT}
_IMPLEMENTATIONS: Final[Mapping[str, Algorithm]] = {
    name: implementation
    for name, implementation in get_default_algorithms().items()
    if name in _KINDS
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
        """True where a token's ``alg`` is this key's."""
        return alg == self.algorithm or alg == _OTHER_NAMES.get(self.algorithm)

    def verify(self, message: bytes, signature: bytes) -> bool:
        return _IMPLEMENTATIONS[self.algorithm].verify(message, self._key, signature)


def is_symmetric(algorithm: str) -> bool:
    """True where whoever can verify can also sign, so that the key may never be published."""
    return _KINDS[algorithm] is _OCT


def generate(algorithm: str) -> JWK:
    """Make a private JWK from the system's random source; its ``kid`` is its thumbprint.

    Raises:
        InvalidKey: no such algorithm.
    """
    while True:
        jwk = _generate(algorithm)
        # One in 64 begins with a dash, and a command line would take that for an option.
        if not jwk["kid"].startswith("-"):
            return jwk


def _generate(algorithm: str) -> JWK:
    if _kind_of(algorithm) is _OCT:
        # A thumbprint would publish a hash of the secret with every token.
        secret = base64url_encode(secrets.token_bytes(SECRET_BYTES))
        return {"kty": "oct", "kid": secrets.token_urlsafe(32), **_uses(algorithm), "k": secret}
    members = members_of(_new_private_key(algorithm), algorithm)
    return private_jwk({**members, "alg": algorithm, "kid": thumbprint(members)})


@raised_anew(InvalidKey)
def prepare_signing_key(jwk: Mapping[str, Any]) -> SigningKey:
    """Prepare a private JWK for signing.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm, kind = _read_kind(jwk)
    _require_operation(jwk, {"sign"})
    key = _private_key(jwk, algorithm, kind)
    return SigningKey(kid=_read_kid(jwk), algorithm=algorithm, _key=key)


@raised_anew(InvalidKey)
def prepare_verification_key(jwk: Mapping[str, Any]) -> VerificationKey:
    """Prepare a JWK, public or private, for verifying.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm, kind = _read_kind(jwk)
    # The public half of a key that may sign is there to verify with; a secret has no public half.
    halves = {"verify", "sign"} if "d" in jwk else {"verify"}
    _require_operation(jwk, halves)
    key = _secret(jwk, algorithm) if kind is _OCT else _public_key(jwk, algorithm, kind)
    return VerificationKey(kid=_read_kid(jwk), algorithm=algorithm, _key=key)


@raised_anew(InvalidKey)
def public_jwk(jwk: Mapping[str, Any]) -> JWK:
    """The JWK as it may be published: its public members, ``kid``, ``alg`` and ``use``.

    Raises:
        InvalidKey: a secret, which has nothing to publish, or malformed.
    """
    algorithm, kind = _read_kind(jwk)
    if kind is _OCT:
        raise InvalidKey("A secret can't be published.")
    _public_key(jwk, algorithm, kind)
    material = {name: jwk[name] for name in kind.public}
    return {"kid": _read_kid(jwk), **kind.names, **_uses(algorithm), **material}


def private_jwk(jwk: Mapping[str, Any]) -> JWK:
    """The JWK as a ring keeps it: what belongs to a key that signs, and nothing besides.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm, kind = _read_kind(jwk)
    _require_operation(jwk, {"sign"})
    _private_key(jwk, algorithm, kind)
    material = {name: jwk[name] for name in kind.public + kind.private}
    return {"kid": _read_kid(jwk), **kind.names, **_uses(algorithm), **material}


def typed_key(jwk: Mapping[str, Any]) -> Any:
    """The key as ``cryptography`` has it, private where the JWK is; of a secret its bytes.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm, kind = _read_kind(jwk)
    read = _private_key if is_private(jwk) else _public_key
    return read(jwk, algorithm, kind)


def members_of(key: Any, algorithm: str) -> JWK:
    """The members of a key of ``cryptography``: its ``kty``, ``crv`` and its numbers."""
    members = _IMPLEMENTATIONS[algorithm].to_jwk(key, as_dict=True)
    kind = _KINDS[algorithm]
    return {
        name: members[name]
        for name in (*kind.names, *kind.public, *kind.private)
        if name in members
    }


def is_private(jwk: Mapping[str, Any]) -> bool:
    """True where the JWK holds what signs."""
    return "d" in jwk or "k" in jwk


def is_same_key(jwk: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True where both are one key, whatever each is called and is for: who has one has the other.

    Also of JWKs that are malformed.
    """
    return all(jwk.get(name) == other.get(name) for name in _MATERIAL)


def algorithms_for(jwk: Mapping[str, Any]) -> list[str]:
    """The algorithms that a key of this kind can be for."""
    return [
        algorithm
        for algorithm, kind in _KINDS.items()
        if (kind.kty, kind.crv) == (jwk.get("kty"), jwk.get("crv"))
    ]


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The SHA-256 thumbprint of a public or private JWK, base64url (RFC 7638 §3).

    Raises:
        InvalidKey: a secret, whose hash must not become public, or malformed.
    """
    kind = next((kind for kind in (_EC, _OKP, _RSA) if kind.kty == jwk.get("kty")), None)
    if kind is None:
        raise InvalidKey("Only EC, OKP and RSA keys have a thumbprint.")
    members = {**kind.names, **_read_members(jwk, kind.public, kind)}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return base64url_encode(sha256(text.encode()).digest())


def _new_private_key(algorithm: str) -> Any:
    match _KINDS[algorithm].kty:
        case "EC":
            return generate_private_key(SECP256R1())
        case "OKP":
            return Ed25519PrivateKey.generate()
        case _:
            return generate_rsa_key(public_exponent=65537, key_size=RSA_BITS)


def _uses(algorithm: str) -> dict[str, str]:
    return {"alg": algorithm, "use": "sig"}


def _kind_of(algorithm: object) -> _Kind:
    kind = _KINDS.get(algorithm) if isinstance(algorithm, str) else None
    if kind is None:
        raise InvalidKey(f"The algorithm of a key must be one of {', '.join(_KINDS)}.")
    return kind


def _read_kind(jwk: Mapping[str, Any]) -> tuple[str, _Kind]:
    """The key's one algorithm and its kind, once the members that name them agree (RFC 7517 §4)."""
    algorithm = jwk.get("alg")
    kind = _kind_of(algorithm)
    if jwk.get("kty") != kind.kty:
        raise InvalidKey(f"A key for {algorithm} must have the kty {kind.kty}.")
    if jwk.get("crv") != kind.crv:
        raise InvalidKey(f"A key for {algorithm} must have the crv {kind.crv}.")
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("A key whose use is not sig can't be used for signatures.")
    return str(algorithm), kind


def _read_kid(jwk: Mapping[str, Any]) -> str:
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise InvalidKey("A key needs a kid.")
    # It stands in every token's header, in logs and on command lines.
    if len(kid) > _MAX_KID or not kid.isascii() or not kid.isprintable():
        raise InvalidKey(f"A kid is of printable ASCII, and of {_MAX_KID} characters at most.")
    return kid


def _require_operation(jwk: Mapping[str, Any], wanted: set[str]) -> None:
    """Refuse a key whose ``key_ops`` names none of ``wanted`` (RFC 7517 §4.3)."""
    if "key_ops" not in jwk:
        return
    operations = jwk["key_ops"]
    if not isinstance(operations, list) or not any(name in operations for name in wanted):
        raise InvalidKey("The key_ops of the key do not allow this use.")


def _read_members(jwk: Mapping[str, Any], names: tuple[str, ...], kind: _Kind) -> dict[str, str]:
    """The members of these names, each checked for its encoding and length (RFC 7518 §6)."""
    for name in names:
        value = jwk.get(name)
        if not isinstance(value, str):
            raise InvalidKey(f"The key has no member {name}.")
        try:
            octets = base64url_decode(value)
        except ValueError:
            raise InvalidKey(f"The member {name} is not canonical base64url.") from None
        if kind.size is not None and len(octets) != kind.size:
            raise InvalidKey(f"The member {name} must have {kind.size} bytes.")
        # Base64urlUInt (RFC 7518 §2): the fewest octets that hold the number.
        if kind is _RSA and not octets.lstrip(b"\0") == octets != b"":
            raise InvalidKey(f"The member {name} is not a canonical number.")
    return {name: jwk[name] for name in names}


def _public_key(jwk: Mapping[str, Any], algorithm: str, kind: _Kind) -> Any:
    members = _read_members(jwk, kind.public, kind)
    if kind is _RSA:
        n, e = (int.from_bytes(base64url_decode(members[name]), "big") for name in ("n", "e"))
        refuse_weak_rsa(n, e)
    return _from_jwk(algorithm, {**kind.names, **members})


def _private_key(jwk: Mapping[str, Any], algorithm: str, kind: _Kind) -> Any:
    if kind is _OCT:
        return _secret(jwk, algorithm)
    public_key = _public_key(jwk, algorithm, kind)
    members = _read_members(jwk, kind.public + kind.private, kind)
    key = _from_jwk(algorithm, {**kind.names, **members})
    if key.public_key() != public_key:
        raise InvalidKey("The private part of the key does not match its public part.")
    if not _signs_for(public_key, key, algorithm):
        raise InvalidKey("What the key signs does not verify with its public part.")
    return key


def _signs_for(public_key: Any, key: Any, algorithm: str) -> bool:
    """Sign and verify once: of an RSA key with a very long exponent OpenSSL can do only the first,
    and every token of it would be refused.
    """
    implementation = _IMPLEMENTATIONS[algorithm]
    return implementation.verify(_TRIAL, public_key, implementation.sign(_TRIAL, key))


def _secret(jwk: Mapping[str, Any], algorithm: str) -> Any:
    secret = _from_jwk(algorithm, {**_OCT.names, **_read_members(jwk, _OCT.private, _OCT)})
    if len(secret) < SECRET_BYTES:
        raise InvalidKey(f"A secret for {algorithm} must have {SECRET_BYTES} bytes or more.")
    return secret


def _from_jwk(algorithm: str, jwk: JWK) -> Any:
    """Have PyJWT make the typed key; points off the curve and inconsistent numbers end here."""
    implementation = _IMPLEMENTATIONS[algorithm]
    try:
        return implementation.prepare_key(implementation.from_jwk(jwk))
    except (PyJWTError, ValueError, UnsupportedAlgorithm):
        # Theirs may quote the key.
        raise InvalidKey("The numbers of the key do not make a valid key.") from None
