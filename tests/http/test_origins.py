"""Requests that a browser sends for another site's page."""

from __future__ import annotations

from itertools import product

import pytest
from pytest_django import Settings

from tests.http.site import MOBILE, Session, Site, everything

OWN = "https://testserver"
TRUSTED = ["https://spa.example.org", "https://*.example.net", "https://*.example.net:8443"]

GOOD = [
    OWN,
    "https://spa.example.org",
    "https://a.example.net",
    "https://a.b.example.net",
    "https://a.example.net:8443",
]
BAD = [
    "null",
    "",
    "https://evil.example",
    "http://testserver",
    "https://testserver:8443",
    "https://testserver.evil.example",
    "https://eviltestserver",
    "https://sub.testserver",
    "http://spa.example.org",
    "https://spa.example.org:444",
    "https://evil-spa.example.org",
    "https://spa.example.org.evil.example",
    "http://a.example.net",
    "https://a.example.net:9443",
    "https://evilexample.net",
    "https://example.net.evil.example",
    "https://[",
    "\xff",
    f"{OWN}, https://evil.example",
    f"{OWN}/",
]


#: What Sec-Fetch-Site says of other pages, and what no browser says.
OTHER = ["same-site", "cross-site", "CROSS-SITE", "", "Same-Origin", "none, none"]


@pytest.fixture(autouse=True)
def _trusted(settings: Settings) -> None:
    settings.CSRF_TRUSTED_ORIGINS = TRUSTED


def _headers(fetch_site: str | None, origin: str | None) -> dict[str, str]:
    headers = {"Sec-Fetch-Site": fetch_site, "Origin": origin}
    return {name: value for name, value in headers.items() if value is not None}


@pytest.mark.parametrize(
    ("fetch_site", "origin"),
    [*product(OTHER, [None, *BAD]), *product([None], BAD)],
)
def test_other_sites_request_is_refused_and_changes_nothing(
    fetch_site: str | None,
    origin: str | None,
    site: Site,
    session: Session,
    credentials: dict[str, str],
) -> None:
    """No log-in as somebody else, no rotation, no logout, and no cookie touched."""
    before = everything()
    headers = _headers(fetch_site, origin)
    for path, body in (("login/", credentials), ("refresh/", None), ("logout/", None)):
        answer = site.post(path, body, headers={**headers, **session.bearer})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
        assert answer["Cache-Control"] == "no-store"
        assert not answer.cookies
    assert everything() == before


@pytest.mark.parametrize(
    ("fetch_site", "origin"),
    [
        *product(["same-origin", "none"], [None, OWN, "null", "https://evil.example"]),
        *product(OTHER, GOOD),
        *product([None], [None, *GOOD]),
    ],
)
def test_own_and_trusted_requests_go_through(
    fetch_site: str | None, origin: str | None, site: Site, credentials: dict[str, str]
) -> None:
    """The browser's word counts first, then the origin; no browser sends neither for another."""
    headers = _headers(fetch_site, origin)
    assert site.post("login/", credentials, headers=headers).status_code == 200
    assert site.post("refresh/", headers=headers).status_code == 200
    assert site.post("logout/", headers=headers).status_code == 204


def test_plain_http_has_an_origin_of_its_own(site: Site, credentials: dict[str, str]) -> None:
    """The scheme is the request's, so that development without TLS works."""
    headers = {"Origin": "http://testserver"}
    assert site.post("login/", credentials, headers=headers, secure=False).status_code == 200


def test_cross_site_request_is_refused_before_its_body_is_read(site: Site) -> None:
    """Not even its size is told."""
    answer = site.post("login/", {"x": "x" * 20_000}, headers={"Origin": "null"})
    assert answer.status_code == 403


def test_endpoints_without_ambient_credentials_take_any_origin(
    site: Site, session: Session, credentials: dict[str, str]
) -> None:
    """Whoever has the token itself may be anywhere; CORS is the project's to decide."""
    headers = {"Origin": "https://evil.example"}
    assert site.get("me/", headers={**headers, **session.bearer}).status_code == 200
    assert site.post(f"{MOBILE}login/", credentials, headers=headers).status_code == 200
