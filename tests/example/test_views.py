"""The example's own endpoints and its page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.test import Client as Browser

from tests.conftest import GiveRoles, MakeUser
from tests.http.site import Site

pytestmark = pytest.mark.example


def _bearer(user: AbstractBaseUser, password: str) -> dict[str, str]:
    body = {"username": user.get_username(), "password": password}
    token = Site().post("login/", body).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_hello_greets_any_user(slash: str, user: AbstractBaseUser, password: str) -> None:
    """The project's default permission is enough."""
    answer = Site().get(f"/api/hello{slash}", headers=_bearer(user, password))
    assert (answer.status_code, answer.json()) == (200, {"hello": "alice"})


@pytest.mark.parametrize("path", ["hello", "admin/metrics", "tenant"])
@pytest.mark.parametrize(
    ("header", "code"),
    [({}, "not_authenticated"), ({"Authorization": "Bearer x"}, "invalid_token")],
)
def test_nobody_gets_401(path: str, header: dict[str, str], code: str, db: None) -> None:
    """In the package's own form, with its challenge."""
    answer = Site().get(f"/api/{path}/", headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer["WWW-Authenticate"].startswith('Bearer realm="api"')


def test_metrics_are_for_the_role(
    make_user: MakeUser, give_roles: GiveRoles, password: str
) -> None:
    """A group of that name; the numbers are of users and of sessions that could be refreshed."""
    bob, admin = make_user("bob"), make_user("admin")
    give_roles(admin, "admin")
    refused = Site().get("/api/admin/metrics/", headers=_bearer(bob, password))
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    answer = Site().get("/api/admin/metrics", headers=_bearer(admin, password))
    assert (answer.status_code, answer.json()) == (200, {"users": 2, "sessions": 2})


@pytest.mark.parametrize(("tenant", "status"), [("acme", 200), ("", 403)])
def test_tenant_is_read_from_the_token(
    tenant: str, status: int, make_user: MakeUser, password: str
) -> None:
    """A claim of the project's own; without one there is no way in."""
    answer = Site().get("/api/tenant", headers=_bearer(make_user(tenant=tenant), password))
    assert answer.status_code == status
    if tenant:
        assert answer.json() == {"tenant": "acme"}


@pytest.fixture
def page() -> Any:
    """The page at `/`."""
    return Browser().get("/", secure=True)


def test_page_runs_no_script_but_its_own(page: Any) -> None:
    """The policy allows the site's own files only, and the page needs nothing else."""
    assert page.status_code == 200
    policy = page["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    html = page.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", html)
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)


def test_files_of_the_page_are_there(page: Any, db: None) -> None:
    """Also with DEBUG off, under a bare WSGI server."""
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.content.decode())
    assert names
    for name in names:
        file: Any = Browser().get(name, secure=True)
        assert file.status_code == 200
        assert b"".join(file.streaming_content)
        file.close()


def test_page_is_to_read_only() -> None:
    """Nothing is sent to it."""
    assert Browser().post("/", secure=True).status_code == 405
