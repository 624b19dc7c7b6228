"""Front ends on other origins, as docs/how-to/cross-origin.md sets them up, in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.checks.cross_origin import DEFAULT_HEADERS
from jwt_auth.checks.settings import check_settings
from jwt_auth.models import RefreshTokenFamily
from tests.browser.cross_origin_site import (
    API,
    APP,
    OTHER,
    RESOLVER,
    SIBLING,
    Hosts,
    fetch,
    keeping_third_party_cookies,
    serve,
)
from tests.browser.engines import CHROMIUM, start
from tests.neighbours.packages import optional, required_file

optional("corsheaders")
sync_api = optional("playwright.sync_api")
required_file(Path(CHROMIUM))

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chromium,
    pytest.mark.live,
    pytest.mark.django_db(transaction=True),
]

KEY = {"Idempotency-Key": "a-key-of-the-page"}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests; each has contexts of its own."""
    with pytest.MonkeyPatch.context() as patch, sync_api.sync_playwright() as playwright:
        # Playwright runs an event loop in the tests' thread, and Django refuses to work in one.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = start(playwright.chromium, RESOLVER)
        yield browser
        browser.close()


@pytest.fixture
def hosts(settings: Settings, tmp_path: Path) -> Iterator[Hosts]:
    """The API as the recipe sets it up for a front end on a sibling subdomain."""
    settings.ALLOWED_HOSTS = [API]
    settings.CORS_ALLOW_CREDENTIALS = True
    settings.CORS_ALLOW_HEADERS = (*DEFAULT_HEADERS, "idempotency-key")
    settings.CORS_EXPOSE_HEADERS = ["www-authenticate", "retry-after"]
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "corsheaders"]
    settings.MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", *settings.MIDDLEWARE]
    settings.CORS_PREFLIGHT_MAX_AGE = -1  # no memory: a test changes what is allowed
    settings.JWT_AUTH_THROTTLE_RATES = {}
    with serve(tmp_path) as hosts:
        _let(settings, hosts.origin(APP))
        yield hosts


@pytest.fixture
def context(chromium: Any, hosts: Hosts) -> Iterator[Any]:
    """A browser without cookies, which takes the self-made certificate."""
    context = chromium.new_context(ignore_https_errors=True)
    yield context
    context.close()


@pytest.fixture
def lenient(chromium: Any, hosts: Hosts, tmp_path: Path) -> Iterator[Any]:
    """The same, but one that sends cookies to other sites."""
    with keeping_third_party_cookies(chromium.browser_type, tmp_path / "profile") as context:
        yield context


def _let(settings: Settings, origin: str) -> None:
    settings.CORS_ALLOWED_ORIGINS = [origin]
    settings.CSRF_TRUSTED_ORIGINS = [origin]


def _open(context: Any, hosts: Hosts, host: str) -> Any:
    page = context.new_page()
    page.goto(hosts.origin(host))
    return page


def _log_in(page: Any, hosts: Hosts, credentials: dict[str, str]) -> Any:
    answer = fetch(page, hosts.url("/api/auth/login/"), "POST", json=credentials)
    assert answer["status"] == 200, answer
    return answer["body"]


def _refresh(page: Any, hosts: Hosts) -> Any:
    return fetch(page, hosts.url("/api/auth/refresh/"), "POST", headers=KEY)


# What a page can have a browser load without asking anybody, and a form that it submits.
_LOAD = """
([tag, url]) => {
  const element = document.createElement(tag);
  element.src = url;
  document.documentElement.append(element);
}
"""
_SUBMIT = """
url => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: url });
  document.documentElement.append(form);
  form.submit();
}
"""


def _live() -> int:
    return RefreshTokenFamily.objects.filter(revoked_at=None).count()


# On another subdomain


