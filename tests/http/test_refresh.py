"""POST refresh/ with the cookie. The rules of a rotation are tested with the flows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.urls import resolve
from pytest_django import Settings

from jwt_auth.models import RefreshTokenFamily
from jwt_auth.tokens import refresh
from tests.http.conftest import Clock
from tests.http.site import COOKIE, Session, Site, everything

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


def test_refresh_gives_tokens_and_the_next_cookie(site: Site, session: Session) -> None:
    """The session continues, with another refresh token."""
    answer = site.post("refresh/")
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "token_type", "expires_in"}
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "application/json"
    successor = answer.cookies[COOKIE].value
    assert successor != session.refresh_token
    assert RefreshTokenFamily.objects.get().current_digest == refresh.parse(successor).digest


def test_signature_of_the_token_is_checked_once(
    site: Site, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The throttle and the rotation get the token that was verified before them."""
    parsed: list[str] = []
    parse = refresh.parse

    def count(text: str) -> refresh.RefreshToken:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(refresh, "parse", count)
    assert site.post("refresh/").status_code == 200
    assert parsed == [session.refresh_token]


@pytest.mark.parametrize(
    "case", ["missing", "malformed", "forged", "expired", "revoked", "reused", "inactive"]
)
def test_refused_token_gets_one_answer_and_loses_its_cookie(
    case: str, site: Site, session: Session, user: AbstractBaseUser
) -> None:
    """No answer tells a thief what was wrong, and the browser's cookie is deleted."""
    presented = session.refresh_token
    now = datetime.now(UTC)
    match case:
        case "malformed":
            presented = "abc"
        case "forged":
            presented = presented[:-4] + ("AAAA" if presented[-4:] != "AAAA" else "BBBB")
        case "expired":
            RefreshTokenFamily.objects.update(expires_at=now)
        case "revoked":
            RefreshTokenFamily.objects.update(revoked_at=now)
        case "reused":
            site.post("refresh/")
        case "inactive":
            users: Any = type(user)._default_manager
            users.update(is_active=False)  # no signal: the session itself stays live
    cookie = "other=1" if case == "missing" else f"{COOKIE}={presented}"
    answer = site.post("refresh/", headers={"Cookie": cookie})
    assert answer.status_code == 401
    assert answer.json() == {
        "detail": "The refresh token is missing, invalid, expired or revoked.",
        "code": "invalid_refresh_token",
    }
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer["Cache-Control"] == "no-store"
    assert answer.cookies[COOKIE]["max-age"] == 0


@pytest.mark.parametrize("key", ["", "  ", "k" * 513])
def test_key_that_is_none_saves_nobody(key: str, site: Site, session: Session) -> None:
    """An empty or overlong key is ignored: the second use is a reuse."""
    headers = {"Idempotency-Key": key, **session.cookie}
    assert site.post("refresh/", headers=headers).status_code == 200
    assert site.post("refresh/", headers=headers).status_code == 401


def test_superseded_retry_changes_nothing(site: Site, session: Session) -> None:
    """A request that was stuck must not replace the cookie of the page that continued."""
    headers = {"Idempotency-Key": "stuck", **session.cookie}
    successor = site.post("refresh/", headers=headers).cookies[COOKIE].value
    site.post("refresh/", headers={"Cookie": f"{COOKIE}={successor}"})
    before = everything()
    answer = site.post("refresh/", headers=headers)
    assert answer.status_code == 409
    assert answer.json() == {
        "detail": "A newer refresh token of this session is in use; nothing was changed.",
        "code": "refresh_superseded",
    }
    assert not answer.cookies
    assert everything() == before


@pytest.mark.usefixtures("clock")
def test_hint_is_shown_to_developers_only(site: Site, session: Session, settings: Settings) -> None:
    """With DEBUG on, the answer to a replay within seconds explains its likely cause."""
    settings.DEBUG = True
    site.post("refresh/")
    detail = site.post("refresh/", headers=session.cookie).json()["detail"]
    assert "Idempotency-Key" in detail


def test_atomic_requests_do_not_revive_a_stolen_session(
    site: Site, session: Session, settings: Settings
) -> None:
    """The 401 of a reuse rolls nothing back: every view opts out of the request's transaction."""
    view = resolve("/api/auth/refresh/").func
    assert view._non_atomic_requests == {"default"}  # type: ignore[attr-defined]
    site.post("refresh/")
    site.post("refresh/", headers=session.cookie)
    assert RefreshTokenFamily.objects.get().revocation_reason == "reuse_detected"


def test_max_age_shrinks_to_the_end_of_the_session(
    site: Site, session: Session, clock: Clock
) -> None:
    """A cookie never outlives its session."""
    end = datetime.fromtimestamp(clock.now, UTC) + timedelta(minutes=10)
    RefreshTokenFamily.objects.update(absolute_expires_at=end)
    assert site.post("refresh/").cookies[COOKIE]["max-age"] == 599
