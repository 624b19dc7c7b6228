"""The deny feed's settings, at the issuer and at a service."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from jwt_auth.checks.backends import check_local_user, check_revocation
from tests.checks.scene import advice_of, ids_of, messages_of

OPTIONS: dict[str, Any] = {
    "URL": "https://auth.example.com/api/auth/denials/",
    "CLIENT_ID": "id",
    "CLIENT_SECRET": "s3cret",
}
JWKS_URL = "https://auth.example.com/.well-known/jwks.json"


def _revocation(**options: Any) -> dict[str, Any]:
    backend = "jwt_auth.revocation.deny_feed.DenyFeed"
    return {"BACKEND": backend, "OPTIONS": {**OPTIONS, **options}}


def _messages(settings: Settings, **options: Any) -> list[CheckMessage]:
    settings.JWT_AUTH_JWKS_URL = JWKS_URL
    settings.JWT_AUTH_REVOCATION = _revocation(**options)
    return list(check_revocation())


def _ids(settings: Settings, **options: Any) -> list[str]:
    return ids_of(_messages(settings, **options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"URL": "http://127.0.0.1:8000/denials/"},
        {"INTERVAL": 1, "MAX_STALENESS": 2.0},
        {"INTERVAL": 450, "MAX_STALENESS": 900},
    ],
    ids=str,
)
def test_good_options_pass(settings: Settings, options: dict[str, Any]) -> None:
    """Plain HTTP on the same machine only."""
    assert _ids(settings, **options) == []


@pytest.mark.parametrize(
    ("number", "options"),
    [
        ("E095", {"URL": "http://auth.example.com/denials/"}),
        ("E095", {"URL": "file:///etc/passwd"}),
        ("E095", {"URL": None}),
        ("E096", {"CLIENT_ID": ""}),
        ("E096", {"CLIENT_SECRET": None}),
        ("E097", {"INTERVAL": 0.5}),
        ("E097", {"INTERVAL": "5"}),
        ("E097", {"INTERVAL": True}),
        ("E097", {"INTERVAL": 40}),
        ("E097", {"MAX_STALENESS": 901}),
        ("E097", {"MAX_STALENESS": float("inf")}),
        ("E097", {"MAX_STALENESS": float("nan")}),
    ],
    ids=str,
)
def test_wrong_option_stops_the_start(
    settings: Settings, number: str, options: dict[str, Any]
) -> None:
    """Each with its id."""
    assert _ids(settings, **options) == [number]


def test_no_message_quotes_the_secret(settings: Settings) -> None:
    """Whatever else is wrong."""
    messages = _messages(settings, URL="x", CLIENT_ID="", INTERVAL=0)
    assert ids_of(messages) == ["E095", "E096", "E097"]
    assert "s3cret" not in str([(message.msg, message.hint) for message in messages])


def test_local_users_may_have_any_key(settings: Settings) -> None:
    """The project's callable finds them, so nothing compares their keys with the ``sub``."""
    settings.JWT_AUTH_LOCAL_USER = "tests.users.models.roles_of"
    settings.JWT_AUTH_REVOCATION = _revocation()
    assert list(check_local_user()) == []


def test_issuer_that_reads_a_feed_is_warned(settings: Settings) -> None:
    """Its own database knows what is revoked, at once."""
    (message,) = messages_of(settings, REVOCATION=_revocation())
    assert message.id == "jwt_auth.W095"
    assert "JWT_AUTH_JWKS_URL" in advice_of(message)
