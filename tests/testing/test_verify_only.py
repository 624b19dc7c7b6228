"""Tests of a service that only verifies: they sign the issuer's tokens, with keys in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from jwt_auth.conf import NO_REVOCATION
from jwt_auth.exceptions import ClaimsInvalid
from jwt_auth.testing import issue_access_token
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


def test_claim_of_a_reserved_name_is_an_error() -> None:
    with pytest.raises(ClaimsInvalid):
        issue_access_token("42", sub="43")
