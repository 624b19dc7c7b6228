"""The form of a JWK: its kind, its names and the encoding of its members (RFC 7517 §4, RFC 7518 §6,
RFC 8037 §2).

This module judges the text only; :mod:`jwt_auth.keys.jwk` makes keys of it. No error text holds key
material.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jwt_auth.encoding import base64url_decode
from jwt_auth.exceptions import InvalidKey

#: Longest ``kid`` in characters.
_MAX_KID: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The members of one kind of key; ``size`` is the exact length of each in bytes."""

    kty: str
    public: tuple[str, ...]
    private: tuple[str, ...]
    crv: str | None = None
    size: int | None = None

    @property
    def names(self) -> dict[str, str]:
        return {"kty": self.kty} | ({} if self.crv is None else {"crv": self.crv})


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The members of a JWK that say what its key is for."""

    kid: str
    algorithm: str
    kind: Kind

    @property
    def members(self) -> dict[str, str]:
        return {"kid": self.kid, **self.kind.names, "alg": self.algorithm, "use": "sig"}


EC: Final = Kind(kty="EC", crv="P-256", public=("x", "y"), private=("d",), size=32)
OKP: Final = Kind(kty="OKP", crv="Ed25519", public=("x",), private=("d",), size=32)
RSA: Final = Kind(kty="RSA", public=("n", "e"), private=("d", "p", "q", "dp", "dq", "qi"))
OCT: Final = Kind(kty="oct", public=(), private=("k",))

KINDS: Final = {"ES256": EC, "EdDSA": OKP, "PS256": RSA, "RS256": RSA, "HS256": OCT}

#: The members in which two different keys differ.
_MATERIAL: Final = ("kty", "crv", *EC.public, *RSA.public, *OCT.private)


def is_symmetric(algorithm: str) -> bool:
    """True if the key that verifies can also sign, so that it must never be published."""
    return KINDS[algorithm] is OCT


def is_private(jwk: Mapping[str, Any]) -> bool:
    """True if the JWK can sign."""
    return "d" in jwk or "k" in jwk


def is_same_key(jwk: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """True if both are the same key, under any ``kid`` and for any algorithm. They need not be
    valid.
    """
    return all(jwk.get(name) == other.get(name) for name in _MATERIAL)


def algorithms_for(jwk: Mapping[str, Any]) -> list[str]:
    """The algorithms that a key of this kind can be for."""
    return [
        algorithm
        for algorithm, kind in KINDS.items()
        if (kind.kty, kind.crv) == (jwk.get("kty"), jwk.get("crv"))
    ]


def kind_of(algorithm: object) -> Kind:
    kind = KINDS.get(algorithm) if isinstance(algorithm, str) else None
    if kind is None:
        raise InvalidKey(f"The algorithm of a key must be one of {', '.join(KINDS)}.")
    return kind


def read_header(jwk: Mapping[str, Any], *operations: str) -> Header:
    """Read what a JWK says about its key, if the members agree (RFC 7517 §4).

    A ``key_ops`` member must name one of the ``operations``, unless none is given.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm, kid = jwk.get("alg"), jwk.get("kid")
    kind = kind_of(algorithm)
    if jwk.get("kty") != kind.kty:
        raise InvalidKey(f"A key for {algorithm} must have the kty {kind.kty}.")
    if jwk.get("crv") != kind.crv:
        raise InvalidKey(f"A key for {algorithm} must have the crv {kind.crv}.")
    if jwk.get("use", "sig") != "sig":
        raise InvalidKey("A key whose use is not sig can't be used for signatures.")
    if operations and "key_ops" in jwk:
        allowed = jwk["key_ops"]
        if not isinstance(allowed, list) or not any(name in allowed for name in operations):
            raise InvalidKey("The key_ops of the key do not allow this use.")
    if not isinstance(kid, str) or not kid:
        raise InvalidKey("A key needs a kid.")
    # It is written into every token's header, logs and command lines.
    if len(kid) > _MAX_KID or not kid.isascii() or not kid.isprintable():
        raise InvalidKey(f"A kid must be printable ASCII, with {_MAX_KID} characters at most.")
    return Header(kid=kid, algorithm=str(algorithm), kind=kind)


def read_members(jwk: Mapping[str, Any], names: tuple[str, ...], kind: Kind) -> dict[str, str]:
    """The members of these names, each with its encoding and length checked (RFC 7518 §6)."""
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
        if kind is RSA and not octets.lstrip(b"\0") == octets != b"":
            raise InvalidKey(f"The member {name} is not a canonical number.")
    return {name: jwk[name] for name in names}
