"""Whichever exception handler a project has, a refusal is one error."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from jwt_auth.authentication import JWTAuthentication
from jwt_auth.http.api_exceptions import CHALLENGE, INVALID_TOKEN_CHALLENGE
from jwt_auth.permissions import requires_role
from tests.http.site import Session
from tests.neighbours.packages import optional

pytestmark = pytest.mark.smoke

HANDLERS = {
    "drf-standardized-errors": "drf_standardized_errors.handler.exception_handler",
    "REST framework": "rest_framework.views.exception_handler",
    "ours": "jwt_auth.http.exception_handler.exception_handler",
}


@pytest.fixture(params=HANDLERS)
def handler(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The handler that the settings name."""
    name: str = request.param
    if name == "drf-standardized-errors":
        optional("drf_standardized_errors")
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "EXCEPTION_HANDLER": HANDLERS[name]}
    return name


class View(APIView):
    """A view of the project's."""

    authentication_classes = [JWTAuthentication]

    def get(self, request: Any) -> Response:
        """Look at the user, who is read now at the latest."""
        return Response(request.user.get_username())

    post = get


class ForRoles(View):
    """For those with a role."""

    permission_classes = [requires_role("admin")]


def _answer(method: str = "get", **headers: str) -> Any:
    request = APIRequestFactory(enforce_csrf_checks=True).generic(
        method, "/", headers=headers, secure=True
    )
    view: Any = ForRoles if headers.pop("X-Role", None) else View
    return view.as_view()(request)


def _assert_one(answer: Any, handler: str, status: int, code: str) -> None:
    assert answer.status_code == status
    data = answer.data
    if handler == "drf-standardized-errors":
        (error,) = data["errors"]
        assert (error["code"], error["attr"]) == (code, None)
        detail = error["detail"]
    else:
        assert data.keys() == ({"detail", "code"} if handler == "ours" else {"detail"})
        detail = data["detail"]
        assert data.get("code", code) == detail.code == code
    assert isinstance(detail, str)
    assert detail.endswith(".")


def test_refused_token_is_one_error(handler: str) -> None:
    """At once, with the challenge that says so whatever the body."""
    answer = _answer(Authorization="Bearer x")
    _assert_one(answer, handler, 401, "invalid_token")
    assert answer["WWW-Authenticate"] == INVALID_TOKEN_CHALLENGE


def test_session_that_has_ended_is_one_error(
    handler: str, session: Session, user: AbstractBaseUser
) -> None:
    """The database says so; the answer is that to any other bad token."""
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    answer = _answer(**session.bearer)
    _assert_one(answer, handler, 401, "invalid_token")
    assert answer.data == _answer(Authorization="Bearer a.b.c").data


def test_missing_token_is_one_error(handler: str) -> None:
    """It is REST framework's own."""
    answer = _answer(**{"X-Role": "admin"})
    _assert_one(answer, handler, 401, "not_authenticated")
    assert answer["WWW-Authenticate"] == CHALLENGE


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://evil.example"}, "cross_site_request"),
        ({"Sec-Fetch-Site": "same-origin"}, "csrf_failed"),
    ],
)
def test_refused_cookie_is_one_error(
    handler: str, headers: dict[str, str], code: str, settings: Settings
) -> None:
    """Another site's page, and one without the CSRF token."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"
    headers = {"Cookie": "__Host-access_token=x", **headers}
    _assert_one(_answer("post", **headers), handler, 403, code)


def test_outage_is_one_error(handler: str, settings: Settings, session: Session) -> None:
    """The keys are away."""
    options = {"PATH": "/nonexistent"}
    settings.JWT_AUTH_KEY_STORE = {**settings.JWT_AUTH_KEY_STORE, "OPTIONS": options}
    _assert_one(_answer(**session.bearer), handler, 503, "unavailable")
