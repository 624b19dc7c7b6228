"""The checks of the access cookie's name and of the settings that it needs."""

from __future__ import annotations

from typing import Any

import pytest
from django.middleware.csrf import CsrfViewMiddleware
from pytest_django import Settings

from tests.checks.scene import advice_of, ids_of, messages_of

CSRF = "django.middleware.csrf.CsrfViewMiddleware"


class OwnCsrfMiddleware(CsrfViewMiddleware):
    """A project's own."""


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("__Host-access_token", {}),
        ("__host-access_token", {}),
        ("__Secure-access_token", {"REFRESH_COOKIE_DOMAIN": "example.com"}),
        ("access_token", {"REFRESH_COOKIE_DOMAIN": "example.com"}),
        ("access_token", {"REFRESH_COOKIE_SECURE": False}),
        ("__Host-access_token", {"REFRESH_COOKIE_PATH": "/api/"}),
    ],
)
def test_good_name_has_no_message(name: str, changes: dict[str, Any], settings: Settings) -> None:
    """The strictest prefix that the attributes allow, or a plain name if they allow no prefix."""
    assert messages_of(settings, ACCESS_COOKIE_NAME=name, **changes) == []


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("__Host-access", {"REFRESH_COOKIE_DOMAIN": "example.com"}),
        ("__Host-access", {"REFRESH_COOKIE_SECURE": False}),
        ("__Secure-access", {"REFRESH_COOKIE_SECURE": False}),
        ("__SECURE-access", {"REFRESH_COOKIE_SECURE": False}),
        ("__HOST-access", {"REFRESH_COOKIE_SECURE": False}),
    ],
)
def test_prefix_that_browsers_would_refuse_is_an_error(
    name: str, changes: dict[str, Any], settings: Settings
) -> None:
    """The hint's line is a name that they take with these attributes."""
    (message,) = messages_of(settings, ACCESS_COOKIE_NAME=name, **changes)
    assert message.id == "jwt_auth.E015"
    good = advice_of(message).partition('"')[2].rstrip('"')
    assert messages_of(settings, ACCESS_COOKIE_NAME=good) == []


def test_name_of_the_refresh_cookie_is_an_error(settings: Settings) -> None:
    """Each would replace the other."""
    name = "__Secure-refresh_token"
    assert ids_of(messages_of(settings, ACCESS_COOKIE_NAME=name)) == ["E060", "W060"]


@pytest.mark.parametrize("setting", ["SESSION", "CSRF", "LANGUAGE"])
def test_name_of_djangos_cookie_as_the_project_calls_it_is_an_error(
    setting: str, settings: Settings
) -> None:
    """Not the default's name counts, but the setting's."""
    setattr(settings, f"{setting}_COOKIE_NAME", "__Host-mine")
    assert ids_of(messages_of(settings, ACCESS_COOKIE_NAME="__Host-mine")) == ["E015"]


@pytest.mark.parametrize("name", ["access_token", "__Secure-access_token"])
def test_name_that_a_sibling_can_plant_is_a_warning(name: str, settings: Settings) -> None:
    """Where __Host- is possible, it costs nothing: the path is / anyway."""
    (message,) = messages_of(settings, ACCESS_COOKIE_NAME=name)
    assert message.id == "jwt_auth.W060"
    assert advice_of(message) == 'Write JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"'


@pytest.mark.parametrize(
    ("middleware", "ids"),
    [
        ([], ["W061"]),
        (["no.such.middleware"], ["W061"]),
        (["jwt_auth.checks.settings.check_settings"], ["W061"]),
        ([CSRF], []),
        (["tests.checks.test_cookies.OwnCsrfMiddleware"], []),
    ],
)
def test_access_cookie_without_csrf_middleware_is_a_warning(
    middleware: list[str], ids: list[str], settings: Settings
) -> None:
    """The check itself needs none, but pages would never get a token that stays."""
    settings.MIDDLEWARE = middleware
    assert ids_of(messages_of(settings, ACCESS_COOKIE_NAME="__Host-access_token")) == ids
    assert messages_of(settings, ACCESS_COOKIE_NAME=None) == []


@pytest.mark.parametrize("name", ["__Host-session", "__Host-jwt"])
def test_access_cookie_that_error_mails_show_is_a_warning(name: str, settings: Settings) -> None:
    """Django hides cookies by their names, in the reports of a project's own views too."""
    (message,) = messages_of(settings, ACCESS_COOKIE_NAME=name)
    assert message.id == "jwt_auth.W070"
    assert '= "__Host-access_token"' in str(message.hint)
    assert messages_of(settings, ACCESS_COOKIE_NAME=f"{name}_token") == []


def test_refresh_cookie_that_error_mails_show_is_a_warning(settings: Settings) -> None:
    """Below its mount only the endpoints get it, which hide it whatever its name."""
    assert messages_of(settings, REFRESH_COOKIE_NAME="__Secure-session") == []
    changes = {"REFRESH_COOKIE_NAME": "__Host-session", "REFRESH_COOKIE_PATH": "/"}
    assert ids_of(messages_of(settings, **changes)) == ["W070"]
