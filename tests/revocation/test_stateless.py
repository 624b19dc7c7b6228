"""No revocation of access tokens, for those who accept that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]


@pytest.fixture(autouse=True)
def _no_revocation(settings: Settings) -> None:
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"}


def test_access_token_outlives_logout_but_session_does_not(user: AbstractBaseUser) -> None:
    """The access token lives to its end; no refresh gives another one."""
    issued = log_in(user)
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
    assert refusal_of(issued) is None
    with pytest.raises(RefreshTokenRefused):
        refresh(issued)


def test_user_who_is_gone_or_inactive_is_refused(user: AbstractBaseUser) -> None:
    """The user is loaded anyhow, so this costs nothing."""
    issued = log_in(user)
    users = get_user_model()._default_manager
    users.update(is_active=False)
    assert refusal_of(issued) is Refusal.USER_INACTIVE
    users.all().delete()
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


def test_session_that_is_not_in_this_database_is_refused(user: AbstractBaseUser) -> None:
    """It was opened at another tenant, for whoever has this key there."""
    issued = log_in(user)
    row_of(issued).delete()
    assert refusal_of(issued) is Refusal.SESSION_ENDED
