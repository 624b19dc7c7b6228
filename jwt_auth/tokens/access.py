"""Access tokens: signed JWTs of the profile RFC 9068, issued and verified.

The order of the refusals is the order of the code: length, form, header, key, algorithm, signature,
claims, times. :mod:`.signatures` has those up to the signature.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from asgiref.sync import sync_to_async

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, ClaimsInvalid, Refusal
from jwt_auth.keys import cache
from jwt_auth.keys.cache import WouldWait
from jwt_auth.keys.loaded_ring import LoadedRing
from jwt_auth.tokens import jws, signatures
from jwt_auth.tokens.claims import TOKEN_USE, AccessToken, judge_claims, read_claims
from jwt_auth.tokens.own_claims import SETTING, require_claims, size_of

TYPE: Final = "at+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedAccessToken:
    """A new token: its text, which ``repr`` leaves out, and its lifetime in seconds."""

    text: str
    expires_in: int

    def __repr__(self) -> str:
        return f"<IssuedAccessToken for {self.expires_in} s>"


def issue(
    *,
    subject: str,
    session_id: UUID,
    token_version: int,
    roles: Sequence[str],
    auth_time: int,
    amr: Sequence[str] | None = None,
    session_claims: Mapping[str, Any] = MappingProxyType({}),
    own_claims: Mapping[str, Any],
    expires_at: datetime,
    now: datetime,
) -> IssuedAccessToken:
    """Sign an access token that expires at ``expires_at``, or earlier, together with its key.

    The expiry of a key is fixed when its successor is published. If the lifetime of tokens was
    raised since then, a token could outlive its key, and be refused before its ``exp``.

    ``auth_time`` is in seconds since the epoch. ``session_claims`` were judged when they were
    stored, and override none of the package's own. Where the session and the project have a claim
    of the same name, the project's is used: it has just been made.

    Raises:
        ClaimsInvalid: the claims of the project take a reserved name or can't be written as JSON,
            or all of them are too large.
        KeyFailure: no key can sign.
    """
    own_claims = require_claims(own_claims, source=SETTING)
    key, end = cache.get_signing_key_and_end(now)
    issued_at = int(now.timestamp())
    over_at = int((expires_at if end is None else min(expires_at, end)).timestamp())
    signing_input = signatures.serialize(
        key,
        TYPE,
        {
            **session_claims,
            "iss": conf.issuer,
            "aud": conf.audience,
            "sub": subject,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": over_at,
            "jti": secrets.token_hex(16),
            "sid": str(session_id),
            "token_version": token_version,
            "token_use": TOKEN_USE,
            "client_id": conf.client_id,
            "auth_time": auth_time,
            "roles": list(roles),
            **({} if amr is None else {"amr": list(amr)}),
            **own_claims,
        },
    )
    text = signatures.sign(key, signing_input)
    if len(text) > jws.MAX_LENGTH:
        raise ClaimsInvalid(
            f"The roles and claims of user {subject} make an access token of {len(text)} bytes; "
            f"{jws.MAX_LENGTH} is the limit. As JSON, the roles have {size_of(list(roles))} bytes, "
            f"the session's claims {size_of(dict(session_claims))}, and those of JWT_AUTH_CLAIMS "
            f"{size_of(dict(own_claims))}. Have JWT_AUTH_ROLES give the roles that the API asks "
            "for, or one of the others less."
        )
    return IssuedAccessToken(text=text, expires_in=over_at - issued_at)


def verify(token: str, *, now: datetime, may_wait: bool = True) -> AccessToken:
    """Give the token's claims if everything is in order. Its revocation is not judged here.

    Raises:
        AccessTokenRefused: with the reason.
        KeyFailure: the keys are not available, so nothing can be judged.
        WouldWait: ``may_wait`` is false, and the keys may have to be loaded first.
    """
    if len(token) > jws.MAX_LENGTH:
        raise AccessTokenRefused(Refusal.TOO_LONG)
    # The ring is found before the key is looked up. A newer ring may be loaded in between, and its
    # memory must not get a signature that was verified with an older one.
    loaded = cache.find_loaded_ring()
    digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
    remembered = None
    if loaded is not None:
        remembered = _find_remembered(digest, loaded, now=now, may_wait=may_wait)
    if remembered is not None:
        judge_claims(remembered, now=now)
        return remembered
    access_token = _verify_signature(token, now=now, may_wait=may_wait)
    judge_claims(access_token, now=now)
    if loaded is not None:
        loaded.verified.add(digest, access_token)
    return access_token


async def averify(token: str, *, now: datetime) -> AccessToken:
    """Do the same without blocking the event loop.

    A signature is verified in place, which takes less time than a change of threads. If the keys
    may have to be loaded first, all of it is done in a thread, and only this request waits.
    """
    try:
        return verify(token, now=now, may_wait=False)
    except WouldWait:
        return await sync_to_async(verify)(token, now=now)


def _find_remembered(
    digest: bytes, loaded: LoadedRing, *, now: datetime, may_wait: bool
) -> AccessToken | None:
    remembered: AccessToken | None = loaded.verified.get(digest)
    if remembered is None:
        return None
    # This may load a ring without the key, and the ring's keys also expire by the clock. In both
    # cases the signature proves nothing.
    current = cache.get_loaded_ring(may_wait=may_wait)
    is_same_memory = current.verified is loaded.verified
    if not is_same_memory or current.find_verification_key(remembered.kid, now) is None:
        return None
    return remembered


def _verify_signature(token: str, *, now: datetime, may_wait: bool) -> AccessToken:
    signed = signatures.verify(token, typ=TYPE, now=now, may_wait=may_wait)
    return read_claims(signed.payload, kid=signed.kid)
