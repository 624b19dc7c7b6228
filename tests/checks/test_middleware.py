"""The order in which the middleware set the user."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from tests.checks.scene import advice_of

OURS = "jwt_auth.middleware.JWTUserMiddleware"
DJANGOS = "django.contrib.auth.middleware.AuthenticationMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"


def test_user_that_django_sets_again_is_a_warning(settings: Settings) -> None:
    """Every token would be without effect, and nothing would say so."""
    settings.MIDDLEWARE = [SESSIONS, OURS, DJANGOS]
    (message,) = run_checks(tags=["jwt_auth"])
    assert message.id == "jwt_auth.W075"
    assert advice_of(message) == f'In MIDDLEWARE, move "{OURS}" below "{DJANGOS}".'


@pytest.mark.parametrize("order", [[SESSIONS, DJANGOS, OURS], [OURS], [SESSIONS, DJANGOS], []])
def test_user_that_the_token_sets_last_gives_no_message(
    order: list[str], settings: Settings
) -> None:
    """Nor does a project without one of them."""
    settings.MIDDLEWARE = order
    assert run_checks(tags=["jwt_auth"]) == []
