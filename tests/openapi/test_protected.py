"""The refusals of a project's own views."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import path
from drf_spectacular.utils import OpenApiResponse, extend_schema
from pytest_django import Settings
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jwt_auth.authentication import JWTAuthentication
from jwt_auth.http.views.login_and_refresh import LoginView
from jwt_auth.openapi.protected import ProtectedSchema
from jwt_auth.permissions import requires_claim, requires_role
from tests.openapi.conftest import Describe
from tests.openapi.test_operations import codes, operation

pytestmark = pytest.mark.smoke


class Closed(BasePermission):
    """Another package's."""


class View(APIView):
    authentication_classes: Any = [JWTAuthentication]
    schema: Any = ProtectedSchema()

    @extend_schema(responses={200: dict[str, str]})
    def get(self, request: Request) -> Response:
        """Answer nothing."""
        raise AssertionError

    @extend_schema(request=None, responses={200: dict[str, str], 401: OpenApiResponse(str, "Own.")})
    def post(self, request: Request) -> Response:
        """Answer nothing."""
        raise AssertionError


class OwnAuthentication(JWTAuthentication):
    """A project's subclass; it shares the scheme."""


class OwnLogin(LoginView):
    """A project's subclass, which says more about itself."""

    @extend_schema(summary="Come in", responses={200: dict[str, str]})
    def post(self, request: Request, **kwargs: Any) -> Response:
        """Answer nothing."""
        raise AssertionError


def view(*permissions: Any, **named: Any) -> Any:
    members = {"permission_classes": permissions, **named}
    made: type[APIView] = type("View", (View,), members)
    return made.as_view()


urlpatterns = [
    path("open/", view(AllowAny)),
    path("any/", view(IsAuthenticated)),
    path("role/", view(requires_role("admin"))),
    path("both/", view(IsAuthenticated & requires_role("admin") & ~requires_claim("guest"))),
    path("other/", view(Closed | ~Closed)),
    path("own/", view(IsAuthenticated, authentication_classes=[OwnAuthentication])),
    path("else/", view(AllowAny, authentication_classes=[])),
    path("login/", OwnLogin.as_view()),
]


@pytest.mark.parametrize(
    ("path", "unauthorized", "forbidden"),
    [
        ("/open/", ["invalid_token"], None),
        ("/any/", ["not_authenticated", "invalid_token"], None),
        ("/role/", ["not_authenticated", "invalid_token"], ["role_required"]),
        ("/both/", ["not_authenticated", "invalid_token"], ["role_required", "claim_forbidden"]),
        ("/other/", ["not_authenticated", "invalid_token"], ["permission_denied"]),
        ("/own/", ["not_authenticated", "invalid_token"], None),
    ],
)
def test_refusals_are_those_of_the_permissions(
    path: str, unauthorized: list[str], forbidden: list[str] | None, describe: Describe
) -> None:
    """Each policy of a composition may be the one that refuses."""
    get = operation(describe(__name__), path, "get")
    assert codes(get, 401) == unauthorized
    assert codes(get, 503) == ["unavailable"]
    assert (codes(get, 403) if "403" in get["responses"] else None) == forbidden


def test_views_own_answer_stays(describe: Describe) -> None:
    """What a project has written itself is not replaced."""
    assert operation(describe(__name__), "/any/")["responses"]["401"]["description"] == "Own."


def test_view_without_our_authentication_is_left_alone(describe: Describe) -> None:
    """Another class has other answers."""
    assert list(operation(describe(__name__), "/else/", "get")["responses"]) == ["200"]


def test_cookies_refusals_are_described_where_it_is_on(
    settings: Settings, describe: Describe
) -> None:
    """A GET needs no CSRF token."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "access"
    schema = describe(__name__)
    assert codes(operation(schema, "/any/", "get"), 403) == ["cross_site_request"]
    both = ["cross_site_request", "csrf_failed"]
    assert codes(operation(schema, "/any/"), 403) == both


def test_annotation_of_a_subclass_has_the_last_word(describe: Describe) -> None:
    """A project whose login answers more can say so."""
    login = operation(describe(__name__), "/login/")
    assert login["summary"] == "Come in"
    assert list(login["responses"]) == ["200"]
    assert login["operationId"] == "auth_login"
