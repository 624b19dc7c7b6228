"""End sessions and deny access tokens: every revocation goes through here.

Each revocation is committed before the request is answered. The revocation backend is told before
and after the write to the database (:mod:`jwt_auth.revocation.revoking`). A session that has ended
can't be revived.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.exceptions import AccessTokenRefused, KeyFailure, RefreshTokenRefused
from jwt_auth.flows.presented import verify_refresh_token
from jwt_auth.models import Client, Reason, RefreshTokenFamily, RevokedToken, TokenVersion
from jwt_auth.retries import retried
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.revoking import write_revocation
from jwt_auth.tokens import access, refresh
from jwt_auth.tokens.claims import AccessToken

logger: Final = logging.getLogger("jwt_auth")


@sensitive_variables()
def log_out(
    *, refresh_tokens: Sequence[str], access_token: str | None, client: Client, now: datetime
) -> None:
    """End the session of each genuine token, and deny the access token itself.

    Any genuine refresh token of the family is enough, consumed or not, so that a logout wins every
    race with a refresh. A token that isn't genuine is skipped, and so is an access token while no
    key is available: logging out doesn't require a valid token.
    """
    # Refresh tokens are first because verifying them needs no key: their sessions end even while
    # the keys are unavailable.
    for refresh_token in refresh_tokens:
        try:
            session_id = verify_refresh_token(refresh_token, client=client).family_id
        except RefreshTokenRefused:
            continue
        end_session(session_id, reason=Reason.LOGOUT, client=client, now=now)
    if access_token is not None:
        try:
            token = access.verify(access_token, now=now)
        except AccessTokenRefused:
            return  # expired or not issued by us: there is nothing left to deny
        except KeyFailure as failure:
            logger.error("An access token can't be verified, nor its session ended: %s", failure)
            return
        _deny_presented(token, client=client, now=now)


def _deny_presented(token: AccessToken, *, client: Client, now: datetime) -> None:
    for owner_id in _owners_of(token):
        deny_token(token.jti, user_id=owner_id, expires_at=token.expires_at, now=now)
        end_session(token.session_id, reason=Reason.LOGOUT, client=client, now=now)


def _owners_of(token: AccessToken) -> list[Any]:
    """The user of the token's session, if there is one.

    A token without a session, as after the deletion of its user, is refused already.
    """
    sessions = RefreshTokenFamily.objects.deciding().filter(pk=token.session_id)
    return list(sessions.values_list("user_id", flat=True))


@sensitive_variables()
def revoke(text: str, *, client: Client, now: datetime) -> None:
    """End what a token gives access to (RFC 7009 §2.1). Any other text has no effect.

    A refresh token ends its session, an access token only itself.

    Raises:
        KeyFailure: the keys are not available, so an access token can't be verified, and the caller
            must not believe that it is revoked.
    """
    if "." not in text:  # an access token has two, a refresh token has none
        try:
            session_id = verify_refresh_token(text, client=client).family_id
        except RefreshTokenRefused:
            return
        end_session(session_id, reason=Reason.LOGOUT, client=client, now=now)
        return
    try:
        token = access.verify(text, now=now)
    except AccessTokenRefused:
        return
    for owner_id in _owners_of(token):
        deny_token(token.jti, user_id=owner_id, expires_at=token.expires_at, now=now)


def log_out_everywhere(user_id: Any, *, client: Client, now: datetime) -> None:
    end_user_sessions(user_id, reason=Reason.LOGOUT_ALL, client=client, now=now)


def is_of_another_user(refresh_token: str, user_id: Any) -> bool:
    """Whether this is a genuine refresh token of another user's live session."""
    try:
        session_id = refresh.parse(refresh_token).family_id
    except RefreshTokenRefused:
        return False
    live = RefreshTokenFamily.objects.deciding().filter(pk=session_id, revoked_at=None)
    return live.exclude(user_id=user_id).exists()


def end_session(
    session_id: UUID,
    *,
    reason: Reason,
    client: Client | None,
    now: datetime,
    user_id: Any | None = None,
) -> bool:
    """End one session and return whether it was live; ``user_id`` limits it to that user's."""
    sessions = RefreshTokenFamily.objects.deciding().filter(pk=session_id)
    if user_id is not None:
        sessions = sessions.filter(user_id=user_id)
    owner_id = sessions.filter(revoked_at=None).values_list("user_id", flat=True).first()
    if owner_id is None:
        return False
    ended = write_revocation(
        Denial(user_id=owner_id, session_ids=[session_id]),
        lambda: sessions.end(reason=reason, ip_address=_address(client), now=now),
        now=now,
    )
    if ended:
        _announce(owner_id, [session_id], reason=reason, client=client)
    return bool(ended)


