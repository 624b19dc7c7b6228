"""No revocation of access tokens, for projects that accept that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from jwt_auth import flows
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from jwt_auth.models import RefreshTokenFamily, RevokedToken, TokenVersion
from tests.flows.scene import BROWSER, authenticate, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]


@pytest.fixture(autouse=True)
def _no_revocation(settings: Settings) -> None:
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"}


def test_access_token_outlives_logout_but_session_does_not(user: AbstractBaseUser) -> None:
    """The access token is valid until it expires; no refresh gives another one."""
    issued = log_in(user)
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
    assert refusal_of(issued) is None
    with pytest.raises(RefreshTokenRefused):
        refresh(issued)


def test_user_who_is_deleted_or_inactive_is_refused(user: AbstractBaseUser) -> None:
    """The user is loaded anyway, so this costs nothing."""
    issued = log_in(user)
    users = get_user_model()._default_manager
    users.update(is_active=False)
    assert refusal_of(issued) is Refusal.USER_INACTIVE
    users.all().delete()
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


def test_session_that_is_not_in_this_database_is_refused(user: AbstractBaseUser) -> None:
    """It was opened at another tenant, where another user has the same key."""
    issued = log_in(user)
    row_of(issued).delete()
    assert refusal_of(issued) is Refusal.SESSION_ENDED


def test_request_reads_the_user_and_the_key_of_the_session(
    user: AbstractBaseUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """One SELECT of the user's columns and one key: neither versions nor denials are read."""
    issued = log_in(user)
    with django_assert_num_queries(1) as captured:
        authenticate(issued)
    sql, model = captured.captured_queries[0]["sql"], get_user_model()
    columns, _, subquery = sql.partition(f" FROM {_quoted(model)} ")[0].partition("(SELECT ")
    assert columns.count(",") == len(model._meta.fields)
    assert f" FROM {_quoted(RefreshTokenFamily)} " in subquery
    assert sql.count("SELECT") == 2
    assert sql.count("JOIN") == len(model._meta.parents)
    assert _quoted(TokenVersion) not in sql
    assert _quoted(RevokedToken) not in sql


def _quoted(model: Any) -> str:
    return connection.ops.quote_name(model._meta.db_table)
