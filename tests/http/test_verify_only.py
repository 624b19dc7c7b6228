"""The endpoints of a service that only verifies: tokens are accepted, and none is given out."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from jwt_auth.keys import cache
from jwt_auth.models import RefreshTokenFamily
from tests.http.site import Session, Site, everything
from tests.keys.issuer import Issuer
from tests.tokens.forging import SESSION

UNAVAILABLE = {
    "detail": "The service is not available at the moment.",
    "code": "unavailable",
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_token_of_the_issuer_is_accepted_without_sql(issuer: Issuer) -> None:
    """The test allows no database. The user is made from the claims."""
    answer = Site().get("/api/hello/", headers=bearer(issuer.token(sub="42")))
    assert (answer.status_code, answer.json()["hello"]) == (200, "42")
    forged = issuer.token()[:-4] + "AAAA"
    assert Site().get("/api/hello/", headers=bearer(forged)).status_code == 401


def test_tokens_are_unavailable_without_keys(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """503, so that clients try again; the reason is in the log."""
    with issuer.service.being_away():
        answer = Site().get("/api/hello/", headers=bearer(issuer.token()))
    assert answer.status_code == 503
    assert f"Access tokens can't be verified: {issuer.url} can't be fetched" in caplog.text


def test_login_and_refresh_are_unavailable(
    session: Session,
    credentials: dict[str, str],
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are mounted by mistake, which W081 reports. No session changes."""
    before = everything()
    for path, body, headers in (("login/", credentials, {}), ("refresh/", {}, session.cookie)):
        answer = Site().post(path, body, headers=headers)
        assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
        assert not answer.cookies
        assert "This service only verifies tokens (JWT_AUTH_JWKS_URL)" in caplog.text
        caplog.clear()
    after = everything()
    assert [len(table) for table in before] == [len(table) for table in after]
    assert before[0] == after[0]


def test_profile_is_what_the_token_says(issuer: Issuer) -> None:
    """Without a database, and with empty texts for what isn't in the token."""
    token = issuer.token(sub="42", roles=["editor"], username="alice")
    answer = Site().get("me/", headers=bearer(token))
    expected = {"id": "42", "username": "alice", "email": "", "roles": ["editor"]}
    assert (answer.status_code, answer.json()) == (200, expected)
    answer = Site().get("me/", headers=bearer(issuer.token(email="alice@example.com")))
    assert answer.json()["email"] == "alice@example.com"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "login/"),
        ("post", "refresh/"),
        ("post", "logout/"),
        ("post", "logout-all/"),
        ("get", "sessions/"),
        ("delete", f"sessions/{SESSION}/"),
        ("post", "password/change/"),
        ("post", "password/reset/"),
        ("post", "password/reset/confirm/"),
        ("post", "email/send-confirmation/"),
        ("post", "email/confirm/"),
        ("post", "introspect/"),
    ],
)
def test_endpoint_that_needs_sessions_is_unavailable(
    issuer: Issuer, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A 204 of logout/ or an empty list of sessions would be a lie. No database is asked."""
    answer = getattr(Site(), method)(path, headers=bearer(issuer.token()))
    assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert "users log in and out at the issuer" in caplog.text


def test_service_that_shares_the_database_lists_sessions(
    session: Session, issuer: Issuer, settings: Settings
) -> None:
    """It says so by naming a backend that looks there."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
    row = RefreshTokenFamily.objects.get(pk=session.id)
    claims = {"sub": str(row.user_id), "sid": str(row.pk)}
    answer = Site().get("sessions/", headers=bearer(issuer.token(**claims)))
    assert [each["id"] for each in answer.json()] == [str(row.pk)]


def test_mounted_key_set_is_the_issuers(issuer: Issuer) -> None:
    """A service behind this one can verify with it, for as long as this one does."""
    answer = Site().get("/.well-known/jwks.json")
    assert (answer.status_code, answer.json()) == (200, {"keys": issuer.key_set()})
    cache.reset()
    with issuer.service.being_away():
        assert Site().get("/.well-known/jwks.json").status_code == 503
