"""A user's access tokens are refused, and the sessions go on: no race ends or revives one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate as find_user
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, transaction

from jwt_auth import flows
from jwt_auth.exceptions import LogInRefused, RefreshTokenRefused, Refusal
from jwt_auth.models import Reason, RefreshTokenFamily, TokenVersion
from tests.conftest import GiveRoles, MakeUser
from tests.flows.scene import BROWSER, authenticate, log_in, refresh, refusal_of, row_of
from tests.flows.test_races import before_statement, change_password, is_dead

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]


def revoke(user: AbstractBaseUser) -> int:
    """Revoke the user's access tokens, now."""
    return flows.revoke_access_tokens(user.pk, client=BROWSER, now=datetime.now(UTC))


def read_again(user: AbstractBaseUser) -> Any:
    """Read the user as another request would."""
    return get_user_model()._default_manager.get(pk=user.pk)


def test_next_token_has_the_present_roles(user: AbstractBaseUser, give_roles: GiveRoles) -> None:
    """No token with the former roles is accepted any more."""
    issued = log_in(user)
    give_roles(user, "auditor")
    assert revoke(user) == 1
    assert refusal_of(issued) is Refusal.TOKEN_VERSION
    assert authenticate(refresh(issued))[1].roles == ("auditor",)


def test_sessions_stay_as_they_are(user: AbstractBaseUser) -> None:
    """Nothing but the version changes: no refresh token, no time, no claim."""
    issued = log_in(user)
    before = RefreshTokenFamily.objects.filter(pk=issued.family.pk).values().get()
    revoke(user)
    after = RefreshTokenFamily.objects.filter(pk=issued.family.pk).values().get()
    assert after == before | {"token_version": before["token_version"] + 1}


def test_other_users_keep_their_tokens(user: AbstractBaseUser, make_user: MakeUser) -> None:
    """And their versions."""
    other = log_in(make_user("bob"))
    revoke(user)
    assert refusal_of(other) is None
    assert refusal_of(refresh(other)) is None


def test_retry_of_a_lost_refresh_is_answered_with_the_new_version(user: AbstractBaseUser) -> None:
    """The client gets the same refresh token again, and an access token that is accepted."""
    issued = log_in(user)
    lost = refresh(issued, key="a key")
    revoke(user)
    retried = refresh(issued, key="a key")
    assert retried.refresh_token == lost.refresh_token
    assert (refusal_of(lost), refusal_of(retried)) == (Refusal.TOKEN_VERSION, None)


def test_session_that_has_ended_stays_ended(user: AbstractBaseUser) -> None:
    """Its row isn't touched."""
    ended, now = log_in(user), datetime.now(UTC)
    flows.end_session(ended.family.pk, reason=Reason.LOGOUT, client=BROWSER, now=now)
    assert revoke(user) == 0
    assert row_of(ended).token_version == ended.family.token_version
    assert is_dead(ended)


def test_session_of_a_former_version_stays_dead(user: AbstractBaseUser) -> None:
    """As one that was opened with the old password while that was changed: no row says it ended."""
    dead = log_in(user)
    TokenVersion.objects.bump(user.pk)
    live = log_in(read_again(user))
    for _ in range(3):
        assert revoke(user) == 1
        assert is_dead(dead)
        live = refresh(live)
        assert refusal_of(live) is None


def test_failure_changes_neither_version_nor_session(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version without its sessions would end them all."""
    issued = log_in(user)

    def fail(*args: object) -> None:
        raise DatabaseError

    monkeypatch.setattr(type(RefreshTokenFamily.objects.all()), "move_to", fail)
    with pytest.raises(DatabaseError):
        revoke(user)
    assert refusal_of(refresh(issued)) is None


def test_rollback_undoes_all_of_it(user: AbstractBaseUser) -> None:
    """In the caller's transaction, as with a change of groups, both happen or neither."""
    issued = log_in(user)
    with transaction.atomic():
        revoke(user)
        transaction.set_rollback(True)
    assert refusal_of(issued) is None
    assert refusal_of(refresh(issued)) is None


# ---- Races: another event before each statement


@pytest.mark.parametrize("statement", range(3))
def test_refresh_under_way_loses_no_session(user: AbstractBaseUser, statement: int) -> None:
    """Its access token may be one of the former version. The next refresh gives a valid one."""
    issued, former = log_in(user), log_in(user)
    with before_statement(statement, lambda: revoke(user)):
        refreshed = refresh(issued)
    if statement < 2:  # a refresh has two
        assert refusal_of(former) is Refusal.TOKEN_VERSION
    assert refusal_of(refresh(refreshed)) is None
    assert row_of(issued).revoked_at is None


@pytest.mark.parametrize("statement", range(5))
def test_login_under_way_gets_no_token_of_the_former_version(
    user: AbstractBaseUser, password: str, statement: int
) -> None:
    """It is refused, or its session is dead, or it is of the new version: never something between.

    The user may have to log in again, as documented.
    """
    authenticated: Any = find_user(username=user.get_username(), password=password)
    with before_statement(statement, lambda: revoke(user)):
        try:
            issued = log_in(authenticated)
        except LogInRefused:
            return
    version = TokenVersion.objects.current(user.pk)
    if row_of(issued).token_version == version:
        assert refusal_of(issued) is None
        assert refusal_of(refresh(issued)) is None
    else:
        assert is_dead(issued)
        revoke(user)
        assert is_dead(issued)


@pytest.mark.parametrize("statement", range(16))
def test_password_change_under_way_still_ends_every_session(
    user: AbstractBaseUser, statement: int
) -> None:
    """Wherever the new version comes between its statements."""
    sessions = [log_in(user), log_in(user)]
    with before_statement(statement, lambda: revoke(user)):
        change_password(user)
    revoke(user)
    assert all(map(is_dead, sessions))


@pytest.mark.parametrize("statement", range(20))
def test_password_change_under_way_keeps_the_new_password(
    user: AbstractBaseUser, password: str, statement: int
) -> None:
    """Its session may be dead, or not opened; then the user has to log in again, as documented."""
    former, new = log_in(user), "a quite different horse"
    issued: Any = None
    with before_statement(statement, lambda: revoke(user)), suppress(LogInRefused):
        issued = flows.change_password(
            read_again(user),
            old_password=password,
            new_password=new,
            client=BROWSER,
            now=datetime.now(UTC),
        )
    assert read_again(user).check_password(new)
    assert is_dead(former)
    if issued is not None and row_of(issued).token_version == TokenVersion.objects.current(user.pk):
        assert refusal_of(issued) is None
        assert refusal_of(refresh(issued)) is None
    elif issued is not None:
        assert is_dead(issued)
    assert refusal_of(log_in(read_again(user))) is None


def test_expired_session_stays_expired(user: AbstractBaseUser) -> None:
    """It has another version afterwards, and no more time than before."""
    expired = log_in(user, now=datetime.now(UTC) - timedelta(days=8))
    revoke(user)
    with pytest.raises(RefreshTokenRefused):
        refresh(expired)
    assert row_of(expired).expires_at == expired.family.expires_at
