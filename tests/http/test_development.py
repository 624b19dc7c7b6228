"""With DEBUG on, a refused browser's request says what to change; with it off, nothing more."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.http.api_exceptions import CrossSiteRequest, CSRFTokenRefused
from tests.http.site import Session, Site

pytestmark = pytest.mark.smoke

ERRORS = "https://django-jwt-sessions.readthedocs.io/en/stable/reference/errors.html"
COOKIE = "__Host-access_token"


@pytest.fixture(autouse=True)
def _development(settings: Settings) -> None:
    settings.DEBUG = True


def _detail(site: Site, code: str, path: str = "login/", **headers: str) -> str:
    """Send the request, which is refused; give what the answer has beyond the plain sentence."""
    answer = site.post(path, headers={name.replace("_", "-"): v for name, v in headers.items()})
    assert (answer.status_code, answer.json()["code"]) == (403, code)
    refusals = {"cross_site_request": CrossSiteRequest, "csrf_failed": CSRFTokenRefused}
    plain = str(refusals[code].default_detail)
    said: str = answer.json()["detail"]
    assert said.startswith(plain)
    explanation, _, address = said.removeprefix(plain).partition(" See ")
    assert address == f"{ERRORS}#{code.replace('_', '-')}" if explanation else not address
    return explanation.strip()


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:5173",
        "http://[::1]:3000",
        "https://app.example.com",
        "capacitor://localhost",
    ],
)
def test_untrusted_origin_is_named_with_the_line_to_write(
    origin: str, site: Site, settings: Settings
) -> None:
    """Written, it lets the request through to the check of its body."""
    said = _detail(site, "cross_site_request", Origin=origin)
    assert f"The page is at {origin}," in said
    line = said.partition("write ")[2].rstrip(".")
    name, _, value = line.partition(" = ")
    setattr(settings, name, eval(value))
    assert site.post("login/", headers={"Origin": origin}).status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "https://",
        "localhost:5173",
        "https://a.example/path",
        "https://alice:secret@a.example",
        'https://a.example"]',
        "https://<script>alert(1)</script>",
        "https://a.example\n",
        "https://a.example:123456",
        "https://" + "a" * 254,
        "https://\xe4.example",
        "https://a.example https://b.example",
    ],
)
def test_malformed_origin_is_not_quoted(origin: str, site: Site) -> None:
    """The header is the client's."""
    assert _detail(site, "cross_site_request", Origin=origin) == "Its Origin header is malformed."


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Origin": "null"}, 'Its Origin is "null": the page is a file or in a sandbox'),
        ({"Sec_Fetch_Site": "cross-site"}, "It has no Origin header"),
    ],
)
def test_page_that_is_unknown_is_said_to_be(headers: dict[str, str], said: str, site: Site) -> None:
    """No line in the settings would help."""
    assert _detail(site, "cross_site_request", **headers).startswith(said)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Origin": "https://testserver"}, "Django's check says: CSRF cookie not set. Send"),
        (
            {"Sec_Fetch_Site": "same-origin", "Origin": "https://<b>.example"},
            "Django's check says: Origin checking failed.",
        ),
        (
            {"Sec_Fetch_Site": "same-origin", "Referer": "https://<b>.example/"},
            "Django's check says: Referer checking failed.",
        ),
    ],
)
def test_reason_of_djangos_check_is_given_without_the_header_in_it(
    headers: dict[str, str], said: str, session: Session, settings: Settings
) -> None:
    """The header to send is named only where it would help."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = COOKIE
    page = Site(enforce_csrf_checks=True)
    cookie: Any = {"Cookie": f"{COOKIE}={session.access_token}"}
    detail = _detail(page, "csrf_failed", "logout-all/", **cookie, **headers)
    assert detail.startswith(said)
    assert ("Send csrf_token from the token response in the header X-Csrftoken." in detail) == (
        "CSRF" in said
    )


def test_without_debug_the_answers_say_no_more(
    site: Site, session: Session, settings: Settings
) -> None:
    """An attacker's page learns nothing about the settings."""
    settings.DEBUG = False
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = COOKIE
    assert _detail(site, "cross_site_request", Origin="http://localhost:5173") == ""
    cookie: Any = {"Cookie": f"{COOKIE}={session.access_token}"}
    page = Site(enforce_csrf_checks=True)
    assert _detail(page, "csrf_failed", "logout-all/", **cookie, Sec_Fetch_Site="none") == ""
