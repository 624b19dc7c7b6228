"""Login, the limit of sessions, and what becomes of a session whose claims can't be issued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import (
    ClaimsInvalid,
    LogInRefused,
)
from jwt_auth.flows.issuing import roles_of
from jwt_auth.models import Reason, RefreshTokenFamily, has_version_field
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


def broken_claims(user: Any) -> Any:
    """A project's callable that is broken."""
    return {"sub": "somebody else"}


def broken_roles(user: Any) -> Any:
    """Return a value that can't be a role."""
    return [1]


def role_in_a_string(user: Any) -> Any:
    """Return one role instead of a list, such as a column of the user model."""
    return "admin"


def list_of_claims(user: Any) -> Any:
    """Return a value that can't be claims."""
    return ["tenant"]


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("JWT_AUTH_CLAIMS", "broken_claims"),
        ("JWT_AUTH_CLAIMS", "list_of_claims"),
        ("JWT_AUTH_ROLES", "broken_roles"),
        ("JWT_AUTH_ROLES", "role_in_a_string"),
    ],
)
def test_claims_that_cannot_be_issued_cost_nothing(
    user: AbstractBaseUser, settings: Settings, setting: str, name: str
) -> None:
    """A broken callable leaves no session behind and consumes no refresh token."""
    issued = log_in(user)
    good = getattr(settings, setting, None)
    setattr(settings, setting, f"tests.flows.test_opening.{name}")
    with pytest.raises(ClaimsInvalid):
        log_in(user)
    with pytest.raises(ClaimsInvalid):
        refresh(issued)
    assert RefreshTokenFamily.objects.count() == 1
    setattr(settings, setting, good)
    refresh(issued)


@pytest.mark.parametrize("is_same", [True, False])
def test_log_in_goes_on_where_the_stored_hash_is_of_the_same_password(
    user: AbstractBaseUser, password: str, is_same: bool
) -> None:
    """Another login may have replaced the hash since. A hash of another password is refused.

    If the user model has a version field, the version decides instead.
    """
    stored = make_password(password if is_same else "another horse")
    get_user_model()._default_manager.filter(pk=user.pk).update(password=stored)
    try:
        flows.log_in(user, client=BROWSER, now=datetime.now(UTC), password=password)
    except LogInRefused:
        assert not is_same
    else:
        assert is_same or has_version_field(type(user))


def test_limit_ends_oldest_sessions(
    user: AbstractBaseUser, make_user: MakeUser, settings: Settings
) -> None:
    """The newest sessions stay, the reason says why, and other users' sessions don't count."""
    now, other = datetime.now(UTC), log_in(make_user("bob"))
    sessions = [log_in(user, now=now + timedelta(seconds=n)) for n in range(3)]
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = 2
    sessions.append(log_in(user, now=now + timedelta(seconds=3)))
    reasons = [row_of(session).revocation_reason for session in sessions]
    assert reasons == [Reason.SESSION_LIMIT, Reason.SESSION_LIMIT, "", ""]
    assert refusal_of(other) is None


def test_sessions_that_are_over_do_not_count_for_the_limit(
    user: AbstractBaseUser, settings: Settings
) -> None:
    """Neither ended nor expired sessions count."""
    now = datetime.now(UTC)
    oldest, ended, expired = (log_in(user, now=now + timedelta(seconds=n)) for n in range(3))
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = 2
    flows.end_session(ended.family.pk, reason=Reason.LOGOUT, client=None, now=now)
    RefreshTokenFamily.objects.filter(pk=expired.family.pk).update(expires_at=now)
    log_in(user, now=now + timedelta(seconds=3))
    assert row_of(oldest).revoked_at is None


@pytest.mark.parametrize("limit", [1, 2])
def test_limit_keeps_the_session_that_was_just_opened(
    user: AbstractBaseUser, settings: Settings, limit: int
) -> None:
    """The new session stays, whatever its node's clock says. The others end by their age."""
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = limit
    now = datetime.now(UTC)
    sessions = [log_in(user, now=now + timedelta(seconds=n)) for n in range(limit)]
    sessions.append(log_in(user, now=now - timedelta(milliseconds=300)))
    reasons = [row_of(session).revocation_reason for session in sessions]
    assert reasons == [Reason.SESSION_LIMIT, *[""] * limit]


def test_user_of_a_model_without_groups_has_no_roles(
    make_user: MakeUser, settings: Settings
) -> None:
    """A user without groups: the claim is there, and empty."""
    settings.JWT_AUTH_ROLES = None
    assert roles_of(make_user()) == []
