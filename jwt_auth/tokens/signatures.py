"""Sign tokens with the key ring, and verify their signatures: the same for every kind of JWT.

Nothing is computed with a key before the header has named one of our keys, that key's only
algorithm, and the kind of token that is asked for (``typ``, RFC 8725 §3.11). No header can make the
package fetch or accept any other key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import AccessTokenRefused, Refusal, UnknownKey
from jwt_auth.keys import cache
from jwt_auth.keys.jwk import SigningKey, VerificationKey
from jwt_auth.keys.signers.base import RemoteSigningKey
from jwt_auth.tokens import jws

#: Header parameters by which a token would bring its key along, or change the signing input (RFC
#: 7797).
_FORBIDDEN: Final = frozenset({"b64", "jku", "jwk", "x5u", "x5c"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPayload:
    """The claims of a token as they were signed, and the key that signed them."""

    kid: str
    payload: bytes


def serialize(key: SigningKey | RemoteSigningKey, typ: str, claims: Mapping[str, Any]) -> str:
    """Encode claims as the signing input of a token of the kind ``typ``.

    Raises:
        TypeError, ValueError: JSON has no form for a claim.
    """
    return jws.serialize({"alg": key.algorithm, "kid": key.kid, "typ": typ}, claims)


def sign(key: SigningKey | RemoteSigningKey, signing_input: str) -> str:
    """Return the token.

    Raises:
        KeySignerError: the service that holds the private key failed to sign.
    """
    return f"{signing_input}.{base64url_encode(key.sign(signing_input.encode('ascii')))}"


def verify(token: str, *, typ: str, now: datetime, may_wait: bool = True) -> SignedPayload:
    """Verify the signature of a token of the kind ``typ``. Its claims are not judged here.

    Raises:
        AccessTokenRefused: the form, the header, the key or the signature is wrong.
        KeyFailure: the keys are not available, so nothing can be judged.
        WouldWait: ``may_wait`` is false, and the keys may have to be loaded first.
    """
    parsed = jws.parse(token)
    key = _key_of(parsed.header, typ=typ, now=now, may_wait=may_wait)
    if not key.verify(parsed.signing_input, parsed.signature):
        raise AccessTokenRefused(Refusal.SIGNATURE)
    return SignedPayload(kid=key.kid, payload=parsed.payload)


def _key_of(header: dict[str, Any], *, typ: str, now: datetime, may_wait: bool) -> VerificationKey:
    if "crit" in header:
        raise AccessTokenRefused(Refusal.HEADER_CRIT)
    if not _FORBIDDEN.isdisjoint(header):
        raise AccessTokenRefused(Refusal.HEADER_FORBIDDEN)
    if header.get("typ") != typ:
        raise AccessTokenRefused(Refusal.HEADER_TYP)
    kid, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(kid, str) or not kid:
        raise AccessTokenRefused(Refusal.HEADER_KID)
    if not isinstance(algorithm, str):
        raise AccessTokenRefused(Refusal.HEADER_ALG)
    key = _verification_key(kid, now=now, may_wait=may_wait)
    # The key determines the algorithm, and the token has to agree before any cryptography
    # (CVE-2022-29217).
    if not key.accepts(algorithm):
        raise AccessTokenRefused(Refusal.HEADER_ALG)
    return key


def _verification_key(kid: str, *, now: datetime, may_wait: bool) -> VerificationKey:
    try:
        return cache.get_verification_key(kid, now, may_wait=may_wait)
    except UnknownKey:
        raise AccessTokenRefused(Refusal.UNKNOWN_KEY) from None
