"""Sessions are opened by a log-in, and listed for their user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.db import transaction
from django.db.models import QuerySet
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.exceptions import LogInRefused
from jwt_auth.flows.ending import end_session
from jwt_auth.flows.issuing import Issued, issue_access_token, pair
from jwt_auth.flows.rotation import begin_in_place, expiry
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
from jwt_auth.tokens import refresh as refresh_tokens
from jwt_auth.tokens.refresh import RefreshToken
from jwt_auth.users import key_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """The newest token of the session in whose place another one is opened, and the key of the
    request that asks for it.
    """

    token: RefreshToken
    retry_key: str


@sensitive_variables()
def log_in(
    user: AbstractBaseUser,
    *,
    client: Client,
    now: datetime,
    password: str | None = None,
    former: Former | None = None,
) -> Issued:
    """Open a session for a user whom somebody has authenticated, with ``password`` where it was by
    that.

    With ``former``, the session that a password change has ended, a lost answer can be had again
    (:mod:`jwt_auth.flows.handover`).

    Raises:
        LogInRefused: the user's password was changed since they were authenticated.
        TypeError: it is no user of ``AUTH_USER_MODEL``.
        ClaimsInvalid, KeyFailure: no access token can be issued; no session is left behind.
    """
    family = new_family(_read_again(user, password=password), client=client, now=now)
    if former is None:
        token = refresh_tokens.issue_first(family.pk)
    else:
        token = begin_in_place(family, former.token, retry_key=former.retry_key, now=now)
    family.current_digest = token.digest
    access_token = issue_access_token(family, now=now)
    surplus = retried(lambda: _open(family, now=now), using=write_database(RefreshTokenFamily))
    signals.session_opened.send_robust(sender=RefreshTokenFamily, family=family, client=client)
    for session_id in surplus:
        end_session(session_id, reason=Reason.SESSION_LIMIT, client=client, now=now)
    return pair(family, access_token, token, now=now)


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


def list_sessions(user_id: Any, *, now: datetime) -> QuerySet[RefreshTokenFamily]:
    """The user's live sessions, the one used last first."""
    return (
        RefreshTokenFamily.objects.deciding()
        .filter(user_id=user_id)
        .live(now)
        .order_by("-last_used_at", "pk")
    )


def _read_again(user: AbstractBaseUser, *, password: str | None) -> AbstractBaseUser:
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
        # Another log-in may have hashed the same password anew.
        if changed and password is not None:
            changed = not check_password(password, current.password)
    if changed:
        raise LogInRefused
    return current


def _open(family: RefreshTokenFamily, *, now: datetime) -> list[UUID]:
    """Save the session; gives those that are too many with it, by
    ``JWT_AUTH_MAX_SESSIONS_PER_USER``: the others of the user that were opened first.

    By its own time a session that was just opened may be the oldest: the clocks of nodes differ.
    """
    limit, database = conf.max_sessions_per_user, write_database(RefreshTokenFamily)
    if limit is None:
        family.save(force_insert=True, using=database)
        return []
    users = get_user_model()._base_manager.using(database)
    sessions = RefreshTokenFamily.objects.using(database).filter(user_id=family.user_id)
    with transaction.atomic(using=database):
        # One log-in of the user after the other: two at once would each end the other's session.
        users.select_for_update().filter(pk=family.user_id).first()
        family.save(force_insert=True, using=database)
        others = sessions.live(now).exclude(pk=family.pk).order_by("-created_at", "pk")
        return list(others.values_list("pk", flat=True)[limit - 1 :])
