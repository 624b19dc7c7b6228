"""What every test of simultaneous requests needs: who sends them, by which way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import connections
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshSuperseded, RefreshTokenRefused
from tests.flows.scene import refresh


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a refresh was answered, whichever way it went."""

    status: int
    refresh_token: str | None = None
    access_token: str | None = None


@pytest.fixture(autouse=True)
def _no_hurry(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow machine take its time: neither a window nor SQLite's patience ends meanwhile."""
    settings.JWT_AUTH_REFRESH_RETRY_WINDOW = timedelta(hours=1)
    default = connections["default"]
    if default.vendor == "sqlite":
        monkeypatch.setitem(default.settings_dict["OPTIONS"], "timeout", 300)


Send = Callable[[str, str | None], Answer]


def by_flow(token: str, key: str | None) -> Answer:
    """Refresh as a project's own code does."""
    try:
        issued = refresh(token, key=key)
    except RefreshTokenRefused:
        return Answer(status=401)
    except RefreshSuperseded:
        return Answer(status=409)
    return Answer(
        status=200,
        refresh_token=issued.refresh_token.text,
        access_token=issued.access_token.text,
    )


def by_view(token: str, key: str | None) -> Answer:
    """Refresh as a browser does."""
    browser = APIClient()
    browser.cookies[conf.refresh_cookie_name] = token
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = browser.post("/api/auth/refresh/", secure=True, headers=headers)
    if answer.status_code != 200:
        return Answer(status=answer.status_code)
    return Answer(
        status=200,
        refresh_token=answer.cookies[conf.refresh_cookie_name].value,
        access_token=answer.json()["access_token"],
    )


@pytest.fixture(params=["flow", "view", "view in ATOMIC_REQUESTS"])
def is_by_flow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a test calls the flow, or sends a request to the view."""
    atomic = request.param == "view in ATOMIC_REQUESTS"
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", atomic)
    return bool(request.param == "flow")


@pytest.fixture
def send(is_by_flow: bool) -> Send:
    """Send a refresh token, with a retry key or without, each of the ways there are."""
    return by_flow if is_by_flow else by_view
