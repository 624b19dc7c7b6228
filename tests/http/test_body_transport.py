"""The endpoints of `jwt_auth.urls.body`: refresh token in the bodies, no cookie."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_auth.models import RefreshTokenFamily
from tests.http.site import COOKIE, MOBILE, Session, Site, everything


@pytest.fixture
def issued(site: Site, credentials: dict[str, str]) -> dict[str, Any]:
    """What a mobile client's log-in has given."""
    body: dict[str, Any] = site.post(f"{MOBILE}login/", credentials).json()
    return body


def test_login_gives_both_tokens_and_no_cookie(site: Site, credentials: dict[str, str]) -> None:
    """Seven days are what the token lives, in seconds."""
    answer = site.post(f"{MOBILE}login/", credentials)
    assert answer.status_code == 200
    assert answer.json().keys() == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_token",
        "refresh_expires_in",
    }
    assert answer.json()["refresh_expires_in"] == 7 * 24 * 3600
    assert answer["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_refresh_takes_and_gives_the_token_in_the_body(site: Site, issued: dict[str, Any]) -> None:
    """The former token is consumed, a retry with it ends the session."""
    body = {"refresh_token": issued["refresh_token"]}
    answer = site.post(f"{MOBILE}refresh/", body)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != issued["refresh_token"]
    assert not answer.cookies
    assert site.post(f"{MOBILE}refresh/", body).status_code == 401


@pytest.mark.parametrize("body", [{}, {"refresh_token": ""}, {"refresh_token": "abc"}])
def test_refresh_without_good_token_is_refused(body: dict[str, str], site: Site) -> None:
    """The one answer, and no cookie is deleted where none was set."""
    answer = site.post(f"{MOBILE}refresh/", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    assert not answer.cookies


def test_logout_takes_the_token_in_the_body(site: Site, issued: dict[str, Any]) -> None:
    """The session ends; there is no cookie to delete."""
    answer = site.post(f"{MOBILE}logout/", {"refresh_token": issued["refresh_token"]})
    assert answer.status_code == 204
    assert not answer.cookies
    assert RefreshTokenFamily.objects.get().revocation_reason == "logout"


def test_password_change_gives_both_tokens(
    site: Site, issued: dict[str, Any], password: str
) -> None:
    """And the refresh token in the body is good."""
    answer = site.post(
        f"{MOBILE}password/change/",
        {"old_password": password, "new_password": "another staple, another horse"},
        headers={"Authorization": f"Bearer {issued['access_token']}"},
    )
    body = {"refresh_token": answer.json()["refresh_token"]}
    assert site.post(f"{MOBILE}refresh/", body).status_code == 200


@pytest.mark.parametrize(("endpoint", "status"), [("refresh/", 401), ("logout/", 204)])
def test_cookie_counts_for_nothing(
    endpoint: str, status: int, site: Site, session: Session
) -> None:
    """A browser that has one can't be used through this mount."""
    before = everything()
    answer = site.post(f"{MOBILE}{endpoint}", headers=session.cookie)
    assert answer.status_code == status
    assert everything() == before


@pytest.mark.parametrize("body", [{}, {"refresh_token": 7}, {"refresh_token": ["a"]}])
def test_logout_all_reads_no_token_in_the_body_and_deletes_no_cookie(
    body: dict[str, Any], site: Site, session: Session
) -> None:
    """There is no cookie that could be somebody else's: what is wrong with it hinders nobody."""
    answer = site.post(f"{MOBILE}logout-all/", body, headers=session.bearer)
    assert answer.status_code == 204
    assert COOKIE not in answer.cookies
