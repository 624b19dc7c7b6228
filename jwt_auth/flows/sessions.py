"""A session's life: opened by a log-in, kept by refreshes, listed for its user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NoReturn

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import QuerySet
from django.dispatch import Signal

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.exceptions import LogInRefused, RefreshSuperseded, RefreshTokenRefused
from jwt_auth.flows.ending import end_session
from jwt_auth.flows.issuing import Issued, issue_access_token
from jwt_auth.models import (
    USER_AGENT_LENGTH,
    Client,
    Reason,
    RefreshTokenFamily,
    has_version_field,
    token_version_of,
    write_database,
)
from jwt_auth.retries import retried
from jwt_auth.rotation import (
    Retried,
    Rotated,
    Verdict,
    begin_in_place,
    expiry,
    first_again,
    likely_mistake,
    newest_of,
    rotate,
)
from jwt_auth.tokens import refresh as refresh_tokens
from jwt_auth.tokens.access import IssuedAccessToken
from jwt_auth.tokens.refresh import RefreshToken
from jwt_auth.users import is_hidden, key_of

__all__ = ["Issued", "list_sessions", "log_in", "refresh"]

#: A lost race leaves a row that has moved on, so one more look decides; more would be a fault of
#: ours.
_LOOKS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """The newest token of the session in whose place another one is opened, and the key of the
    request that asks for it.
    """

    token: RefreshToken
    retry_key: str


def log_in(
    user: AbstractBaseUser, *, client: Client, now: datetime, former: Former | None = None
) -> Issued:
    """Open a session for a user whom somebody has authenticated.

    With ``former``, the session that a password change has ended, a lost answer can be had again
    (:func:`refresh`).

    Raises:
        LogInRefused: the user's password was changed since they were authenticated.
        TypeError: it is no user of ``AUTH_USER_MODEL``.
        ClaimsInvalid, KeyFailure: no access token can be issued; no session is left behind.
    """
    family = new_family(_read_again(user), client=client, now=now)
    if former is None:
        token = refresh_tokens.issue_first(family.pk)
    else:
        token = begin_in_place(family, former.token, retry_key=former.retry_key, now=now)
    family.current_digest = token.digest
    access_token = issue_access_token(family, now=now)
    database = write_database(RefreshTokenFamily)
    retried(lambda: family.save(force_insert=True, using=database), using=database)
    _announce(signals.session_opened, family, client=client)
    _end_oldest(family.user_id, client=client, now=now)
    return _issued(family, access_token, token, now=now)


def new_family(user: AbstractBaseUser, *, client: Client, now: datetime) -> RefreshTokenFamily:
    """A session of that user, not saved and without its first token."""
    absolute = now + conf.session_lifetime
    return RefreshTokenFamily(
        user=user,  # type: ignore[misc]  # the stubs know one project's user model only
        created_at=now,
        last_used_at=now,
        expires_at=expiry(absolute, now=now),
        absolute_expires_at=absolute,
        token_version=token_version_of(user),
        ip_address=client.ip_address,
        user_agent=client.user_agent[:USER_AGENT_LENGTH],
    )


def refresh(presented: str, *, retry_key: str | None, client: Client, now: datetime) -> Issued:
    """Exchange a refresh token for its successor (RFC 9700 §4.14.2), or for the first token of the
    session that a password change with this retry key has opened in the place of the token's own.

    Raises:
        RefreshTokenRefused: forged, unknown, expired, revoked or reused; a reuse has ended the
            family.
        RefreshSuperseded: an honest retry, too late to be answered; nothing has changed.
        ClaimsInvalid, KeyFailure: no access token can be issued; nothing has changed.
    """
    try:
        # A forged one ends here: no SQL, nobody's family touched.
        token = refresh_tokens.parse(presented)
    except RefreshTokenRefused:
        signals.refresh_token_forged.send_robust(sender=RefreshTokenFamily, client=client)
        raise
    for _ in range(_LOOKS):
        family = _load(token, client=client)
        if again := _after_password_change(family, token, retry_key, client=client, now=now):
            return again
        _require_live(family, token, client=client, now=now)
        # Before the rotation: what can't be issued must not cost the client its refresh token.
        access_token = issue_access_token(family, now=now)
        match rotate(family, token, retry_key=retry_key, client=client, now=now):
            case Rotated(successor=successor):
                _announce(signals.session_refreshed, family, client=client)
                return _issued(family, access_token, successor, now=now)
            case Retried(successor=successor):
                _announce(signals.refresh_retried, family, client=client, superseded=False)
                return _issued(family, access_token, successor, now=now)
            case Verdict.SUPERSEDED:
                _announce(signals.refresh_retried, family, client=client, superseded=True)
                raise RefreshSuperseded
            case Verdict.REUSED:
                hint = likely_mistake(family, token, retry_key=retry_key, client=client, now=now)
                _end_reused(family, token, client=client, now=now, hint=hint)
                raise RefreshTokenRefused(hint)
            case Verdict.IMPOSSIBLE:
                _refuse("impossible", token, client=client)
        # Verdict.LOST_RACE is left: somebody was faster, so read again what the row is now.
    _refuse("contended", token, client=client)


def list_sessions(user_id: Any, *, now: datetime) -> QuerySet[RefreshTokenFamily]:
    """The user's live sessions, the one used last first."""
    return (
        RefreshTokenFamily.objects.deciding()
        .filter(user_id=user_id)
        .live(now)
        .order_by("-last_used_at", "pk")
    )


