"""Keys that were made elsewhere, as JWKs in the form that a ring keeps.

They are judged more strictly than keys of the ring: an operator who imports a weak key can still
make a better one.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any

from jwt_auth.encoding import InvalidJSON, base64url_decode, parse_json_object
from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.jwk_format import algorithms_for, is_private, is_symmetric
from jwt_auth.keys.strength import refuse_long_exponent, refuse_weak_secret


class AmbiguousAlgorithm(InvalidKey):
    """The key's algorithm has to be named."""


def jwk_from_json(text: bytes, *, algorithm: str | None, kid: str | None = None) -> JWK:
    """Read a private JWK (RFC 7517 §4); ``kid`` replaces the one that is in it.

    Raises:
        InvalidKey: with the reason.
    """
    try:
        members = parse_json_object(text.removeprefix(BOM_UTF8))
    except InvalidJSON:
        raise InvalidKey("The JWK is not a JSON object, or has a name twice.") from None
    if "kty" not in members:
        raise InvalidKey("The JWK has no kty.")
    return adopt(members if kid is None else members | {"kid": kid}, algorithm=algorithm)


def adopt(members: Mapping[str, Any], *, algorithm: str | None) -> JWK:
    """Give the private JWK as a ring keeps it: with one algorithm, a ``kid`` and no extra member.

    ``algorithm`` may be ``None`` if the key says it or leaves no choice. A key without a ``kid``
    gets its thumbprint; a secret must have a ``kid``.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm = _algorithm_of(members, algorithm)
    if not is_private(members):
        raise InvalidKey("A public key can't sign: give the private key that belongs to it.")
    named = {**members, "alg": algorithm, "kid": _kid_of(members)}
    if not is_symmetric(algorithm):
        # Before the key signs for a trial: this reason says more than a failed trial.
        _refuse_long_exponent(jwks.public_jwk(named))
    jwk = jwks.private_jwk(named)
    if is_symmetric(algorithm):
        refuse_weak_secret(base64url_decode(jwk["k"]))
    return jwk


def adopt_public(members: Mapping[str, Any], *, algorithm: str) -> JWK:
    """Give the public JWK of a key whose private part is kept elsewhere.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm = _algorithm_of(members, algorithm)
    jwk = jwks.public_jwk({**members, "alg": algorithm, "kid": _kid_of(members)})
    _refuse_long_exponent(jwk)
    return jwk


def _algorithm_of(members: Mapping[str, Any], wanted: str | None) -> str:
    possible = algorithms_for(members)
    if not possible:
        raise InvalidKey(
            "The key is neither RSA, P-256, Ed25519 nor a secret: nothing here can use it."
        )
    if wanted is not None and wanted not in possible:
        raise InvalidKey(f"The key can't be for {wanted}, only for {' or '.join(possible)}.")
    fitting = possible if wanted is None else [wanted]
    stated = members.get("alg")
    if stated == "Ed25519":  # RFC 9864 §2.2 gives EdDSA with this curve a name
        stated = "EdDSA"
    if stated is not None and stated not in fitting:
        names = " or ".join(fitting)
        raise InvalidKey(f"The alg of the key is not {names}, and a key has one algorithm only.")
    if stated is None and len(fitting) > 1:
        raise AmbiguousAlgorithm(f"The key can be for {' or '.join(fitting)}: say which.")
    return stated or fitting[0]


def _kid_of(members: Mapping[str, Any]) -> object:
    if "kid" in members:
        return members["kid"]
    if members["kty"] == "oct":
        # Its thumbprint would publish a hash of the secret with every token.
        raise InvalidKey("A secret needs a kid: give one.")
    return jwks.thumbprint(members)


def _refuse_long_exponent(jwk: JWK) -> None:
    if jwk["kty"] == "RSA":
        refuse_long_exponent(int.from_bytes(base64url_decode(jwk["e"]), "big"))
