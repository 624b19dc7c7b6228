"""Keys that somebody else made, as JWKs of our own form.

They are judged more strictly than those of the ring: whoever brings a key can still bring another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from jwt_auth.encoding import base64url_decode
from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.strength import refuse_long_exponent, refuse_weak_secret

#: The name that RFC 9864 §2.2 gives to EdDSA with Ed25519.
_FULL_NAMES: Final = {"Ed25519": "EdDSA"}


def jwk_from_json(text: bytes, *, algorithm: str | None, kid: str | None = None) -> JWK:
    """Read a private JWK (RFC 7517 §4); ``kid`` takes the place of its own.

    Raises:
        InvalidKey: with the reason.
    """
    try:
        members = json.loads(text, object_pairs_hook=_unique_names)
    except (ValueError, RecursionError):
        raise InvalidKey("What should be a JWK is not JSON, or has a name twice.") from None
    if not isinstance(members, dict) or "kty" not in members:
        raise InvalidKey("What should be a JWK is not an object with a kty.")
    return adopt(members if kid is None else members | {"kid": kid}, algorithm=algorithm)


def adopt(members: Mapping[str, Any], *, algorithm: str | None) -> JWK:
    """Give the private JWK as a ring keeps it: one algorithm, a ``kid``, no member besides.

    ``algorithm`` may be ``None`` where the key says it or leaves no choice. A key without a ``kid``
    gets its thumbprint; a secret has to bring one.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm = _algorithm_of(members, algorithm)
    if not jwks.is_private(members):
        raise InvalidKey("A public key can't sign: give the private key that belongs to it.")
    named = {**members, "alg": algorithm, "kid": _kid_of(members)}
    if not jwks.is_symmetric(algorithm):
        _refuse_long_exponent(jwks.public_jwk(named))  # a reason that says more than a failed trial
    jwk = jwks.private_jwk(named)
    if jwks.is_symmetric(algorithm):
        refuse_weak_secret(base64url_decode(jwk["k"]))
    return jwk


def adopt_public(members: Mapping[str, Any], *, algorithm: str) -> JWK:
    """Give the public JWK of a key whose private part is somewhere else.

    Raises:
        InvalidKey: with the reason.
    """
    algorithm = _algorithm_of(members, algorithm)
    jwk = jwks.public_jwk({**members, "alg": algorithm, "kid": _kid_of(members)})
    _refuse_long_exponent(jwk)
    return jwk


def _algorithm_of(members: Mapping[str, Any], wanted: str | None) -> str:
    possible = jwks.algorithms_for(members)
    if not possible:
        raise InvalidKey(
            "The key is neither RSA, P-256, Ed25519 nor a secret: nothing here has it."
        )
    if wanted is not None and wanted not in possible:
        raise InvalidKey(f"The key can't be for {wanted}, only for {' or '.join(possible)}.")
    stated = _stated_algorithm(members)
    if stated is not None and stated not in possible:
        raise InvalidKey(
            f"The alg of the key does not fit it: it can be for {' or '.join(possible)}."
        )
    if stated is not None and wanted not in (None, stated):
        raise InvalidKey(f"The key says that it is for {stated}, and a key has one algorithm.")
    chosen = wanted or stated or (possible[0] if len(possible) == 1 else None)
    if chosen is None:
        raise InvalidKey(f"The key can be for {' or '.join(possible)}: say for which.")
    return chosen


def _stated_algorithm(members: Mapping[str, Any]) -> str | None:
    stated = members.get("alg")
    if stated is None:
        return None
    if not isinstance(stated, str):
        raise InvalidKey("The alg of the key is not a string.")
    return _FULL_NAMES.get(stated, stated)


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


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice")
    return value
