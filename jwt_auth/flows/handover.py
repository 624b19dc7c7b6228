"""The answer of a password change that was lost: a refresh with the change's key gets it again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.flows.opening import Former, list_sessions
from jwt_auth.flows.rotation import Retried, Verdict, first_again, newest_of
from jwt_auth.models import Reason, RefreshTokenFamily
from jwt_auth.tokens import refresh as refresh_tokens
from jwt_auth.tokens.refresh import RefreshToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The session that a password change has opened, and what a retry gets of it."""

    family: RefreshTokenFamily
    outcome: Retried | Verdict


def find_former(
    presented: str | None, *, user_id: Any, retry_key: str | None, now: datetime
) -> Former | None:
    """What a password change needs of the session that it has ended, by a token of it; ``None`` if
    that isn't the newest one, nor one that was consumed for it with this key.
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
    """What the password change with this key has opened in the place of ``family``, if one has."""
    if retry_key is None:
        return None
    newest = _newest_before_change(family, token, retry_key, now=now)
    if newest is None:
        return None
    earliest = now - conf.refresh_retry_window
    opened = list_sessions(family.user_id, now=now).filter(created_at__gte=earliest)
    ids = opened.values_list("pk", flat=True)
    for other in filter(None, map(RefreshTokenFamily.objects.load, ids)):
        outcome = first_again(other, newest, retry_key=retry_key, now=now)
        if outcome is not None:
            return Opened(family=other, outcome=outcome)
    return None


def _newest_before_change(
    family: RefreshTokenFamily, token: RefreshToken, retry_key: str, *, now: datetime
) -> RefreshToken | None:
    if family.revocation_reason != Reason.PASSWORD_CHANGED:
        return None
    return newest_of(family, token, retry_key=retry_key, now=now)
