"""What a project's middleware sees of the user, as docs/how-to/middleware.md says."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from pytest_django import Settings

from tests.http.site import Session, Site

_PAGE = Path(__file__).parents[2] / "docs/how-to/middleware.md"
_RECIPE = runpy.run_path(str(_PAGE.parent / "recipes/middleware/user.py"))

token_user_middleware = _RECIPE["token_user_middleware"]


def show_users(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Show in headers whom the middleware sees before and after the view."""

    def middleware(request: Any) -> HttpResponse:
        seen = [request.user.pk, request.token_user.pk]
        response = get_response(request)
        response["X-Seen"] = ",".join(map(str, [*seen, request.user.pk]))
        return response

    return middleware


@pytest.fixture
def watched(settings: Settings) -> None:
    """The project's middleware, and behind it one that looks."""
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE,
        f"{__name__}.token_user_middleware",
        f"{__name__}.show_users",
    ]


def test_middleware_sees_the_user_of_the_token(watched: None, site: Site, session: Session) -> None:
    """By the recipe before the view; in ``request.user`` only after it."""
    user = str(site.get("me/", headers=session.bearer).json()["id"])
    seen = site.get("me/", headers=session.bearer)["X-Seen"]
    assert seen == f"None,{user},{user}"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer forged"}])
def test_middleware_sees_nobody_without_a_good_token(
    headers: dict[str, str], watched: None, site: Site
) -> None:
    """The view gives the answer."""
    answer = site.get("me/", headers=headers)
    assert (answer.status_code, answer["X-Seen"]) == (401, "None,None,None")
