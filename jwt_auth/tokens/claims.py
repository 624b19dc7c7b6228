"""The claims of an access token: which there must be, of what type, and what they must say (RFC
7519, RFC 9068).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, Refusal

TOKEN_USE: Final = "access"

#: Names that the package sets; a project's own claims may use any other.
RESERVED: Final = frozenset(
    {"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid"}
    | {"token_version", "token_use", "client_id", "roles"}
)

#: The longest ``jti`` that the table of denied tokens has room for.
JTI_LENGTH: Final = 255

_REQUIRED_TEXTS: Final = ("iss", "sub", "jti", "sid", "token_use")
_REQUIRED_NUMBERS: Final = ("exp", "nbf", "iat", "token_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token, as ``request.auth``: its signature, claims and times were good."""

    kid: str
    subject: str
    session_id: UUID
    jti: str
    token_version: int
    roles: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    #: All claims, read-only, the project's own among them.
    claims: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<AccessToken of session {self.session_id}>"


def verify_claims(claims: dict[str, Any], *, kid: str, now: datetime) -> AccessToken:
    """Judge the claims of a token whose signature is good.

    Raises:
        AccessTokenRefused: a claim is missing, of the wrong type or wrong; or the token is over or
        not
            yet valid. Times are compared strictly: at ``exp`` the token is over (RFC 7519 §4.1.4).
    """
    for name in (*_REQUIRED_TEXTS, *_REQUIRED_NUMBERS, "aud"):
        if name not in claims:
            raise AccessTokenRefused(Refusal.CLAIM_MISSING)
    if not all(isinstance(claims[name], str) and claims[name] for name in _REQUIRED_TEXTS):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    # type(), not isinstance(): a JSON true is an int to Python.
    if not all(type(claims[name]) is int and claims[name] >= 0 for name in _REQUIRED_NUMBERS):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    # Databases refuse a NUL, and a jti that none can hold could never be denied.
    if "\0" in claims["sub"] or len(claims["jti"]) > JTI_LENGTH or not claims["jti"].isprintable():
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    roles = _texts(claims.get("roles", []))
    # Whole and exact: an issuer compared as a substring let foreign tokens in (CVE-2024-53861).
    if claims["iss"] != conf.issuer:
        raise AccessTokenRefused(Refusal.ISSUER)
    audience = claims["aud"]
    if conf.audiences.isdisjoint(_texts([audience] if isinstance(audience, str) else audience)):
        raise AccessTokenRefused(Refusal.AUDIENCE)
    if claims["token_use"] != TOKEN_USE:
        raise AccessTokenRefused(Refusal.TOKEN_USE)
    _verify_times(claims, now=now)
    return AccessToken(
        kid=kid,
        subject=claims["sub"],
        session_id=_session_id(claims["sid"]),
        jti=claims["jti"],
        token_version=claims["token_version"],
        roles=roles,
        issued_at=datetime.fromtimestamp(claims["iat"], UTC),
        expires_at=datetime.fromtimestamp(claims["exp"], UTC),
        claims=MappingProxyType(claims),
    )


def _verify_times(claims: dict[str, Any], *, now: datetime) -> None:
    seconds, leeway = now.timestamp(), conf.clock_leeway.total_seconds()
    if claims["exp"] <= seconds - leeway:
        raise AccessTokenRefused(Refusal.EXPIRED)
    if claims["nbf"] > seconds + leeway or claims["iat"] > seconds + leeway:
        raise AccessTokenRefused(Refusal.NOT_YET_VALID)
    if claims["exp"] > _LAST_SECOND:
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)


#: The last moment that a datetime can hold, in seconds since the epoch.
_LAST_SECOND: Final = 253_402_300_799


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    return tuple(value)


def _session_id(text: str) -> UUID:
    try:
        session_id = UUID(text)
    except ValueError:
        raise AccessTokenRefused(Refusal.CLAIM_TYPE) from None
    if str(session_id) != text:
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    return session_id
