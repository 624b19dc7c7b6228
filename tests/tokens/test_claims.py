"""The claims of a token whose signature is valid."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.models import RevokedToken
from jwt_auth.tokens.claims import (
    JTI_LENGTH,
    RESERVED,
    AccessToken,
    judge_claims,
    read_claims,
)
from tests.tokens.forging import MISSING, NOW, SESSION, Forge

SECONDS = int(NOW.timestamp())
TEXTS = ("iss", "sub", "jti", "sid", "token_use")
NUMBERS = ("exp", "nbf", "iat", "token_version")


def _verify(claims: dict[str, Any], *, now: datetime = NOW) -> AccessToken:
    token = read_claims(json.dumps(claims).encode(), kid="the-kid")
    judge_claims(token, now=now)
    return token


def _refusal(claims: dict[str, Any]) -> Refusal:
    with pytest.raises(AccessTokenRefused) as refused:
        _verify(claims)
    return refused.value.reason


def test_good_claims_become_an_access_token(forge: Forge) -> None:
    """Each claim has its type, and the project's own claims are included."""
    token = _verify(forge.claims(roles=["admin"], token_version=3, tenant="acme"))
    assert (token.kid, token.subject, token.jti) == ("the-kid", "1", "the-jti")
    assert (token.session_id, token.token_version) == (UUID(SESSION), 3)
    assert (token.issued_at, token.expires_at) == (NOW, NOW + timedelta(minutes=15))
    assert (token.roles, token.claims["tenant"]) == (("admin",), "acme")


def test_repr_of_an_access_token_shows_no_claims(forge: Forge) -> None:
    """A log record of a token names its session and nothing else."""
    token = _verify(forge.claims(email="alice@example.com"))
    assert repr(token) == f"<AccessToken of session {SESSION}>"


def test_claims_of_an_access_token_are_read_only(forge: Forge) -> None:
    """A view can't add a claim to a token."""
    token = _verify(forge.claims())
    with pytest.raises(TypeError):
        token.claims["roles"] = ["admin"]  # type: ignore[index]  # that is the point


def test_longest_jti_is_the_longest_that_can_be_denied() -> None:
    """The limit is the column's."""
    assert RevokedToken._meta.get_field("jti").max_length == JTI_LENGTH


def test_every_claim_that_is_issued_is_reserved(forge: Forge) -> None:
    """A project's own claims can't replace the package's claims. Not every token has an ``amr``."""
    assert forge.claims().keys() == RESERVED - {"amr"}


def test_token_from_before_auth_time_is_still_valid(forge: Forge) -> None:
    """An upgrade logs nobody out."""
    assert "auth_time" not in _verify(forge.claims(auth_time=MISSING)).claims


@pytest.mark.parametrize("name", [*TEXTS, *NUMBERS, "aud"])
def test_missing_claim_is_refused(name: str, forge: Forge) -> None:
    """Every claim that a decision depends on is required."""
    assert _refusal(forge.claims(**{name: MISSING})) == Refusal.CLAIM_MISSING


@pytest.mark.parametrize("name", ["client_id", "roles"])
def test_claim_that_decides_nothing_may_be_missing(name: str, forge: Forge) -> None:
    """A token without the claim has no roles."""
    assert _verify(forge.claims(**{name: MISSING})).roles == ()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", ["", None, 1, True, ["a"], {"a": "b"}])
def test_text_claim_of_another_type_is_refused(name: str, value: object, forge: Forge) -> None:
    """A text claim is a string that isn't empty."""
    assert _refusal(forge.claims(**{name: value})) == Refusal.CLAIM_TYPE


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [True, False, None, "1", 1.0, SECONDS + 0.5, -1, [1]])
def test_number_claim_of_another_type_is_refused(name: str, value: object, forge: Forge) -> None:
    """A number is an integer: true is not version 1, and 1e400 is not a time."""
    assert _refusal(forge.claims(**{name: value})) == Refusal.CLAIM_TYPE


@pytest.mark.parametrize("roles", ["admin", None, {"admin": True}, 1, ["admin", 1], [["admin"]]])
def test_roles_of_another_type_are_refused(roles: object, forge: Forge) -> None:
    """The string "administrator" contains "admin", so roles have to be a list of strings."""
    assert _refusal(forge.claims(roles=roles)) == Refusal.CLAIM_TYPE


