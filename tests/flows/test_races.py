"""Races: each flow is run with another event before each of its statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth import flows
from jwt_auth.exceptions import LogInRefused, OldPasswordRefused, RefreshTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.models import Reason
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]


class NewerHasher(MD5PasswordHasher):
    """The hasher of the project's new version."""

    algorithm = "newer"


_NEWER = f"{__name__}.NewerHasher"


@contextmanager
def before_statement(number: int, happen: Callable[[], object]) -> Iterator[None]:
    seen = 0

    def count(execute: Any, *args: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number + 1:
            happen()
        return execute(*args)

    with connection.execute_wrapper(count):
        yield


def change_password(user: AbstractBaseUser) -> None:
    elsewhere = get_user_model()._default_manager.get(pk=user.pk)
    elsewhere.set_password("another horse")
    elsewhere.save()


def is_dead(issued: Issued) -> bool:
    try:
        refresh(issued)
    except RefreshTokenRefused:
        return refusal_of(issued) is not None
    return False


@pytest.mark.parametrize("statement", range(4))
def test_login_racing_with_password_change_leaves_no_session(
    user: AbstractBaseUser, password: str, statement: int
) -> None:
    """A login with the old password leaves no live session, wherever the change comes."""
    authenticated = authenticate(username=user.get_username(), password=password)
    assert authenticated is not None
    issued = None
    with before_statement(statement, lambda: change_password(user)):
        try:
            issued = log_in(authenticated)
        except LogInRefused:
            return
    # Some user models need fewer statements. Then there was no event in between.
    unchanged = get_user_model()._default_manager.get(pk=user.pk).check_password(password)
    assert unchanged or is_dead(issued)


@pytest.mark.parametrize("statement", range(10))
def test_log_ins_that_hash_the_password_anew_at_once_all_succeed(
    user: AbstractBaseUser, password: str, statement: int, settings: Settings
) -> None:
    """With a new hasher, each login saves a new hash of the same password.

    That isn't a change of the password: no login is refused and no session ends.
    """
    credentials = {"username": user.get_username(), "password": password}
    settings.PASSWORD_HASHERS = [_NEWER, *settings.PASSWORD_HASHERS]
    answers: list[Any] = []

    def post() -> None:
        answers.append(APIClient().post("/api/auth/login/", credentials, secure=True))

    with before_statement(statement, post):
        post()
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert {refusal_of(answer.json()["access_token"]) for answer in answers} == {None}


@pytest.mark.parametrize("statement", range(10))
def test_log_in_that_hashes_the_password_anew_is_refused_once_it_has_changed(
    user: AbstractBaseUser, password: str, statement: int, settings: Settings
) -> None:
    """The stored hash is of another password, not a new hash of the same one."""
    settings.PASSWORD_HASHERS = [_NEWER, *settings.PASSWORD_HASHERS]
    with before_statement(statement, lambda: change_password(user)):
        authenticated: Any = authenticate(username=user.get_username(), password=password)
        if authenticated is None:
            return
        try:
            issued = flows.log_in(
                authenticated, client=BROWSER, now=datetime.now(UTC), password=password
            )
        except LogInRefused:
            return
    unchanged = get_user_model()._default_manager.get(pk=user.pk).check_password(password)
    assert unchanged or is_dead(issued)


@pytest.mark.parametrize("statement", range(2))
def test_refresh_racing_with_end_leaves_no_session(user: AbstractBaseUser, statement: int) -> None:
    """Wherever the session ends, the refresh is refused or its tokens are invalid."""
    issued = log_in(user)
    token, now = issued.refresh_token.text, datetime.now(UTC)

    def log_out() -> None:
        flows.log_out(refresh_tokens=[token], access_token=None, client=BROWSER, now=now)

    with before_statement(statement, log_out), pytest.raises(RefreshTokenRefused):
        refresh(issued)
    assert row_of(issued).revocation_reason == Reason.LOGOUT


@pytest.mark.parametrize("statement", range(2))
def test_refresh_racing_with_password_change_leaves_no_session(
    user: AbstractBaseUser, statement: int
) -> None:
    """A refresh that has read the row before the change can't keep the session alive."""
    issued = log_in(user)
    with (
        before_statement(statement, lambda: change_password(user)),
        pytest.raises(RefreshTokenRefused),
    ):
        refresh(issued)
    assert is_dead(issued)


@pytest.mark.parametrize("statement", range(15))
def test_password_change_racing_with_another_leaves_the_later_ones_session_only(
    user: AbstractBaseUser, password: str, statement: int
) -> None:
    """If two clients both know the old password, the one whose change was overwritten is out."""
    issued = None
    with before_statement(statement, lambda: change_password(user)):
        try:
            issued = flows.change_password(
                get_user_model()._default_manager.get(pk=user.pk),
                old_password=password,
                new_password="a third staple",
                client=BROWSER,
                now=datetime.now(UTC),
            )
        except (OldPasswordRefused, LogInRefused):
            return
    # Otherwise theirs is the later change, or everything was done before the other one began.
    mine = get_user_model()._default_manager.get(pk=user.pk).check_password("a third staple")
    assert mine or is_dead(issued)


def test_user_changed_since_authentication_is_refused(user: AbstractBaseUser) -> None:
    """A user who has been deleted, deactivated or given another password is not logged in."""
    change_password(user)
    with pytest.raises(LogInRefused):
        log_in(user)
    fresh = get_user_model()._default_manager.get(pk=user.pk)
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    with pytest.raises(LogInRefused):
        log_in(fresh)
    get_user_model()._default_manager.filter(pk=user.pk).delete()
    with pytest.raises(LogInRefused):
        log_in(fresh)
