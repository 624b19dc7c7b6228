"""JWTAuthentication in a project's own views."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from jwt_auth import flows
from jwt_auth.authentication import JWTAuthentication
from jwt_auth.models import Client
from jwt_auth.tokens.claims import AccessToken

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

NOBODY = Client(ip_address=None, user_agent="")


@pytest.fixture
def token(user: AbstractBaseUser) -> str:
    """Alice's access token."""
    return flows.log_in(user, client=NOBODY, now=datetime.now(UTC)).access_token.text


def _request(header: str | None, path: str = "/", **extra: Any) -> Request:
    headers = {} if header is None else {"Authorization": header}
    return Request(APIRequestFactory().get(path, headers=headers, **extra))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_good_token_gives_user_and_token(scheme: str, token: str, user: AbstractBaseUser) -> None:
    """The scheme's case doesn't matter (RFC 9110 §11.1), nor do spaces before the token."""
    pair = JWTAuthentication().authenticate(_request(f"{scheme}  {token} "))
    assert pair is not None
    assert pair[0] == user
    assert isinstance(pair[1], AccessToken)
    assert pair[1].subject == str(user.pk)


@pytest.mark.parametrize("header", [None, "", "Basic eDp5", "Token x", "Bearerx", "Bearer\tx"])
def test_other_credentials_are_left_to_others(header: str | None) -> None:
    """None lets REST framework ask the next class."""
    assert JWTAuthentication().authenticate(_request(header)) is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a b",
        "Bearer a,b",
        "Bearer {0} {0}",
        "Bearer {0},{0}",
        "Bearer {0}, Bearer {0}",
        "Bearer \xff",
        "Bearer {0}\xa0",
        "Bearer \t{0}",
        "Bearer " + "x" * 9000,
    ],
)
def test_bad_bearer_token_is_refused(header: str, token: str) -> None:
    """One token, and a good one, or an exception: never the next class, never anonymous."""
    with pytest.raises(AuthenticationFailed) as raised:
        JWTAuthentication().authenticate(_request(header.format(token)))
    assert raised.value.detail == "The access token is invalid, expired or revoked."
    assert raised.value.get_codes() == "invalid_token"
    assert raised.value.__cause__ is None
    assert token not in str(raised.value)


def test_request_of_no_view_is_authenticated_by_its_cookie(
    token: str, user: AbstractBaseUser, settings: Settings
) -> None:
    """Where a project calls the class itself there are no headers to write into."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "access"
    pair = JWTAuthentication().authenticate(_request(None, HTTP_COOKIE=f"access={token}"))
    assert pair is not None
    assert pair[0] == user
