"""Tests of a service that only verifies: they sign the issuer's tokens, with keys in memory."""

from __future__ import annotations

import unittest
from datetime import UTC, datetime

import pytest
from django.test import SimpleTestCase
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth.conf import NO_REVOCATION
from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.testing import JWTAuthMixin, issue_access_token, settings_for_tests
from jwt_auth.tokens import access

pytestmark = pytest.mark.usefixtures("memory_keys")


@pytest.fixture(autouse=True)
def _service(settings: Settings) -> None:
    settings.JWT_AUTH_JWKS_URL = "https://auth.example.com/.well-known/jwks.json"
    settings.JWT_AUTH_REVOCATION = NO_REVOCATION


def test_token_of_any_user_is_accepted_without_a_database() -> None:
    """And none is fetched from the issuer."""
    client = APIClient()
    token = issue_access_token("42")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    answer = client.get("/api/hello/")
    assert answer.json()["hello"] == "42"


def test_roles_and_claims_are_in_the_token() -> None:
    token = access.verify(
        issue_access_token("42", roles=["admin"], tenant="acme"), now=datetime.now(UTC)
    )
    assert (token.subject, token.roles, token.claims["tenant"]) == ("42", ("admin",), "acme")
    assert issue_access_token("42") != issue_access_token("42")


def test_token_says_how_and_when_its_user_was_authenticated() -> None:
    text = issue_access_token("42", amr=["pwd", "otp"], auth_time=1_000_000_000)
    claims = access.verify(text, now=datetime.now(UTC)).claims
    assert (claims["amr"], claims["auth_time"]) == (["pwd", "otp"], 1_000_000_000)


def test_claim_of_a_reserved_name_is_an_error() -> None:
    with pytest.raises(ClaimsInvalid):
        issue_access_token("42", sub="43")


# ---- The settings of the tests


@pytest.fixture
def _fed(settings: Settings) -> None:
    """Have the service read the deny feed of an issuer that doesn't exist."""
    settings.JWT_AUTH_REVOCATION = {
        "BACKEND": "jwt_auth.revocation.deny_feed.DenyFeed",
        "OPTIONS": {"URL": "http://127.0.0.1:1/", "CLIENT_ID": "id", "CLIENT_SECRET": "secret"},
    }


@pytest.mark.usefixtures("_fed")
def test_mixin_asks_the_issuer_for_nothing() -> None:
    """Neither for its keys nor for what is revoked."""

    class Tests(JWTAuthMixin, SimpleTestCase):
        def test_token_is_accepted(self) -> None:
            header = {"Authorization": f"Bearer {issue_access_token('42', roles=['editor'])}"}
            answer = self.client.get("/api/auth/me/", headers=header)
            assert answer.json()["roles"] == ["editor"]

    result = unittest.TestResult()
    unittest.TestSuite([Tests("test_token_is_accepted")]).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_backend_of_a_service_that_shares_the_database_is_kept(settings: Settings) -> None:
    """Its tests have real sessions."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
    assert "JWT_AUTH_REVOCATION" not in settings_for_tests()
