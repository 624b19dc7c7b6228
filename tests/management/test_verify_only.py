"""The key commands in a service that only verifies: the keys are shown, and none can be changed."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.keys.issuer import Issuer
from tests.management.commands import output_of


def test_issuers_keys_are_listed(issuer: Issuer) -> None:
    """Which of them signs, how old they are and what comes next is known at the issuer only."""
    issuer.rotate()
    rows = json.loads(output_of("list_keys", "--format", "json"))
    assert [row["kid"] for row in rows] == issuer.kids
    for row in rows:
        del row["kid"]
        assert row == {
            "algorithm": "EdDSA",
            "state": "verifying",
            "age": None,
            "created_at": None,
            "activates_at": None,
            "expires_at": None,
            "next_step": "see the issuer",
        }


def test_list_says_that_the_issuer_is_down(issuer: Issuer) -> None:
    with issuer.service.being_away(), pytest.raises(CommandError, match="can't be fetched"):
        call_command("list_keys")


@pytest.mark.parametrize(
    "command",
    [
        ["generate_keys"],
        ["rotate_keys"],
        ["rotate_keys", "--if-due", "--dry-run"],
        ["rotate_keys", "--retire"],
        ["rotate_keys", "--compromised", "a-key", "--yes"],
        ["import_key", "no-such-file.pem"],
        ["export_key", "a-key"],
        ["rewrap_keys"],
    ],
    ids=" ".join,
)
def test_command_that_needs_private_keys_says_where_to_run_it(
    issuer: Issuer, command: list[str]
) -> None:
    """Nothing is asked, made or read before."""
    with pytest.raises(CommandError) as refused:
        call_command(*command)
    assert str(refused.value) == (
        "This service only verifies tokens and has no private keys (JWT_AUTH_JWKS_URL): run this"
        " command at the issuer."
    )
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    "command",
    [
        ["revoke_tokens", "--all"],
        ["revoke_tokens", "--jti", "a-jti"],
        ["clear_expired_tokens"],
        ["create_service_client", "gateway"],
        ["deactivate_service_client", "gateway"],
    ],
    ids=" ".join,
)
def test_command_that_needs_sessions_says_where_to_run_it(
    issuer: Issuer, command: list[str]
) -> None:
    """No database is asked, and nobody is told that zero sessions have ended."""
    with pytest.raises(CommandError) as refused:
        call_command(*command)
    assert str(refused.value) == (
        "This service only verifies tokens and has no sessions (JWT_AUTH_JWKS_URL): run this"
        " command at the issuer."
    )


def test_command_runs_in_a_service_that_shares_the_database(
    issuer: Issuer, settings: Settings, db: None
) -> None:
    """There it ends sessions as at the issuer."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
    assert output_of("revoke_tokens", "--all") == "Ended 0 sessions of all users.\n"