def _read_again(user: AbstractBaseUser) -> AbstractBaseUser:
    """Read the user from the write database, where a change of the password is seen at once.

    Whoever authenticated them may have read a replica that lags, or just before the change. With a
    version of its own the row says so; else the password's hash does.
    """
    key, model = key_of(user), get_user_model()
    users = model._default_manager.using(write_database(model))
    if not has_version_field(model):
        # In one statement with the password: a change between two would give its own version away.
        users = users.select_related("jwt_auth_token_version")
    current = users.filter(pk=key).first()
    if current is None or not current.is_active:
        raise LogInRefused
    if has_version_field(model):
        changed = token_version_of(current) != token_version_of(user)
    else:
        changed = current.password != user.password
    if changed:
        raise LogInRefused
    return current


def find_former(
    token: RefreshToken, *, user_id: Any, retry_key: str, now: datetime
) -> Former | None:
    """What a password change needs of the session that it has ended, by a token of it; ``None`` if
    that isn't the newest one, nor one that was consumed for it with this key.
    """
    family = RefreshTokenFamily.objects.load(token.family_id)
    if family is None or family.user_id != user_id:
        return None
    newest = _newest_before_change(family, token, retry_key, now=now)
    return None if newest is None else Former(token=newest, retry_key=retry_key)


def _newest_before_change(
    family: RefreshTokenFamily, token: RefreshToken, retry_key: str | None, *, now: datetime
) -> RefreshToken | None:
    if retry_key is None or family.revocation_reason != Reason.PASSWORD_CHANGED:
        return None
    return newest_of(family, token, retry_key=retry_key, now=now)


def _after_password_change(
    family: RefreshTokenFamily,
    token: RefreshToken,
    retry_key: str | None,
    *,
    client: Client,
    now: datetime,
) -> Issued | None:
    """The lost answer of the password change that has ended the family."""
    newest = _newest_before_change(family, token, retry_key, now=now)
    if newest is None or retry_key is None:
        return None
    earliest = now - conf.refresh_retry_window
    opened = list_sessions(family.user_id, now=now).filter(created_at__gte=earliest)
    for session_id in opened.values_list("pk", flat=True):
        other = RefreshTokenFamily.objects.load(session_id)
        outcome = other and first_again(other, newest, retry_key=retry_key, now=now)
        if other is None or outcome is None:
            continue
        _require_live(other, token, client=client, now=now)
        _announce(
            signals.refresh_retried, other, client=client, superseded=outcome is Verdict.SUPERSEDED
        )
        if not isinstance(outcome, Retried):
            raise RefreshSuperseded
        return _issued(other, issue_access_token(other, now=now), outcome.successor, now=now)
    return None


def _load(token: RefreshToken, *, client: Client) -> RefreshTokenFamily:
    family = RefreshTokenFamily.objects.load(token.family_id)
    if family is None:
        _refuse("unknown", token, client=client)
    return family


def _require_live(
    family: RefreshTokenFamily, token: RefreshToken, *, client: Client, now: datetime
) -> None:
    if family.revoked_at is not None:
        _refuse("revoked", token, client=client)
    if not family.is_live(now):
        _refuse("expired", token, client=client)
    if not family.user.is_active:
        _refuse("user_inactive", token, client=client)
    if is_hidden(family.user_id):
        _refuse("user_hidden", token, client=client)
    if family.token_version != token_version_of(family.user):
        _refuse("token_version", token, client=client)


def _refuse(reason: str, token: RefreshToken, *, client: Client) -> NoReturn:
    signals.refresh_token_refused.send_robust(
        sender=RefreshTokenFamily, reason=reason, session_id=token.family_id, client=client
    )
    raise RefreshTokenRefused


def _end_reused(
    family: RefreshTokenFamily,
    token: RefreshToken,
    *,
    client: Client,
    now: datetime,
    hint: str | None,
) -> None:
    # Committed before the 401 is raised: whatever rolls the request back must not revive a stolen
    # session.
    end_session(family.pk, reason=Reason.REUSE_DETECTED, client=client, now=now)
    signals.reuse_detected.send_robust(
        sender=RefreshTokenFamily,
        family=family,
        generation=token.generation,
        client=client,
        hint=hint,
    )


def _end_oldest(user_id: Any, *, client: Client, now: datetime) -> None:
    """Keep to ``JWT_AUTH_MAX_SESSIONS_PER_USER`` by ending the sessions that were opened first."""
    limit = conf.max_sessions_per_user
    if limit is None:
        return
    live = RefreshTokenFamily.objects.deciding().filter(user_id=user_id).live(now)
    for session_id in live.order_by("-created_at", "pk").values_list("pk", flat=True)[limit:]:
        end_session(session_id, reason=Reason.SESSION_LIMIT, client=client, now=now)


def _announce(signal: Signal, family: RefreshTokenFamily, **named: Any) -> None:
    signal.send_robust(sender=RefreshTokenFamily, family=family, **named)


def _issued(
    family: RefreshTokenFamily,
    access_token: IssuedAccessToken,
    refresh_token: RefreshToken,
    *,
    now: datetime,
) -> Issued:
    return Issued(
        family=family,
        access_token=access_token,
        refresh_token=refresh_token,
        refresh_expires_in=int((family.expires_at - now).total_seconds()),
    )
