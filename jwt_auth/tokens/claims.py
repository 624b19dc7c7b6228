"""The claims of an access token: which are required, their types, and their values (RFC 7519, RFC
9068).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.tokens.jws import parse_object

TOKEN_USE: Final = "access"

#: How and when the user was authenticated: ``amr`` (RFC 8176) and ``auth_time`` (OpenID Connect
#: Core §2). The code that opens a session may set them, and ``JWT_AUTH_CLAIMS`` may not.
AUTHENTICATION: Final = frozenset({"amr", "auth_time"})

#: Names that the package sets. A project's own claims may use any other name.
RESERVED: Final = AUTHENTICATION | frozenset(
    {"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "sid"}
    | {"token_version", "token_use", "client_id", "roles"}
)

#: The longest ``jti`` that the table of denied tokens can hold.
JTI_LENGTH: Final = 255

_REQUIRED_TEXTS: Final = ("iss", "sub", "jti", "sid", "token_use")
_REQUIRED_NUMBERS: Final = ("exp", "nbf", "iat", "token_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A verified access token, as in ``request.auth``: signature, claims and times are valid."""

    kid: str
    issuer: str
    audiences: frozenset[str]
    subject: str
    session_id: UUID
    jti: str
    token_version: int
    token_use: str
    roles: tuple[str, ...]
    #: ``iat``, ``nbf`` and ``exp``, in seconds since the epoch.
    issued: int
    not_before: int
    expires: int
    payload: bytes = field(repr=False)

    def __repr__(self) -> str:
        return f"<AccessToken of session {self.session_id}>"

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only, including the project's own.

        They are parsed again at each access: if a view changes a list in them, no other request
        sees the change.
        """
        return MappingProxyType(json.loads(self.payload))

    @property
    def issued_at(self) -> datetime:
        return datetime.fromtimestamp(self.issued, UTC)

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires, UTC)


def read_claims(payload: bytes, *, kid: str) -> AccessToken:
    """Read the claims of a token whose signature is valid. :func:`judge_claims` checks the values.

    Raises:
        AccessTokenRefused: a claim is missing or of the wrong type.
    """
    claims = parse_object(payload)
    for name in (*_REQUIRED_TEXTS, *_REQUIRED_NUMBERS, "aud"):
        if name not in claims:
            raise AccessTokenRefused(Refusal.CLAIM_MISSING)
    if not all(isinstance(claims[name], str) and claims[name] for name in _REQUIRED_TEXTS):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    # type(), not isinstance(): a JSON true is an int to Python.
    if not all(type(claims[name]) is int and claims[name] >= 0 for name in _REQUIRED_NUMBERS):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    # Databases refuse a NUL, and a jti that a database can't hold could never be denied.
    if "\0" in claims["sub"] or len(claims["jti"]) > JTI_LENGTH or not claims["jti"].isprintable():
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    audience = claims["aud"]
    return AccessToken(
        kid=kid,
        issuer=claims["iss"],
        audiences=frozenset(_texts([audience] if isinstance(audience, str) else audience)),
        subject=claims["sub"],
        session_id=_session_id(claims["sid"]),
        jti=claims["jti"],
        token_version=claims["token_version"],
        token_use=claims["token_use"],
        roles=_texts(claims.get("roles", [])),
        issued=claims["iat"],
        not_before=claims["nbf"],
        expires=claims["exp"],
        payload=payload,
    )


def judge_claims(token: AccessToken, *, now: datetime) -> None:
    """Check at every request the values of the claims, by the current settings and time.

    Raises:
        AccessTokenRefused: a claim is wrong, or the token has expired or is not valid yet. At
            ``exp`` itself the token has already expired (RFC 7519 §4.1.4).
    """
    # Compared as a whole: PyJWT once accepted a substring of the issuer (CVE-2024-53861).
    if token.issuer != conf.issuer:
        raise AccessTokenRefused(Refusal.ISSUER)
    if conf.audiences.isdisjoint(token.audiences):
        raise AccessTokenRefused(Refusal.AUDIENCE)
    if token.token_use != TOKEN_USE:
        raise AccessTokenRefused(Refusal.TOKEN_USE)
    seconds = now.timestamp()
    if not max(token.not_before, token.issued) <= seconds < token.expires:
        judge_times(
            not_before=max(token.not_before, token.issued),
            expires=token.expires,
            seconds=seconds,
            leeway=conf.clock_leeway.total_seconds(),
        )
    if token.expires > _LAST_SECOND:
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)


def judge_times(*, not_before: int, expires: int, seconds: float, leeway: float) -> None:
    """Compare the times of a token with the clock's, all in seconds since the epoch.

    Raises:
        AccessTokenRefused: the token has expired or is not valid yet.
    """
    if expires <= seconds - leeway:
        raise AccessTokenRefused(Refusal.EXPIRED)
    if not_before > seconds + leeway:
        raise AccessTokenRefused(Refusal.NOT_YET_VALID)


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
