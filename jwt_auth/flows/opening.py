"""Open a session: every login ends up here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import check_password
from django.db import transaction
from django.views.decorators.debug import sensitive_variables

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.exceptions import LogInRefused
from jwt_auth.flows.ending import end_session
from jwt_auth.flows.issuing import Issued, issue_access_token
from jwt_auth.flows.lifetimes import Lifetimes, lifetimes_for
from jwt_auth.flows.password_retries import Former, begin_in_place_of
from jwt_auth.flows.rotation import expiry
from jwt_auth.flows.session_claims import storable_claims
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
from jwt_auth.users import key_of


@sensitive_variables()
def log_in(
    user: AbstractBaseUser,
    *,
    client: Client,
    now: datetime,
    password: str | None = None,
    remember_me: bool = False,
    claims: Mapping[str, Any] | None = None,
) -> Issued:
    """Open a session for a user who has been authenticated.

    Pass the ``password`` if the user was authenticated with it. ``remember_me`` is for the callable
    of ``JWT_AUTH_SESSION_LIFETIMES``. Each access token of the session has the ``claims``: the
    project's own, such as a tenant, and ``amr`` and ``auth_time``, which say how and when (seconds
    since the epoch) the user was authenticated. Without them, ``amr`` is ``["pwd"]`` if there is a
    password, and ``auth_time`` is ``now``.

    Raises:
        LogInRefused: the user's password was changed after they were authenticated.
        TypeError: ``user`` is not an instance of ``AUTH_USER_MODEL``.
        LifetimesInvalid: as :func:`~jwt_auth.flows.lifetimes.lifetimes_for`; no session is opened.
        ClaimsInvalid, KeyFailure: no access token can be issued; no session is left behind.
    """
    stored = storable_claims(
        claims, with_password=password is not None, user_id=key_of(user), now=now
    )
    return open_family(
        user,
        client=client,
        now=now,
        password=password,
        claims=stored,
        remember_me=remember_me,
    )


@sensitive_variables()
def open_family(
    user: AbstractBaseUser,
    *,
    client: Client,
    now: datetime,
    password: str | None,
    claims: dict[str, Any],
    remember_me: bool = False,
    lifetimes: Lifetimes | None = None,
    former: Former | None = None,
) -> Issued:
    """Open a session with claims that :func:`storable_claims` has returned.

    With ``lifetimes``, the project's callable isn't asked. With ``former``, the session that a
    password change has ended, a lost answer can be given again
    (:mod:`jwt_auth.flows.password_retries`).
    """
    current = _read_again(user, password=password)
    if lifetimes is None:
        lifetimes = lifetimes_for(current, remember_me=remember_me, client=client)
    family = new_family(current, lifetimes=lifetimes, client=client, now=now, claims=claims)
    if former is None:
        token = refresh_tokens.issue_first(family.pk)
    else:
        token = begin_in_place_of(former, family, now=now)
    family.current_digest = token.digest
    access_token = issue_access_token(family, now=now)
    surplus = retried(lambda: _open(family, now=now), using=write_database(RefreshTokenFamily))
    signals.session_opened.send_robust(sender=RefreshTokenFamily, family=family, client=client)
    for session_id in surplus:
        end_session(session_id, reason=Reason.SESSION_LIMIT, client=client, now=now)
    return Issued.of(family, access_token, token, now=now)


def new_family(
    user: AbstractBaseUser,
    *,
    lifetimes: Lifetimes,
    client: Client,
    now: datetime,
    claims: dict[str, Any],
) -> RefreshTokenFamily:
    """Make a session of that user. It isn't saved, and has no first token yet."""
    family = RefreshTokenFamily(
        user=user,  # type: ignore[misc]  # the stubs know one project's user model only
        created_at=now,
        last_used_at=now,
        absolute_expires_at=now + lifetimes.session,
        refresh_lifetime=lifetimes.refresh_token,
        token_version=token_version_of(user),
        claims=claims,
        ip_address=client.ip_address,
        user_agent=client.user_agent[:USER_AGENT_LENGTH],
    )
    family.expires_at = expiry(family, now=now)
    return family


def _read_again(user: AbstractBaseUser, *, password: str | None) -> AbstractBaseUser:
    """Read the user from the write database, which shows a change of the password immediately.

    The code that authenticated the user may have read a replica that lags behind, or may have read
    just before the change. If the user model has a version field, a different version shows the
    change; otherwise, a different password hash does.
    """
    key, model = key_of(user), get_user_model()
    users = model._default_manager.using(write_database(model))
    if not has_version_field(model):
        # One statement reads the password and the version. Between two statements, a change could
        # be committed, and its new version would be given to a session of the old password.
        users = users.select_related("jwt_auth_token_version")
    current = users.filter(pk=key).first()
    if current is None or not current.is_active:
        raise LogInRefused
    if has_version_field(model):
        changed = token_version_of(current) != token_version_of(user)
    else:
        changed = current.password != user.password
        # Another login may have replaced an outdated hash of the same password.
        if changed and password is not None:
            changed = not check_password(password, current.password)
    if changed:
        raise LogInRefused
    return current


def _open(family: RefreshTokenFamily, *, now: datetime) -> list[UUID]:
    """Save the session, and list the sessions that exceed ``JWT_AUTH_MAX_SESSIONS_PER_USER``.

    These are the user's other sessions that were opened first. The new session is never one of
    them: the clocks of two nodes differ, so its time of creation may be the earliest of all.
    """
    limit, database = conf.max_sessions_per_user, write_database(RefreshTokenFamily)
    if limit is None:
        family.save(force_insert=True, using=database)
        return []
    users = get_user_model()._base_manager.using(database)
    sessions = RefreshTokenFamily.objects.using(database).filter(user_id=family.user_id)
    with transaction.atomic(using=database):
        # The lock lets the logins of a user in one after the other. Two at the same time would each
        # end the other's session.
        users.select_for_update().filter(pk=family.user_id).first()
        family.save(force_insert=True, using=database)
        others = sessions.live(now).exclude(pk=family.pk).order_by("-created_at", "pk")
        return list(others.values_list("pk", flat=True)[limit - 1 :])
