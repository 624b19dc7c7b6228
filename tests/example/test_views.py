"""The example's own endpoints and its page."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.test import Client as Browser
from pytest_django import Settings

from example_project.demo.accounts import ACCOUNTS, PASSWORD
from jwt_auth.keys.stores.base import get_key_store, load_ring
from tests.conftest import GiveRoles, MakeUser
from tests.http.site import Site

pytestmark = [pytest.mark.example, pytest.mark.smoke]


def _bearer(user: AbstractBaseUser, password: str) -> dict[str, str]:
    body = {"username": user.get_username(), "password": password}
    token = Site().post("login/", body).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("slash", ["", "/"])
def test_hello_greets_any_user(slash: str, user: AbstractBaseUser, password: str) -> None:
    """The project's default permission is enough."""
    answer = Site().get(f"/api/hello{slash}", headers=_bearer(user, password))
    assert (answer.status_code, answer.json()) == (200, {"hello": "alice"})


def test_page_is_english_in_every_language() -> None:
    """Its texts aren't marked, so it must not be announced as German."""
    answer = Browser().get("/", secure=True, headers={"Accept-Language": "de"})
    assert (answer.status_code, answer["Content-Language"]) == (200, "en")


@pytest.mark.parametrize("path", ["hello", "admin/keys", "admin/metrics", "tenant"])
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
    assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
    answer = Site().get("/api/admin/metrics", headers=_bearer(admin, password))
    assert (answer.status_code, answer.json()) == (200, {"users": 2, "sessions": 2})


def test_keys_are_for_the_role_and_without_material(
    make_user: MakeUser, give_roles: GiveRoles, password: str
) -> None:
    """The ring's dates and states; of the key itself its name and algorithm, nothing else."""
    bob, admin = make_user("bob"), make_user("admin")
    give_roles(admin, "admin")
    refused = Site().get("/api/admin/keys/", headers=_bearer(bob, password))
    assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
    answer = Site().get("/api/admin/keys", headers=_bearer(admin, password))
    [key] = answer.json()
    ring_key = load_ring(get_key_store()).keys[0]
    assert key.pop("next_step").startswith("rotation due 20")
    assert datetime.fromisoformat(key.pop("created_at")) == ring_key.created_at
    assert datetime.fromisoformat(key.pop("activates_at")) == ring_key.activates_at
    assert key == {
        "kid": ring_key.kid,
        "algorithm": ring_key.algorithm,
        "state": "signing",
        "expires_at": None,
    }


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
    assert "default-src 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    html = page.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", html)
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)


@pytest.mark.parametrize("debug", [True, False])
def test_page_offers_the_demos_accounts_with_debug_only(debug: bool, settings: Settings) -> None:
    """Elsewhere the accounts don't exist, and must not be looked for."""
    settings.DEBUG = debug
    html = Browser().get("/", secure=True).content.decode()
    assert (PASSWORD in html) is debug
    names = re.findall(r'data-username="([^"]+)"', html)
    assert names == ([account.username for account in ACCOUNTS] if debug else [])


def test_page_can_be_read_before_its_script_runs(page: Any) -> None:
    """The side of a visitor without a session is there; its buttons wait for the script."""
    html = page.content.decode()
    assert re.search(r'data-when="out">', html)
    assert re.findall(r'<(\w+) [^>]*data-when="in"(?! hidden)', html) == []
    forms = re.findall(r"<form.*?</form>", html, re.DOTALL)
    assert len(forms) == 5
    assert all(re.findall(r"<button[^>]*>", form)[0].endswith(" disabled>") for form in forms)


def test_page_asks_browsers_for_caution() -> None:
    """The other headers, Django's and ours."""
    answer = Browser().get("/", secure=True)
    expected = {
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    assert {name: answer[name] for name in expected} == expected
    assert "camera=()" in answer["Permissions-Policy"]


def test_policy_of_the_page_is_not_the_admins(db: None) -> None:
    """Django's admin brings styles of its own, and goes on working."""
    answer = Browser().get("/admin/login/", secure=True)
    assert answer.status_code == 200
    assert "Content-Security-Policy" not in answer


def test_files_of_the_page_are_there(page: Any, db: None) -> None:
    """Also with DEBUG off, under a bare WSGI server; the scripts load the client by its path."""
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.content.decode())
    assert "/static/demo/page.js" in names
    names.append("/static/jwt_auth/client.js")
    for name in names:
        file: Any = Browser().get(name, secure=True)
        assert file.status_code == 200
        assert b"".join(file.streaming_content)
        file.close()


def test_page_is_to_read_only() -> None:
    """Nothing is sent to it."""
    assert Browser().post("/", secure=True).status_code == 405
