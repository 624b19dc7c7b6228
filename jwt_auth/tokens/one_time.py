"""One-time tokens: signed JWTs that allow one action once, such as a password reset.

They travel in mails, and access tokens in headers, so neither may ever be taken for the other: the
header's ``typ``, the audience and ``token_use`` all differ (RFC 8725 §3.12). A token holds no
address, only a keyed digest that shows whether the user still has the address.

That a token is used only once is the business of :mod:`jwt_auth.flows.one_time_tokens`.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from jwt_auth.conf import MAX_ONE_TIME_TOKEN_LIFETIME, conf
from jwt_auth.exceptions import AccessTokenRefused, OneTimeTokenRefused, Refusal
from jwt_auth.keys import cache
from jwt_auth.tokens import signatures
from jwt_auth.tokens.claims import judge_times
from jwt_auth.tokens.jws import parse_object
from jwt_auth.tokens.secret_keys import derive, secret_keys

TYPE: Final = "one-time+jwt"

TOKEN_USE: Final = "one_time"

_JTI: Final = re.compile(r"[0-9a-f]{32}")

_TEXTS: Final = ("iss", "aud", "sub", "jti", "token_use", "purpose", "binding")
_NUMBERS: Final = ("iat", "exp", "token_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTimeToken:
    """A verified one-time token: its signature, claims and times are valid."""

    subject: str
    jti: str
    purpose: str
    token_version: int
    #: ``exp``, in seconds since the epoch.
    expires: int
    binding: str

    def __repr__(self) -> str:
        return f"<OneTimeToken for {self.purpose}>"

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires, UTC)

    def is_bound_to(self, values: Sequence[str]) -> bool:
        """Whether the token was issued with these values; ``SECRET_KEY`` may have been rotated."""
        return any(
            hmac.compare_digest(_bind(values, jti=self.jti, secret_key=key), self.binding)
            for key in secret_keys()
        )


def issue(
    *,
    subject: str,
    purpose: str,
    token_version: int,
    bound_to: Sequence[str],
    expires_at: datetime,
    now: datetime,
) -> str:
    """Sign a token that expires at ``expires_at``, or earlier, together with its key.

    Raises:
        KeyFailure: no key can sign.
    """
    key, end = cache.get_signing_key_and_end(now)
    jti = secrets.token_hex(16)
    claims = {
        "iss": conf.issuer,
        "aud": _audience(),
        "sub": subject,
        "iat": int(now.timestamp()),
        "exp": int((expires_at if end is None else min(expires_at, end)).timestamp()),
        "jti": jti,
        "token_version": token_version,
        "token_use": TOKEN_USE,
        "purpose": purpose,
        "binding": _bind(bound_to, jti=jti, secret_key=next(secret_keys())),
    }
    return signatures.sign(key, signatures.serialize(key, TYPE, claims))


def verify(text: str, *, purpose: str, now: datetime) -> OneTimeToken:
    """Give the token if it was issued for this purpose and hasn't expired.

    Its user, and whether it has been used, are not judged here.

    Raises:
        OneTimeTokenRefused: with the reason.
        KeyFailure: the keys are not available, so nothing can be judged.
    """
    try:
        signed = signatures.verify(text, typ=TYPE, now=now)
        claims = _read_claims(signed.payload)
        judge_times(
            not_before=claims["iat"],
            expires=claims["exp"],
            seconds=now.timestamp(),
            leeway=conf.clock_leeway.total_seconds(),
        )
    except AccessTokenRefused as refused:  # the parts that all JWTs share
        raise OneTimeTokenRefused(refused.reason) from None
    if claims["purpose"] != purpose:
        raise OneTimeTokenRefused(Refusal.PURPOSE)
    return OneTimeToken(
        subject=claims["sub"],
        jti=claims["jti"],
        purpose=purpose,
        token_version=claims["token_version"],
        expires=claims["exp"],
        binding=claims["binding"],
    )


def _read_claims(payload: bytes) -> dict[str, Any]:
    claims = parse_object(payload)
    if not claims.keys() >= {*_TEXTS, *_NUMBERS}:
        raise AccessTokenRefused(Refusal.CLAIM_MISSING)
    if not all(isinstance(claims[name], str) and claims[name] for name in _TEXTS):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    # type(), not isinstance(): a JSON true is an int to Python.
    if not all(type(claims[name]) is int and claims[name] >= 0 for name in _NUMBERS):
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)
    longest = MAX_ONE_TIME_TOKEN_LIFETIME.total_seconds()
    if not _JTI.fullmatch(claims["jti"]) or claims["exp"] - claims["iat"] > longest:
        raise AccessTokenRefused(Refusal.CLAIM_TYPE)  # not one that we issue
    if claims["iss"] != conf.issuer:
        raise AccessTokenRefused(Refusal.ISSUER)
    if claims["aud"] != _audience():
        raise AccessTokenRefused(Refusal.AUDIENCE)
    if claims["token_use"] != TOKEN_USE:
        raise AccessTokenRefused(Refusal.TOKEN_USE)
    return claims


def _audience() -> str:
    # Only the issuer accepts the token. The fragment tells the audience apart from an API's that is
    # named like the issuer: a service that checks no more than its audience refuses the token.
    return f"{conf.issuer}#one-time"


def _bind(values: Sequence[str], *, jti: str, secret_key: bytes) -> str:
    # With the jti, so that two tokens don't show that their users have the same address. With a
    # key, so that a reader of the token can't try out addresses.
    key = derive(secret_key, b"jwt_auth one-time token binding 1")
    return hmac.digest(key, json.dumps([jti, *values]).encode("ascii"), "sha256").hex()
