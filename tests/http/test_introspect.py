"""POST introspect/ (RFC 7662)."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import Refusal
from jwt_auth.models import Reason, RefreshTokenFamily
from jwt_auth.signals import token_refused
from tests.conftest import GiveRoles
from tests.http.conftest import Clock
from tests.http.services import Service
from tests.http.site import Session, Site, everything

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

INACTIVE = {"active": False}
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def introspect(site: Site, service: Service) -> Any:
    def introspect(token: str, **fields: str) -> Any:
        answer = service.ask(site, "introspect/", token, **fields)
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        assert answer["Content-Type"] == "application/json"
        return answer.json()

    return introspect


def test_good_token_is_described(
    introspect: Any, session: Session, user: AbstractBaseUser, settings: Settings
) -> None:
    """By every claim, and by the two members that RFC 7662 §2.2 adds."""
    said = introspect(session.access_token)
    now = time.time()
    assert said["active"] is True
    assert said["token_type"] == "Bearer"
    assert (said["iss"], said["aud"]) == (settings.JWT_AUTH_ISSUER, settings.JWT_AUTH_AUDIENCE)
    assert (said["sub"], said["sid"]) == (str(user.pk), str(session.id))
    assert said["iat"] == said["nbf"] <= now < said["exp"]
    assert (said["client_id"], said["token_version"], said["roles"]) == ("web", 0, [])
    assert len(said["jti"]) == 32


def claims_of(user: object) -> dict[str, Any]:
    return {"tenant": "acme", "active": False, "token_type": "x", "scope": "read write"}


def test_own_claims_are_members_and_replace_no_other(
    site: Site,
    introspect: Any,
    credentials: dict[str, str],
    user: AbstractBaseUser,
    give_roles: GiveRoles,
    settings: Settings,
) -> None:
    """A claim named "active" of the project is not the verdict."""
    settings.JWT_AUTH_CLAIMS = f"{__name__}.claims_of"
    give_roles(user, "admin")
    said = introspect(site.post("login/", credentials).json()["access_token"])
    assert (said["active"], said["token_type"]) == (True, "Bearer")
    assert (said["tenant"], said["scope"], said["roles"]) == ("acme", "read write", ["admin"])


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "", "nonsense"])
def test_hint_makes_no_difference(hint: str, introspect: Any, session: Session) -> None:
    """RFC 7662 §2.1: it is a hint."""
    assert introspect(session.access_token, token_type_hint=hint)["active"]
    assert introspect(session.refresh_token, token_type_hint=hint) == INACTIVE


def _save_password(session: Session, user: Any) -> None:
    user.set_password("another")
    user.save()


def _deny(session: Session, user: Any) -> None:
    jti = jwt.decode(session.access_token, options={"verify_signature": False})["jti"]
    flows.deny_token(jti, user_id=user.pk, expires_at=LATER, now=datetime.now(UTC))


def _end(session: Session, user: Any) -> None:
    flows.end_session(session.id, reason=Reason.LOGOUT, client=None, now=datetime.now(UTC))


def _end_all(session: Session, user: Any) -> None:
    flows.end_user_sessions(user.pk, reason=Reason.LOGOUT, client=None, now=datetime.now(UTC))


def _deactivate(session: Session, user: Any) -> None:
    type(user)._base_manager.filter(pk=user.pk).update(is_active=False)


def _delete(session: Session, user: Any) -> None:
    user.delete()


def _keep_elsewhere(session: Session, user: Any) -> None:
    """Have the session be another tenant's, in whose database its row is."""
    RefreshTokenFamily.objects.filter(pk=session.id).delete()


@pytest.mark.parametrize(
    "happen", [_save_password, _deny, _end, _end_all, _deactivate, _delete, _keep_elsewhere]
)
def test_token_that_was_revoked_is_not_active(
    happen: Callable[[Session, Any], None],
    introspect: Any,
    session: Session,
    user: Any,
    bobs: Session,
) -> None:
    """From then on, and without a reason (RFC 7662 §2.2). Another user's token stays good."""
    assert introspect(session.access_token)["active"]
    happen(session, user)
    assert introspect(session.access_token) == INACTIVE
    assert introspect(bobs.access_token)["active"]


def test_token_that_we_did_not_sign_is_not_active(
    introspect: Any, session: Session, bobs: Session
) -> None:
    """With another user's claims, and with a key that we don't have."""
    header, payload, signature = session.access_token.split(".")
    other = bobs.access_token.split(".")[1]
    unknown = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJhdCtqd3QifQ"
    assert introspect(f"{header}.{other}.{signature}") == INACTIVE
    assert introspect(f"{unknown}.{payload}.{signature}") == INACTIVE


def test_token_is_not_active_from_its_exp_on(
    introspect: Any, session: Session, clock: Clock
) -> None:
    """At that very second it has expired."""
    exp = introspect(session.access_token)["exp"]
    clock.now = exp - 0.5
    assert introspect(session.access_token)["active"]
    clock.now = float(exp)
    assert introspect(session.access_token) == INACTIVE


def test_question_changes_nothing(introspect: Any, session: Session) -> None:
    """Neither about an access token nor about a refresh token."""
    before = everything()
    introspect(session.access_token)
    introspect(session.refresh_token)
    assert everything() == before


def test_refusal_is_told_with_the_service_as_its_client(
    site: Site, service: Service, session: Session
) -> None:
    """A stolen token that is tried at another service is seen here only."""
    told: list[Any] = []

    def listen(*, reason: Refusal, client: Any, **named: Any) -> None:
        told.append((reason, client.ip_address))

    token_refused.connect(listen)
    try:
        service.ask(site, "introspect/", session.access_token[:-9] + "AAAAAAAAA")
    finally:
        token_refused.disconnect(listen)
    assert told == [(Refusal.SIGNATURE, "127.0.0.1")]


def test_unavailable_keys_are_no_verdict(
    site: Site, service: Service, session: Session, file_store: Any
) -> None:
    """503: "active": false would have the service log its user out."""
    answer = service.ask(site, "introspect/", session.access_token)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
