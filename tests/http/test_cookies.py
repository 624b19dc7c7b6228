"""How the cookies are set and deleted, and which Cookie headers count as the refresh cookie."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.models import RefreshTokenFamily
from tests.attack.planted import PLANTED, TWINS
from tests.http.site import COOKIE, Session, Site, everything, open_session

pytestmark = pytest.mark.smoke

REFRESH = {
    "path": "/api/auth/",
    "domain": "",
    "secure": True,
    "samesite": "Strict",
    "httponly": True,
    "max-age": 7 * 24 * 3600,
}
#: It lives as long as the token, for every path of the site.
ACCESS = {"path": "/", "max-age": 900}

HOST_ONLY = {"JWT_AUTH_REFRESH_COOKIE_PATH": "/"}

# Name of the cookie and its attributes, where they aren't REFRESH, for each way to set it up.
WAYS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({}, COOKIE, {}),
    (HOST_ONLY, "__Host-refresh_token", {"path": "/"}),
    ({"JWT_AUTH_REFRESH_COOKIE_SECURE": False}, "refresh_token", {"secure": ""}),
    ({"JWT_AUTH_REFRESH_COOKIE_NAME": "r"}, "r", {}),
    ({"JWT_AUTH_REFRESH_COOKIE_PATH": "/api/"}, COOKIE, {"path": "/api/"}),
    (
        {"JWT_AUTH_REFRESH_COOKIE_DOMAIN": "example.com", **HOST_ONLY},
        COOKIE,
        {"domain": "example.com", "path": "/"},
    ),
    ({"JWT_AUTH_REFRESH_COOKIE_SAMESITE": "Lax"}, COOKIE, {"samesite": "Lax"}),
    (
        {
            "JWT_AUTH_REFRESH_COOKIE_SAMESITE": "None",
            "JWT_AUTH_REFRESH_COOKIE_PARTITIONED": True,
        },
        COOKIE,
        {"samesite": "None; Partitioned"},
    ),
    ({}, "access", ACCESS),
    ({"JWT_AUTH_REFRESH_COOKIE_PATH": "/api/"}, "access", ACCESS),
    ({"JWT_AUTH_REFRESH_COOKIE_SAMESITE": "Lax"}, "access", {**ACCESS, "samesite": "Lax"}),
    (
        {"JWT_AUTH_REFRESH_COOKIE_DOMAIN": "example.com"},
        "access",
        {**ACCESS, "domain": "example.com"},
    ),
    ({"JWT_AUTH_REFRESH_COOKIE_SECURE": False}, "access", {**ACCESS, "secure": ""}),
]


@pytest.mark.parametrize(("own", "name", "differing"), WAYS)
def test_cookie_is_set_and_deleted_with_the_same_attributes(
    own: dict[str, Any],
    name: str,
    differing: dict[str, Any],
    site: Site,
    credentials: dict[str, str],
    password: str,
    settings: Settings,
) -> None:
    """A browser deletes only what matches in name, domain and path, and refuses a bare prefix."""
    settings.JWT_AUTH_ACCESS_COOKIE_NAME = "access"
    for setting, value in own.items():
        setattr(settings, setting, value)
    body = {"old_password": password, "new_password": "another horse entirely"}
    given = [site.post("login/", credentials), site.post("refresh/")]
    bearer = {"Authorization": f"Bearer {given[0].json()['access_token']}"}
    given += [site.post("password/change/", body, headers=bearer)]
    fresh = {"Authorization": f"Bearer {given[2].json()['access_token']}"}
    gone = [
        site.post("logout-all/", headers=fresh),
        site.post("logout/"),
        site.post("refresh/"),
    ]
    assert [answer.status_code for answer in given + gone] == [200, 200, 200, 204, 204, 401]
    set_to = REFRESH | differing
    for answer in given:
        cookie = answer.cookies[name]
        assert {attribute: cookie[attribute] for attribute in set_to} == set_to
        assert answer.cookies["access"].value == answer.json()["access_token"]
    deleted = set_to | {"max-age": 0, "expires": "Thu, 01 Jan 1970 00:00:00 GMT"}
    for answer in gone:
        cookie = answer.cookies[name]
        assert {attribute: cookie[attribute] for attribute in deleted} == deleted
        assert cookie.value == ""


def test_cookie_of_the_weaker_prefix_counts_for_nothing(
    site: Site, session: Session, settings: Settings
) -> None:
    """It was ours before the setting changed; a sibling subdomain could plant one."""
    settings.JWT_AUTH_REFRESH_COOKIE_PATH = "/"
    assert site.post("refresh/", headers=session.cookie).status_code == 401


@pytest.mark.parametrize("kind", PLANTED)
def test_cookie_that_is_not_exactly_ours_is_refused(
    kind: str, site: Site, session: Session
) -> None:
    """A sibling subdomain can plant all of these; none gets in, none ends anybody's session."""
    before = everything()
    headers = {"Cookie": PLANTED[kind](COOKIE, session.refresh_token)}
    answer = site.post("refresh/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    # Of two cookies the browser would delete the one of this host, and keep the planted one.
    assert (COOKIE in answer.cookies) == (kind not in TWINS)
    assert everything() == before


@pytest.mark.parametrize("kind", PLANTED)
def test_log_out_ends_what_is_exactly_ours_among_others(
    kind: str, site: Site, session: Session
) -> None:
    """A planted cookie keeps nobody from leaving."""
    before = everything()
    headers = {"Cookie": PLANTED[kind](COOKIE, session.refresh_token)}
    assert site.post("logout/", headers=headers).status_code == 204
    assert (everything() == before) == (kind not in TWINS)
    status = site.post("refresh/", headers=session.cookie).status_code
    assert status == (401 if kind in TWINS else 200)


def test_log_out_ends_the_planted_session_too(
    site: Site, session: Session, credentials: dict[str, str]
) -> None:
    """Else the browser would go on with it, now that the other cookie is gone."""
    planted = open_session(Site(), credentials)
    header = f"{COOKIE}={session.refresh_token}; {COOKIE}={planted.refresh_token}"
    assert site.post("logout/", headers={"Cookie": header}).status_code == 204
    assert not RefreshTokenFamily.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize(
    "header",
    [
        "a=1; {}",
        "a=1;{}",
        "{}; refresh_token=x",
        "refresh_token=x; {}",
        "\t{} ",
        "\xe2\x80\x80{0}; {0}",
        "bare; {}; =; ;",
    ],
)
def test_real_cookie_among_others_counts(header: str, site: Site, session: Session) -> None:
    """Whatever else a browser sends along, planted twins too, the one real cookie is found."""
    cookie = header.format(session.cookie["Cookie"])
    assert site.post("refresh/", headers={"Cookie": cookie}).status_code == 200
