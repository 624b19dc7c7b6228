"""The view of docs/how-to/websockets.md that gives a page the token for its WebSocket."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from django.test import override_settings
from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tests.http.site import Session, Site

_RECIPE = Path(__file__).parents[2] / "docs/how-to/recipes/websockets/views.py"

urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("api/socket-token/", runpy.run_path(str(_RECIPE))["socket_token"]),
]


@override_settings(ROOT_URLCONF=__name__)
def test_page_gets_the_token_that_it_has_come_with(site: Site, session: Session) -> None:
    """And nobody keeps a copy of the answer."""
    answer = site.post("/api/socket-token/", headers=session.bearer)
    assert answer.json() == {"access_token": session.access_token}
    assert answer["Cache-Control"] == "no-store"
    assert site.post("/api/socket-token/").status_code == 401


def test_request_without_a_token_is_refused_whatever_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new project lets everybody into a view that doesn't say otherwise."""
    monkeypatch.setattr(APIView, "permission_classes", [AllowAny])
    view = runpy.run_path(str(_RECIPE))["socket_token"]
    assert view(APIRequestFactory().post("/api/socket-token/")).status_code == 401


@override_settings(ROOT_URLCONF=__name__, JWT_AUTH_ACCESS_COOKIE_NAME="__Host-access_token")
def test_page_with_the_access_cookie_gets_no_token(site: Site, session: Session) -> None:
    """The cookie is there so that no script holds the token."""
    site.cookies["__Host-access_token"] = session.access_token
    assert site.post("/api/socket-token/").status_code == 401
