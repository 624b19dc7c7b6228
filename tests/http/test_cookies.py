"""The refresh cookie: how it is set and deleted, and which Cookie headers count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from tests.http.site import COOKIE, Session, Site, everything

HOST_ONLY = {"JWT_AUTH_REFRESH_COOKIE_PATH": "/"}

# Name of the cookie and its attributes, for each way to set it up.
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
]


@pytest.mark.parametrize(("own", "name", "differing"), WAYS)
def test_cookie_is_set_and_deleted_with_the_same_attributes(
    own: dict[str, Any],
    name: str,
    differing: dict[str, Any],
    site: Site,
    credentials: dict[str, str],
    settings: Settings,
) -> None:
    """A browser deletes only what matches in name, domain and path, and refuses a bare prefix."""
    for setting, value in own.items():
        setattr(settings, setting, value)
    login = site.post("login/", credentials)
    refresh = site.post("refresh/")
    logout = site.post("logout/")
    refused = site.post("refresh/")
    assert [answer.status_code for answer in (login, refresh, logout, refused)] == [
        *(200, 200, 204, 401)
    ]
    set_to = {"path": "/api/auth/", "domain": "", "secure": True, "samesite": "Strict"} | differing
    for answer in (login, refresh, logout, refused):
        (cookie,) = answer.cookies.values()
        assert cookie.key == name
        assert {attribute: cookie[attribute] for attribute in set_to} == set_to
        assert cookie["httponly"] is True
    for answer in (login, refresh):
        assert answer.cookies[name]["max-age"] == 7 * 24 * 3600
    for answer in (logout, refused):
        cookie = answer.cookies[name]
        assert (cookie.value, cookie["max-age"]) == ("", 0)
        assert cookie["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_cookie_of_another_name_counts_for_nothing(
    site: Site, session: Session, settings: Settings
) -> None:
    """After the setting has changed, the former cookie is no credential."""
    settings.JWT_AUTH_REFRESH_COOKIE_NAME = "renamed"
    assert site.post("refresh/", headers=session.cookie).status_code == 401


def _twice(token: str) -> str:
    return f"{COOKIE}={token}; {COOKIE}={token}"


# As a WSGI server gives them: the header's bytes as Latin-1.
PLANTED: dict[str, Callable[[str], str]] = {
    "twice": _twice,
    "once planted, once real": lambda token: f"{COOKIE}=planted; {COOKIE}={token}",
    "once real, once planted": lambda token: f"{COOKIE}={token}; {COOKIE}=planted",
    "empty twin": lambda token: f"{COOKIE}=; {COOKIE}={token}",
    "U+2000": lambda token: f"\u2000{COOKIE}={token}".encode().decode("latin-1"),
    "U+00A0": lambda token: f"\u00a0{COOKIE}={token}".encode().decode("latin-1"),
    "U+0085": lambda token: f"\u0085{COOKIE}={token}".encode().decode("latin-1"),
    "U+3000 after": lambda token: f"{COOKIE}\u3000={token}".encode().decode("latin-1"),
    "byte A0": lambda token: f"\xa0{COOKIE}={token}",
    "byte 85": lambda token: f"\x85{COOKIE}={token}",
    "vertical tab": lambda token: f"\x0b{COOKIE}={token}",
    "space before =": lambda token: f"{COOKIE} ={token}",
    "unprefixed": lambda token: f"refresh_token={token}",
    "other prefix": lambda token: f"__Host-refresh_token={token}",
    "lower case": lambda token: f"__secure-refresh_token={token}",
    "nameless": lambda token: f"={COOKIE}={token}",
    "no value": lambda token: COOKIE,
    "quoted": lambda token: f'{COOKIE}="{token}"',
    "quoted as octal": lambda token: f'{COOKIE}="\\{ord(token[0]):03o}{token[1:]}"',
    "percent": lambda token: f"{COOKIE}=%{ord(token[0]):02X}{token[1:]}",
    "truncated": lambda token: f"{COOKIE}={token[:-1]}",
    "longer": lambda token: f"{COOKIE}={token}A",
    "padded": lambda token: f"{COOKIE}={token}=",
    "of another installation": lambda token: f"{COOKIE}={'Q' * len(token)}",
    "space inside": lambda token: f"{COOKIE}={token[:9]} {token[9:]}",
    "comma": lambda token: f"{COOKIE}={token}, {COOKIE}={token}",
    "endless": lambda token: f"{COOKIE}={token * 20}",
    "empty": lambda token: "",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_cookie_that_is_not_exactly_ours_is_refused(
    kind: str, site: Site, session: Session
) -> None:
    """A sibling subdomain can plant all of these; none gets in, none ends anybody's session."""
    before = everything()
    headers = {"Cookie": PLANTED[kind](session.refresh_token)}
    answer = site.post("refresh/", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert site.post("logout/", headers=headers).status_code == 204
    assert everything() == before


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
