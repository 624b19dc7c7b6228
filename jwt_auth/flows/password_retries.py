"""Give the answer of a password change again if it was lost.

A password change ends the client's session and opens another one in its place. If the response is
lost, the client still has the refresh token of the former session. It sends a refresh with the key
of the change, and gets the first token of the new session again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.flows.listing import list_sessions
from jwt_auth.flows.rotation import NONCE_BYTES, Retried, Verdict, age_of, digest_of, newest_of
from jwt_auth.models import Reason, RefreshTokenFamily
from jwt_auth.tokens import refresh as refresh_tokens
from jwt_auth.tokens.refresh import RefreshToken

#: The generation that a password change consumes: the first token of a family has generation 1.
_BEFORE_FIRST: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """The newest token of the session that a password change has ended, and the key of the request
    that changed the password.
    """

    token: RefreshToken
    retry_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The session that a password change has opened, and what a retry gets from it."""

    family: RefreshTokenFamily
    outcome: Retried | Verdict


def find_former(
    presented: str | None, *, user_id: Any, retry_key: str | None, now: datetime
) -> Former | None:
    """Find the session that a password change of ``user_id`` has just ended, by one of its tokens.

    Returns ``None`` unless that token is the newest of the session, or was consumed by a request
    with this key, which may be retried.
    """
    if presented is None or retry_key is None:
        return None
    try:
        token = refresh_tokens.parse(presented)
    except RefreshTokenRefused:
        return None
    family = RefreshTokenFamily.objects.load(token.family_id)
    if family is None or family.user_id != user_id:
        return None
    newest = _newest_before_change(family, token, retry_key, now=now)
    return None if newest is None else Former(token=newest, retry_key=retry_key)


def find_opened(
    family: RefreshTokenFamily, token: RefreshToken, *, retry_key: str | None, now: datetime
) -> Opened | None:
    """Find the session that the password change with this key has opened in place of ``family``."""
    if retry_key is None:
        return None
    newest = _newest_before_change(family, token, retry_key, now=now)
    if newest is None:
        return None
    earliest = now - conf.refresh_retry_window
    opened = list_sessions(family.user_id, now=now).filter(created_at__gte=earliest)
    ids = opened.values_list("pk", flat=True)
    for other in filter(None, map(RefreshTokenFamily.objects.load, ids)):
        outcome = _first_again(other, newest, retry_key=retry_key, now=now)
        if outcome is not None:
            return Opened(family=other, outcome=outcome)
    return None


def _newest_before_change(
    family: RefreshTokenFamily, token: RefreshToken, retry_key: str, *, now: datetime
) -> RefreshToken | None:
    if family.revocation_reason != Reason.PASSWORD_CHANGED:
        return None
    return newest_of(family, token, retry_key=retry_key, now=now)


def begin_in_place_of(former: Former, family: RefreshTokenFamily, *, now: datetime) -> RefreshToken:
    """Give a new family a first token that :func:`find_opened` can derive again."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    family.rotation_nonce = nonce.hex()
    mark = _mark(former.token, former.retry_key)
    family.recent_rotations = [[_BEFORE_FIRST, mark, now.timestamp()]]
    return next(former.token.firsts(family.pk, nonce))


def _first_again(
    family: RefreshTokenFamily, former: RefreshToken, *, retry_key: str, now: datetime
) -> Retried | Verdict | None:
    """Say what a retry gets from a family that may have begun in place of the family of ``former``.

    Returns ``None`` if this family did not begin that way, by a request with this key and within
    the retry window.
    """
    mark = _mark(former, retry_key)
    if not any(
        (consumed, digest) == (_BEFORE_FIRST, mark)
        and age_of(seconds, now=now) <= conf.refresh_retry_window
        for consumed, digest, seconds, *_ in family.recent_rotations
    ):
        return None
    for first in former.firsts(family.pk, bytes.fromhex(family.rotation_nonce)):
        if first.digest == family.current_digest:
            return Retried(successor=first)
    return Verdict.SUPERSEDED


def _mark(former: RefreshToken, retry_key: str) -> str:
    return digest_of(f"{former.family_id} {retry_key}")