def end_user_sessions(
    user_id: Any, *, reason: Reason, client: Client | None, now: datetime
) -> list[UUID]:
    """End all sessions of a user and refuse all their access tokens, in one transaction."""
    session_ids = _end_whole_user(user_id, reason=reason, client=client, now=now)
    _announce(user_id, session_ids, reason=reason, client=client)
    return session_ids


def end_sessions_opened_meanwhile(user_id: Any, *, reason: Reason, now: datetime) -> None:
    """End the sessions that were opened after :func:`end_user_sessions` and before the commit."""
    session_ids = _end_whole_user(user_id, reason=reason, client=None, now=now)
    if session_ids:
        _announce(user_id, session_ids, reason=reason, client=None)


def _end_whole_user(
    user_id: Any, *, reason: Reason, client: Client | None, now: datetime
) -> list[UUID]:
    sessions = RefreshTokenFamily.objects.deciding().filter(user_id=user_id, revoked_at=None)

    def end() -> list[UUID]:
        with transaction.atomic(using=sessions.db):
            TokenVersion.objects.bump(user_id)
            session_ids = list(sessions.values_list("pk", flat=True))
            sessions.end(reason=reason, ip_address=_address(client), now=now)
        return session_ids

    denial = Denial(user_id=user_id, whole_user=True)
    return write_revocation(denial, lambda: retried(end, using=sessions.db), now=now)


def end_deleted_user(user_id: Any) -> None:
    """Refuse all tokens of a user who is about to be deleted, and their sessions with them."""
    sessions = RefreshTokenFamily.objects.deciding().filter(user_id=user_id, revoked_at=None)
    session_ids = list(sessions.values_list("pk", flat=True))
    denial = Denial(user_id=user_id, whole_user=True, deletes_user=True)
    # The deletion itself ends the sessions: their rows go with the user's.
    write_revocation(denial, lambda: None, now=datetime.now(UTC))
    _announce(user_id, session_ids, reason=Reason.USER_DEACTIVATED, client=None)


def end_all_sessions(*, reason: Reason, client: Client | None, now: datetime) -> int:
    """End every session of every user; returns how many there were."""
    sessions, address = RefreshTokenFamily.objects, _address(client)
    ended = write_revocation(
        Denial(user_id=None),
        lambda: sessions.end(reason=reason, ip_address=address, now=now),
        now=now,
    )
    _announce(None, None, reason=reason, client=client)
    return ended


def revoke_access_tokens(user_id: Any, *, client: Client | None, now: datetime) -> int:
    """Refuse all access tokens of a user at once, and let their sessions go on; return how many.

    For a change of roles or claims that must not wait for the next refresh: each session can
    refresh immediately, and its next access token has the current ones. One-time tokens from before
    are refused, too. A login or a password change that is under way at this moment may have read
    the former version. Then its session can't be used, and the user has to log in again, after a
    password change with the new password.
    """
    sessions = RefreshTokenFamily.objects.deciding().filter(user_id=user_id)

    def move_on() -> int:
        with transaction.atomic(using=sessions.db):
            # First the version, as where all sessions of a user end: it locks the user, so that the
            # two come one after the other.
            TokenVersion.objects.bump(user_id)
            return sessions.move_to(TokenVersion.objects.current(user_id))

    denial = Denial(user_id=user_id, whole_user=True)
    moved = write_revocation(denial, lambda: retried(move_on, using=sessions.db), now=now)
    signals.access_tokens_revoked.send_robust(
        sender=RefreshTokenFamily, user_id=user_id, client=client
    )
    return moved


def deny_token(jti: str, *, user_id: Any | None, expires_at: datetime, now: datetime) -> None:
    """Refuse one access token until ``expires_at``, when it expires anyway."""
    denied = RevokedToken.objects
    write_revocation(
        Denial(user_id=user_id, jtis=[jti]),
        lambda: denied.deny(jti, user_id=user_id, expires_at=expires_at, now=now),
        now=now,
    )
    signals.token_denied.send_robust(sender=RevokedToken, jti=jti, user_id=user_id)


def _announce(
    user_id: Any, session_ids: list[UUID] | None, *, reason: Reason, client: Client | None
) -> None:
    signals.session_ended.send_robust(
        sender=RefreshTokenFamily,
        user_id=user_id,
        session_ids=session_ids,
        reason=reason,
        client=client,
    )


def _address(client: Client | None) -> str | None:
    return None if client is None else client.ip_address
