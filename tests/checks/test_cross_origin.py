"""CORS, trusted origins and the cookies' attributes: where they contradict each other."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from jwt_auth.checks import cross_origin
from jwt_auth.checks.settings import check_settings
from tests.checks.scene import ids_of
from tests.neighbours.packages import optional

pytestmark = pytest.mark.smoke

APP = "https://app.example.com"
HEADERS = (*cross_origin.DEFAULT_HEADERS, "idempotency-key")
# The lines from docs/how-to/cross-origin.md for a front end on a sibling subdomain.
RECIPE: dict[str, Any] = {
    "ALLOWED_HOSTS": ["api.example.com"],
    "CSRF_TRUSTED_ORIGINS": [APP],
    "CORS_ALLOWED_ORIGINS": [APP],
    "CORS_ALLOW_CREDENTIALS": True,
    "CORS_ALLOW_HEADERS": HEADERS,
    "CORS_EXPOSE_HEADERS": ["WWW-Authenticate", "Retry-After"],
}


def _messages(settings: Settings, *removed: str, **changes: Any) -> list[CheckMessage]:
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    for name, value in {**RECIPE, **changes}.items():
        if name not in removed:
            setattr(settings, name, value)
    return check_settings(None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"CORS_ALLOW_HEADERS": [name.title() for name in HEADERS]},
        {"JWT_AUTH_ACCESS_COOKIE_NAME": "__Host-access_token"},
        {"CSRF_TRUSTED_ORIGINS": ["https://*.example.com"]},
        {"CSRF_TRUSTED_ORIGINS": [APP, "https://api.example.com"]},
        {"CORS_ALLOWED_ORIGINS": [APP, "https://api.example.com"]},
        {
            "CORS_ALLOWED_ORIGINS": [],
            "CSRF_TRUSTED_ORIGINS": ["https://*.example.com"],
            "CORS_ALLOWED_ORIGIN_REGEXES": [r"^https://\w+\.example\.com$"],
        },
        {
            "CORS_ALLOWED_ORIGINS": [],
            "CORS_ALLOWED_ORIGIN_REGEXES": [re.compile(r"^https://app\.")],
        },
        {"ALLOWED_HOSTS": ["*"], "CSRF_TRUSTED_ORIGINS": [APP]},
        {"ALLOWED_HOSTS": ["localhost", "127.0.0.1", "[::1]"]},
        {"CORS_ALLOW_CREDENTIALS": False, "CORS_ALLOWED_ORIGINS": ["https://x.example.com"]},
    ],
)
def test_settings_that_agree_have_no_message(changes: dict[str, Any], settings: Settings) -> None:
    """The recipe's and others that work."""
    assert _messages(settings, **changes) == []


CONTRADICTIONS: list[tuple[str, dict[str, Any]]] = [
    ("W062", {"CORS_ALLOW_ALL_ORIGINS": True}),
    ("W062", {"CORS_ORIGIN_ALLOW_ALL": True}),
    ("W063", {"CORS_ALLOWED_ORIGINS": [APP, "https://other.example.com"]}),
    ("W063", {"CSRF_TRUSTED_ORIGINS": []}),
    ("W064", {"CSRF_TRUSTED_ORIGINS": [APP, "https://other.example.com"]}),
    ("W064", {"CSRF_TRUSTED_ORIGINS": [APP, "https://*.other.example.com"]}),
    ("W065", {"CORS_ALLOWED_ORIGINS": ["https://a.org"], "CSRF_TRUSTED_ORIGINS": ["https://a.org"]}),
    ("W065", {"CSRF_TRUSTED_ORIGINS": [APP, "https://a.org"], "CORS_ALLOW_CREDENTIALS": False}),
    ("W066", {"CORS_ALLOW_HEADERS": cross_origin.DEFAULT_HEADERS}),
    ("W066", {"CORS_ALLOW_HEADERS": ["idempotency-key"]}),
    ("W066", {"CORS_ALLOW_HEADERS": ["*"]}),
    (
        "W066",
        {
            "JWT_AUTH_ACCESS_COOKIE_NAME": "__Host-access_token",
            "CSRF_HEADER_NAME": "HTTP_X_OWN_TOKEN",
        },
    ),
    ("W052", {"CORS_EXPOSE_HEADERS": ["retry-after"]}),
    ("W069", {"CORS_EXPOSE_HEADERS": ["www-authenticate"]}),
    ("W067", {"JWT_AUTH_REFRESH_COOKIE_DOMAIN": "example.com"}),
    ("W067", {"JWT_AUTH_REFRESH_COOKIE_DOMAIN": ".Example.com"}),
    (
        "W067",
        {
            "JWT_AUTH_REFRESH_COOKIE_DOMAIN": "example.com",
            "ALLOWED_HOSTS": ["a.api.example.com", "b.api.example.com", "elsewhere.org"],
        },
    ),
    ("W068", {"JWT_AUTH_REFRESH_COOKIE_DOMAIN": "example.org"}),
    ("W068", {"JWT_AUTH_REFRESH_COOKIE_DOMAIN": "xample.com"}),
]  # fmt: skip