@pytest.mark.parametrize(
    "issuer",
    ["https://auth.example", "https://auth.example.test/", "auth", " https://auth.example.test",
     "HTTPS://AUTH.EXAMPLE.TEST", "https://auth.example.test.evil.example"],
)  # fmt: skip
def test_other_issuer_is_refused(issuer: str, forge: Forge, settings: Settings) -> None:
    """The issuer is compared as a whole; a part of it is another issuer (CVE-2024-53861)."""
    settings.JWT_AUTH_ISSUER = "https://auth.example.test"
    assert _refusal(forge.claims(iss=issuer)) == Refusal.ISSUER


@pytest.mark.parametrize("audience", ["", "api", "example-api2", "example", ["example"], []])
def test_other_audience_is_refused(audience: object, forge: Forge, settings: Settings) -> None:
    """A token for another API is refused."""
    settings.JWT_AUTH_AUDIENCE = "example-api"
    assert _refusal(forge.claims(aud=audience)) == Refusal.AUDIENCE


@pytest.mark.parametrize("audience", [None, 1, {"example-api": 1}, ["example-api", 1], [None]])
def test_audience_of_another_type_is_refused(
    audience: object, forge: Forge, settings: Settings
) -> None:
    """An audience is a string or a list of strings, all of them (RFC 7519 §4.1.3)."""
    settings.JWT_AUTH_AUDIENCE = "example-api"
    assert _refusal(forge.claims(aud=audience)) == Refusal.CLAIM_TYPE


@pytest.mark.parametrize("audience", ["a", "b", ["a"], ["x", "b"]])
def test_one_audience_in_common_is_enough(
    audience: object, forge: Forge, settings: Settings
) -> None:
    """Both the claim and the setting may be lists."""
    settings.JWT_AUTH_AUDIENCE = ["a", "b"]
    assert _verify(forge.claims(aud=audience)).subject == "1"


@pytest.mark.parametrize("use", ["refresh", "ACCESS", "id", "access "])
def test_token_for_another_use_is_refused(use: str, forge: Forge) -> None:
    """A token that was issued for another purpose doesn't open the API."""
    assert _refusal(forge.claims(token_use=use)) == Refusal.TOKEN_USE


@pytest.mark.parametrize(
    "session",
    ["1", SESSION.upper(), SESSION.replace("-", ""), f"{{{SESSION}}}", f"urn:uuid:{SESSION}",
     f"{SESSION}\0", "../../etc/passwd", "' OR 1=1 --", "\ud800"],
)  # fmt: skip
def test_session_that_is_no_canonical_uuid_is_refused(session: str, forge: Forge) -> None:
    """A session ID has one spelling, so that a revocation can't miss it."""
    assert _refusal(forge.claims(sid=session)) == Refusal.CLAIM_TYPE


@pytest.mark.parametrize("leeway", [0, 30])
def test_token_is_over_at_exp(leeway: int, forge: Forge, settings: Settings) -> None:
    """At ``exp`` plus the leeway it has expired, a second earlier it hasn't (RFC 7519 §4.1.4)."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=leeway)
    assert _refusal(forge.claims(exp=SECONDS - leeway)) == Refusal.EXPIRED
    assert _verify(forge.claims(exp=SECONDS - leeway + 1)).subject == "1"


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("leeway", [0, 30])
def test_token_of_the_future_is_refused(
    name: str, leeway: int, forge: Forge, settings: Settings
) -> None:
    """A token is valid from ``nbf`` and ``iat`` on, minus the leeway."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=leeway)
    assert _refusal(forge.claims(**{name: SECONDS + leeway + 1})) == Refusal.NOT_YET_VALID
    assert _verify(forge.claims(**{name: SECONDS + leeway})).subject == "1"


def test_moment_before_exp_is_still_good(forge: Forge) -> None:
    """The time is compared with its fraction, without rounding."""
    claims = forge.claims(exp=SECONDS + 1)
    almost = NOW + timedelta(microseconds=999_999)
    assert _verify(claims, now=almost).subject == "1"


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("exp", Refusal.CLAIM_TYPE),
        ("nbf", Refusal.NOT_YET_VALID),
        ("iat", Refusal.NOT_YET_VALID),
    ],
)
def test_time_beyond_all_calendars_is_refused(name: str, refusal: Refusal, forge: Forge) -> None:
    """A number that is too large for a datetime is refused, without a crash."""
    assert _refusal(forge.claims(**{name: 10**30})) == refusal


def test_last_second_of_the_calendar_is_a_time(forge: Forge) -> None:
    """The largest possible time is accepted."""
    assert _verify(forge.claims(exp=253_402_300_799)).expires_at.year == 9999
    assert _refusal(forge.claims(exp=253_402_300_800)) == Refusal.CLAIM_TYPE