def test_front_end_on_a_sibling_subdomain_has_everything(
    context: Any, hosts: Hosts, credentials: dict[str, str]
) -> None:
    """Log in, call the API, reload and refresh silently, log out; SameSite=Strict stays."""
    assert check_settings(None) == []
    page = _open(context, hosts, APP)
    token = _log_in(page, hosts, credentials)["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert fetch(page, hosts.url("/api/hello/"), headers=bearer)["status"] == 200
    page.reload()
    assert _refresh(page, hosts)["status"] == 200
    assert fetch(page, hosts.url("/api/auth/logout/"), "POST")["status"] == 204
    assert _refresh(page, hosts)["status"] == 401
    assert _live() == 0


def test_subdomain_that_is_not_trusted_gets_and_changes_nothing(
    context: Any, hosts: Hosts, credentials: dict[str, str]
) -> None:
    """It is the same site, so the browser sends it the cookie; the origin check stands alone."""
    _log_in(_open(context, hosts, APP), hosts, credentials)
    evil = _open(context, hosts, SIBLING)
    hosts.exchanges.clear()
    for path in ("refresh/", "logout/"):
        answer = fetch(evil, hosts.url(f"/api/auth/{path}"), "POST", mode="no-cors")
        assert answer["body"] is None
    seen = hosts.wait_for(2, evil)
    assert [exchange.status for exchange in seen] == [403, 403]
    assert all("__Secure-refresh_token=" in exchange.cookie for exchange in seen)
    assert RefreshTokenFamily.objects.get().generation == 1
    assert _live() == 1


def test_setting_that_is_left_out_has_the_warning_and_the_symptom(
    context: Any, hosts: Hosts, credentials: dict[str, str], settings: Settings
) -> None:
    """What each line of the recipe is for: without it the check names it, and this happens."""
    page = _open(context, hosts, APP)
    _log_in(page, hosts, credentials)
    seen = {}
    for name, value in (
        ("CSRF_TRUSTED_ORIGINS", []),
        ("CORS_ALLOWED_ORIGINS", []),
        ("CORS_ALLOW_HEADERS", DEFAULT_HEADERS),
    ):
        before = getattr(settings, name)
        setattr(settings, name, value)
        ids = [str(message.id) for message in check_settings(None)]
        seen[name] = (ids, _refresh(page, hosts)["status"])
        setattr(settings, name, before)
    assert seen == {
        "CSRF_TRUSTED_ORIGINS": (["jwt_auth.W063"], 403),
        "CORS_ALLOWED_ORIGINS": (["jwt_auth.W064"], None),
        "CORS_ALLOW_HEADERS": (["jwt_auth.W066"], None),
    }
    assert _refresh(page, hosts)["status"] == 200


def test_planted_refresh_cookie_locks_out_and_host_prefix_prevents_it(
    context: Any, hosts: Hosts, credentials: dict[str, str], settings: Settings
) -> None:
    """A sibling plants a twin under the parent domain: with __Secure- it can, with __Host- not."""
    page = _open(context, hosts, APP)
    sibling = _open(context, hosts, SIBLING)
    _log_in(page, hosts, credentials)
    plant = "name => { document.cookie = `${name}=x; domain=site.test; path=/api/auth/; secure`; }"
    sibling.evaluate(plant, "__Secure-refresh_token")
    assert _refresh(page, hosts)["status"] == 401
    assert _live() == 1
    settings.JWT_AUTH_REFRESH_COOKIE_PATH = "/"
    _log_in(page, hosts, credentials)
    sibling.evaluate(plant, "__Host-refresh_token")
    assert _refresh(page, hosts)["status"] == 200


# The access cookie


def test_access_cookie_works_from_a_sibling_subdomain(
    context: Any, hosts: Hosts, credentials: dict[str, str], settings: Settings
) -> None:
    """The page reads no cookie of the API's host: its CSRF token is in the token response."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"
    assert check_settings(None) == []
    page = _open(context, hosts, APP)
    csrf = {"X-CSRFToken": _log_in(page, hosts, credentials)["csrf_token"]}
    assert page.evaluate("document.cookie") == ""
    assert fetch(page, hosts.url("/api/hello/"))["status"] == 200
    refused = fetch(page, hosts.url("/api/auth/logout-all/"), "POST")
    assert (refused["status"], refused["body"]["code"]) == (403, "csrf_failed")
    page.reload()
    csrf = {"X-CSRFToken": _refresh(page, hosts)["body"]["csrf_token"]}
    assert fetch(page, hosts.url("/api/auth/logout-all/"), "POST", headers=csrf)["status"] == 204
    assert _live() == 0


@pytest.mark.parametrize(("host", "samesite"), [(SIBLING, "Strict"), (OTHER, "None")])
def test_access_cookie_is_no_use_to_another_origins_page(
    host: str,
    samesite: str,
    lenient: Any,
    hosts: Hosts,
    credentials: dict[str, str],
    settings: Settings,
) -> None:
    """The browser sends the cookie along each time; the API answers 403 and does nothing."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"
    settings.JWT_AUTH_REFRESH_COOKIE_SAMESITE = samesite
    _log_in(_open(lenient, hosts, APP), hosts, credentials)
    hosts.exchanges.clear()
    evil = _open(lenient, hosts, host)
    hello, everywhere = hosts.url("/api/hello/"), hosts.url("/api/auth/logout-all/")
    evil.evaluate(_LOAD, ["img", hello])
    evil.evaluate(_LOAD, ["script", hello])
    evil.evaluate(_LOAD, ["iframe", hello])
    for url, method, mode in (
        (hello, "GET", "no-cors"),
        (hello, "GET", "cors"),
        (everywhere, "POST", "no-cors"),
    ):
        assert fetch(evil, url, method, mode=mode)["body"] is None
    hosts.wait_for(6, evil)  # the form leaves the page, and what it still loads
    evil.evaluate(_SUBMIT, everywhere)
    seen = hosts.wait_for(7, evil)
    assert [exchange.status for exchange in seen] == [403] * 7
    assert all("__Host-access_token=" in exchange.cookie for exchange in seen)
    assert _live() == 1


def test_link_from_another_site_is_followed(
    lenient: Any, hosts: Hosts, credentials: dict[str, str], settings: Settings
) -> None:
    """A person clicks: with Lax or None the browser sends the cookie, and nobody is refused."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "__Host-access_token"
    settings.JWT_AUTH_REFRESH_COOKIE_SAMESITE = "Lax"
    _log_in(_open(lenient, hosts, APP), hosts, credentials)
    page = _open(lenient, hosts, OTHER)
    page.evaluate("url => { location.href = url; }", hosts.url("/api/hello/"))
    page.wait_for_url("**/api/hello/")
    assert "hello" in page.content()


# On another site


def test_front_end_on_another_site_needs_samesite_none(
    lenient: Any, hosts: Hosts, credentials: dict[str, str], settings: Settings
) -> None:
    """With Strict the log-in works, and the refresh after it never does: W065 says so."""
    _let(settings, hosts.origin(OTHER))
    page = _open(lenient, hosts, OTHER)
    assert [message.id for message in check_settings(None)] == ["jwt_auth.W065"]
    _log_in(page, hosts, credentials)
    assert _refresh(page, hosts)["status"] == 401
    settings.JWT_AUTH_REFRESH_COOKIE_SAMESITE = "None"
    assert [message.id for message in check_settings(None)] == ["jwt_auth.W003"]
    _log_in(page, hosts, credentials)
    page.reload()
    assert _refresh(page, hosts)["status"] == 200
    assert fetch(page, hosts.url("/api/auth/logout/"), "POST")["status"] == 204


@pytest.mark.parametrize("is_partitioned", [True, False])
def test_partitioned_cookie_is_not_shared_with_another_sites_frame(
    lenient: Any,
    hosts: Hosts,
    credentials: dict[str, str],
    settings: Settings,
    is_partitioned: bool,
) -> None:
    """Storage and locks aren't either, so that a shared cookie would be used twice at once."""
    _let(settings, hosts.origin(APP))
    settings.JWT_AUTH_REFRESH_COOKIE_SAMESITE = "None"
    settings.JWT_AUTH_REFRESH_COOKIE_PARTITIONED = is_partitioned
    page = _open(lenient, hosts, APP)
    _log_in(page, hosts, credentials)
    around = _open(lenient, hosts, OTHER)
    with around.expect_event("framenavigated"):
        around.evaluate(_LOAD, ["iframe", hosts.origin(APP)])
    framed = around.frames[1]
    assert _refresh(framed, hosts)["status"] == (401 if is_partitioned else 200)
    _log_in(framed, hosts, credentials)
    assert _refresh(framed, hosts)["status"] == 200
    assert _refresh(page, hosts)["status"] == 200
    assert _live() == 2
    assert fetch(page, hosts.url("/api/auth/logout/"), "POST")["status"] == 204
    assert _refresh(framed, hosts)["status"] == (200 if is_partitioned else 401)


def test_browser_that_blocks_third_party_cookies_loses_the_session_at_a_reload(
    context: Any, hosts: Hosts, credentials: dict[str, str], settings: Settings
) -> None:
    """As Safari does, and Chrome in incognito windows: the access token works, no refresh does."""
    _let(settings, hosts.origin(OTHER))
    settings.JWT_AUTH_REFRESH_COOKIE_SAMESITE = "None"
    page = _open(context, hosts, OTHER)
    token = _log_in(page, hosts, credentials)["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert fetch(page, hosts.url("/api/hello/"), headers=bearer)["status"] == 200
    page.reload()
    assert _refresh(page, hosts)["status"] == 401
