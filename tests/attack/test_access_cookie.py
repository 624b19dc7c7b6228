"""Attacks on the access cookie: what another site's page, or a sibling subdomain, can have a
browser send.
"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from tests.attack.planted import PLANTED
from tests.http.site import MOBILE, Session, Site, everything, open_session

NAME = "__Host-access_token"
EVIL = "https://evil.example"

#: What browsers say of a request that a page of another origin has them send.
FOREIGN: dict[str, dict[str, str]] = {
    "fetch with CORS": {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    "fetch without CORS": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "empty",
    },
    "image": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "image",
    },
    "script of a sibling": {
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "script",
    },
    "frame": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "iframe",
    },
    "old browser": {"Origin": EVIL},
    "sandboxed frame": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "sibling": {"Origin": "https://evil.testserver", "Sec-Fetch-Site": "same-site"},
    "plain HTTP": {"Origin": "http://testserver", "Sec-Fetch-Site": "cross-site"},
}
LINK = {
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}


@pytest.fixture(autouse=True)
def _turned_on(settings: Settings) -> None:
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = NAME


@pytest.fixture
def session(credentials: dict[str, str]) -> Session:
    """A session of Alice's."""
    return open_session(Site(), credentials)


@pytest.fixture
def page(db: None) -> Site:
    """A client whose requests Django checks as in production."""
    return Site(enforce_csrf_checks=True)


def _cookie(session: Session) -> dict[str, str]:
    return {"Cookie": f"{NAME}={session.access_token}"}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("get", "me/"),
        ("get", "sessions/"),
        ("get", "/api/hello/"),
        ("post", "logout/"),
        ("post", "logout-all/"),
        ("post", f"{MOBILE}logout/"),
        ("post", f"{MOBILE}logout-all/"),
        ("post", "password/change/"),
        ("delete", "sessions/{session}/"),
    ],
)
def test_other_sites_page_gets_and_changes_nothing(
    kind: str, method: str, route: str, page: Site, session: Session, password: str
) -> None:
    """403, for reads as well: their answers, and how long they take, tell something, too."""
    before = everything()
    body = {"old_password": password, "new_password": "another horse entirely"}
    answer = getattr(page, method)(
        route.format(session=session.id), body, headers={**_cookie(session), **FOREIGN[kind]}
    )
    assert answer.status_code == 403
    assert answer.json()["code"] in {"cross_site_request", "csrf_failed"}
    if method == "get":
        assert answer.json()["code"] == "cross_site_request"
    assert everything() == before


def test_link_from_another_site_is_followed(page: Site, session: Session) -> None:
    """The visitor leaves that site; it reads nothing."""
    answer = page.get("me/", headers={**_cookie(session), **LINK})
    assert answer.status_code == 200


def test_link_is_no_way_to_change_anything(page: Site, session: Session) -> None:
    """A form that another site's page submits is a navigation, too."""
    before = everything()
    answer = page.post("logout-all/", headers={**_cookie(session), **LINK})
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    assert everything() == before


@pytest.mark.parametrize("media_type", ["application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize("origin", [None, EVIL, "null"])
def test_form_of_another_site_changes_nothing(
    media_type: str, origin: str | None, page: Site, session: Session
) -> None:
    """Also where the browser says nothing of where the form stood: it has no CSRF token."""
    before = everything()
    headers = {**_cookie(session), **({} if origin is None else {"Origin": origin})}
    for route in ("logout-all/", "password/change/", "logout/"):
        answer = page.post(route, "a=b", content_type=media_type, headers=headers)
        assert answer.status_code == 403
    assert everything() == before


def test_planted_csrf_cookie_does_not_help_another_site(page: Site, session: Session) -> None:
    """A sibling subdomain plants a secret that it knows; the browser still names the origin."""
    secret = "a" * 32
    headers = {"Cookie": f"{NAME}={session.access_token}; csrftoken={secret}"}
    form = {"csrfmiddlewaretoken": secret}
    before = everything()
    for foreign in FOREIGN.values():
        answer = page.post("logout-all/", form, format="multipart", headers={**headers, **foreign})
        assert answer.status_code == 403
    assert everything() == before


def test_referer_of_another_site_is_refused(page: Site, session: Session) -> None:
    """Where a browser sends no Origin over HTTPS, Django looks at the Referer."""
    secret = "a" * 32
    headers = {
        "Cookie": f"{NAME}={session.access_token}; csrftoken={secret}",
        "X-CSRFToken": secret,
    }
    for referer in ({}, {"Referer": f"{EVIL}/"}):
        answer = page.post("logout-all/", headers={**headers, **referer})
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed")
    answer = page.post("logout-all/", headers={**headers, "Referer": "https://testserver/"})
    assert answer.status_code == 204


@pytest.mark.parametrize("kind", PLANTED)
def test_cookie_that_is_not_exactly_ours_is_nobody(kind: str, page: Site, session: Session) -> None:
    """A sibling subdomain can plant all of these: of two cookies none counts."""
    headers = {"Cookie": PLANTED[kind](NAME, session.access_token)}
    answer = page.get("me/", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] in {"not_authenticated", "invalid_token"}
    assert "access_token" not in answer.content.decode()


def test_token_in_a_cookie_of_the_refresh_cookies_name_is_nothing(
    page: Site, session: Session
) -> None:
    """Neither cookie takes the other's token."""
    mixed: Any = {"Cookie": f"{NAME}={session.refresh_token}"}
    assert page.get("me/", headers=mixed).json()["code"] == "invalid_token"
    mixed = {"Cookie": f"__Secure-refresh_token={session.access_token}"}
    assert page.post("refresh/", headers=mixed).status_code == 401


@pytest.mark.parametrize("length", [4097, 8193, 100_000])
def test_oversized_cookie_is_not_looked_at(length: int, page: Site, session: Session) -> None:
    """No browser keeps one; nothing is decoded."""
    answer = page.get("me/", headers={"Cookie": f"{NAME}={'x' * length}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