@pytest.mark.parametrize(("number", "changes"), CONTRADICTIONS)
def test_settings_that_contradict_each_other_are_a_warning(
    number: str, changes: dict[str, Any], settings: Settings
) -> None:
    """One each, with the line to write; nothing is stopped."""
    (message,) = _messages(settings, **changes)
    assert message.id == f"jwt_auth.{number}"
    assert not message.is_serious()
    assert message.hint


def test_missing_headers_are_named(settings: Settings) -> None:
    """Those that the client sends, as it sends them."""
    (message,) = _messages(
        settings, JWT_AUTH_ACCESS_COOKIE_NAME="__Host-access_token", CORS_ALLOW_HEADERS=["accept"]
    )
    assert "Authorization and Idempotency-Key and X-Csrftoken" in message.msg
    assert "'authorization', 'idempotency-key', 'x-csrftoken'" in str(message.hint)


def test_default_of_the_package_is_known(settings: Settings) -> None:
    """Without the setting, the headers are those of django-cors-headers itself."""
    assert set(cross_origin.DEFAULT_HEADERS) == set(
        optional("corsheaders.defaults").default_headers
    )
    assert ids_of(_messages(settings, "CORS_ALLOW_HEADERS")) == ["W066"]


def test_without_the_package_cors_settings_are_nobodys(settings: Settings) -> None:
    """Names that nothing reads contradict nothing."""
    settings.CORS_ALLOW_ALL_ORIGINS = True
    settings.CORS_ALLOW_CREDENTIALS = True
    assert check_settings(None) == []


@pytest.mark.parametrize(
    ("samesite", "ids"), [("Strict", ["W065"]), ("Lax", ["W065"]), ("None", ["W003"])]
)
def test_samesite_is_judged_with_the_front_ends_site(
    samesite: str, ids: list[str], settings: Settings
) -> None:
    """Another site needs None, which has its own warning."""
    changes = {"CORS_ALLOWED_ORIGINS": ["https://a.org"], "CSRF_TRUSTED_ORIGINS": ["https://a.org"]}
    assert ids_of(_messages(settings, JWT_AUTH_REFRESH_COOKIE_SAMESITE=samesite, **changes)) == ids


@pytest.mark.parametrize(
    ("domain", "hosts"),
    [
        ("example.com", ["api.example.com", "www.example.com"]),
        ("example.com", [".example.com"]),
        ("example.com", ["example.com", "api.example.com"]),
        ("api.example.com", ["api.example.com"]),
        ("example.com", ["*"]),
        ("example.com", ["*", "api.elsewhere.org"]),
        ("example.com", []),
        ("example.com", ["localhost"]),
    ],
)
def test_domain_that_the_hosts_share_has_no_message(
    domain: str, hosts: list[str], settings: Settings
) -> None:
    """The domain is as wide as needed, or ALLOWED_HOSTS doesn't show how wide it must be."""
    settings.ALLOWED_HOSTS = hosts
    settings.JWT_AUTH_REFRESH_COOKIE_DOMAIN = domain
    assert check_settings(None) == []


def test_wrong_type_is_left_to_its_own_check(settings: Settings) -> None:
    """A value that is not a host name can't be compared with one."""
    assert ids_of(_messages(settings, JWT_AUTH_REFRESH_COOKIE_DOMAIN=5)) == ["E012"]
