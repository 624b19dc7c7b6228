"""POST revoke/ (RFC 7009)."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.models import RefreshTokenFamily, RevokedToken
from jwt_auth.tokens.refresh import issue_first
from tests.http.services import Service
from tests.http.site import Session, Site, everything

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]


@pytest.fixture
def revoke(site: Site, service: Service) -> Any:
    def revoke(token: str, **fields: str) -> None:
        answer = service.ask(site, "revoke/", token, **fields)
        assert (answer.status_code, answer.content) == (200, b"")

    return revoke


def _is_let_in(session: Session) -> bool:
    return bool(Site().get("me/", headers=session.bearer).status_code == 200)


HINTS = ["access_token", "refresh_token", "nonsense"]


@pytest.mark.parametrize("hint", HINTS)
def test_access_token_is_refused_alone(
    hint: str, revoke: Any, site: Site, session: Session
) -> None:
    """By its jti. Its session goes on, and the next access token is good."""
    revoke(session.access_token, token_type_hint=hint)
    assert not _is_let_in(session)
    token = site.post("refresh/").json()["access_token"]
    assert site.get("me/", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize("hint", HINTS)
def test_refresh_token_ends_its_session(
    hint: str, revoke: Any, site: Site, session: Session, bobs: Session
) -> None:
    """With every access token of it (RFC 7009 §2.1); the row says from where."""
    revoke(session.refresh_token, token_type_hint=hint)
    assert not _is_let_in(session)
    assert _is_let_in(bobs)
    assert site.post("refresh/").status_code == 401
    ended = RefreshTokenFamily.objects.get(pk=session.id)
    assert (ended.revocation_reason, ended.revoked_by_ip) == ("logout", "127.0.0.1")


def test_consumed_refresh_token_ends_its_session(revoke: Any, site: Site, session: Session) -> None:
    """So that a revocation wins every race with a refresh."""
    assert site.post("refresh/").status_code == 200
    revoke(session.refresh_token)
    assert site.post("refresh/").status_code == 401


def test_repeated_revocation_changes_nothing(
    revoke: Any, session: Session, user: AbstractBaseUser
) -> None:
    """A service that got no answer sends it again."""
    revoke(session.access_token)
    revoke(session.refresh_token)
    before = everything()
    revoke(session.access_token)
    revoke(session.refresh_token)
    assert everything() == before


@pytest.mark.parametrize("case", ["forged refresh", "unknown session", "tampered access", "text"])
def test_token_that_is_not_genuine_touches_no_session(
    case: str, revoke: Any, session: Session, bobs: Session
) -> None:
    """200 all the same: the service can do nothing about it (RFC 7009 §2.2)."""
    last = session.refresh_token[-1]
    tokens = {
        "forged refresh": session.refresh_token[:-1] + ("A" if last != "A" else "E"),
        "unknown session": issue_first(RefreshTokenFamily().pk).text,
        "tampered access": session.access_token[:-8] + bobs.access_token[-8:],
        "text": "no token",
    }
    before = everything()
    revoke(tokens[case])
    assert everything() == before


def test_access_token_of_a_deleted_session_is_denied_by_nothing(
    revoke: Any, session: Session
) -> None:
    """It is refused already, and another tenant's token has no session here either."""
    RefreshTokenFamily.objects.all().delete()
    revoke(session.access_token)
    assert not RevokedToken.objects.exists()
    assert not _is_let_in(session)


def test_unavailable_keys_revoke_no_access_token(
    site: Site, service: Service, session: Session, file_store: Any
) -> None:
    """503: the service must not believe that it is done (RFC 7009 §2.2.1). A refresh token needs
    no key.
    """
    answer = service.ask(site, "revoke/", session.access_token)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert service.ask(site, "revoke/", session.refresh_token).status_code == 200
    assert RefreshTokenFamily.objects.get().revoked_at is not None
