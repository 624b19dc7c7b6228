"""Paths: with and without the slash, and wherever a project mounts them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse
from pytest_django import Settings

from tests.http.site import COOKIE, MOBILE, MOUNT, Session, Site

pytestmark = pytest.mark.smoke

ENDPOINTS = [
    ("POST", "login"),
    ("POST", "refresh"),
    ("POST", "logout"),
    ("POST", "logout-all"),
    ("GET", "me"),
    ("GET", "sessions"),
    ("DELETE", "sessions/{session}"),
    ("POST", "password/change"),
    ("GET", "verify"),
]


@pytest.mark.parametrize("mount", [MOUNT, MOBILE])
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_slash_makes_no_difference(
    method: str,
    path: str,
    slash: str,
    mount: str,
    site: Site,
    session: Session,
    credentials: dict[str, str],
    password: str,
) -> None:
    """No redirect, which would lose a POST's body, and no 404."""
    body = {
        **credentials,
        "refresh_token": session.refresh_token,
        "old_password": password,
        "new_password": "another staple, another horse",
    }
    answer = site.generic(
        method,
        f"{mount}{path.format(session=session.id)}{slash}",
        json.dumps(body),
        "application/json",
        headers=session.bearer,
    )
    assert answer.status_code in {200, 204}, answer.content


@pytest.mark.parametrize("path", ["login//", "xlogin/", "login/x", "sessions//", "me%0A"])
def test_other_paths_are_not_ours(path: str, site: Site) -> None:
    """Nothing before, between or after."""
    assert site.post(path, headers={"Accept": "*/*"}).status_code == 404


def test_names_are_for_reversing() -> None:
    """Templates and tests of projects name them."""
    assert reverse("jwt_auth:login").startswith("/api/auth/login")
    assert reverse("jwt_auth:password-reset").startswith("/api/auth/password/reset")
    assert reverse("jwt_auth_body:email-confirm").startswith("/api/mobile/auth/email/confirm")
    assert reverse("jwt_auth_body:password-change").startswith("/api/mobile/auth/password/change")
    assert "/sessions/1" in reverse("jwt_auth:session", kwargs={"session_id": "1"})


@pytest.mark.urls("tests.http.urls")
@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("mount", "cookie_path"),
    [
        ("/api/auth/", "/api/auth/"),
        ("/shop/auth/", "/shop/auth/"),
        ("/t/acme/auth/", "/t/acme/auth/"),
        ("/t/a%3Bb%20c/auth/", "/t/a%3Bb%20c/auth/"),
        ("/t/caf%C3%A9/auth/", "/t/caf%C3%A9/auth/"),
        ("/", "/"),
    ],
)
def test_cookie_path_follows_the_mount(
    mount: str, cookie_path: str, slash: str, site: Site, credentials: dict[str, str], password: str
) -> None:
    """Set, rotated and deleted where the browser will send it, and nowhere else."""
    login = site.post(f"{mount}login{slash}", credentials)
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    refresh = site.post(f"{mount}refresh{slash}")
    body = {"old_password": password, "new_password": "another staple, another horse"}
    change = site.post(f"{mount}password/change{slash}", body, headers=bearer)
    bearer = {"Authorization": f"Bearer {change.json()['access_token']}"}
    refused = site.post(f"{mount}refresh{slash}", headers={"Cookie": "other=1"})
    logout = site.post(f"{mount}logout{slash}")
    paths = [answer.cookies[COOKIE]["path"] for answer in (login, refresh, change, refused, logout)]
    assert paths == [cookie_path] * 5


@pytest.mark.urls("tests.http.urls")
def test_every_endpoint_takes_the_parameter_of_its_mount(
    site: Site, credentials: dict[str, str]
) -> None:
    """A tenant in the path reaches each view and disturbs none."""
    mount = "/t/acme/auth/"
    token = site.post(f"{mount}login/", credentials).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    (listed,) = site.get(f"{mount}sessions/", headers=bearer).json()
    assert site.get(f"{mount}me/", headers=bearer).status_code == 200
    answer = site.delete(f"{mount}sessions/{listed['id']}/", headers=bearer)
    assert answer.status_code == 204
    assert site.post(f"{mount}logout-all/", headers=bearer).status_code == 401


@pytest.mark.parametrize("by", ["setting", "server"])
def test_prefix_of_the_site_is_part_of_the_path(
    by: str, site: Site, credentials: dict[str, str], settings: Settings
) -> None:
    """FORCE_SCRIPT_NAME, or the server's SCRIPT_NAME: the browser sees it, so the cookie has it."""
    extra: dict[str, Any] = {}
    if by == "setting":
        settings.FORCE_SCRIPT_NAME = "/app"
    else:
        extra["SCRIPT_NAME"] = "/app"
    answer = site.post("login/", credentials, **extra)
    assert answer.cookies[COOKIE]["path"] == "/app/api/auth/"
