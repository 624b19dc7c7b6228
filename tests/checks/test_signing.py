"""Whether the signer that is set fits, and signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.checks.backends import check_signer
from jwt_auth.checks.deployment import check_deployment
from jwt_auth.checks.keys import find_key_problem
from jwt_auth.checks.signing import check_signing
from jwt_auth.keys import cache
from tests.checks.scene import advice_of, ids_of
from tests.keys.signers import DOWN, LocalSigner


@pytest.fixture(autouse=True)
def ring(settings: Settings, no_ring: Path) -> Iterator[Path]:
    """A ring whose key is with the settings' signer."""
    settings.JWT_AUTH_KEY_SIGNER = {"BACKEND": "tests.keys.signers.LocalSigner"}
    call_command("generate_keys", verbosity=0)
    yield no_ring
    cache.reset()


def test_signer_that_signs_has_no_message() -> None:
    """A key without a private part is not a problem by itself."""
    assert list(check_signer()) == list(check_signing()) == []
    assert find_key_problem() is None
    assert not {"W050", "W051"} & set(ids_of(check_deployment(None)))


def test_algorithm_that_the_signer_does_not_have_is_an_error(settings: Settings) -> None:
    """The next rotation would fail."""
    settings.JWT_AUTH_ALGORITHM = "PS256"
    (message,) = check_signer()
    assert message.id == "jwt_auth.E051"
    assert advice_of(message) == 'Write JWT_AUTH_ALGORITHM = "ES256"'


def test_signer_that_is_down_is_a_warning_and_stops_no_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A running server still verifies; the warning gives the reason."""
    monkeypatch.setattr(LocalSigner, "failure", DOWN)
    assert find_key_problem() is None
    (message,) = [m for m in check_deployment(None) if m.id == "jwt_auth.W050"]
    assert "It is down." in message.msg


def test_signer_that_was_taken_out_of_the_settings_stops_the_server(settings: Settings) -> None:
    """Nobody could log in."""
    settings.JWT_AUTH_KEY_SIGNER = None
    problem = find_key_problem()
    assert problem is not None
    assert problem.id == "jwt_auth.E030"
    assert "JWT_AUTH_KEY_SIGNER" in problem.msg
    assert "rotate_keys" in str(problem.hint)


def test_key_that_is_still_in_the_ring_is_a_warning(settings: Settings) -> None:
    """The setting alone moves nothing."""
    signer, settings.JWT_AUTH_KEY_SIGNER = settings.JWT_AUTH_KEY_SIGNER, None
    call_command("rotate_keys", "--now")
    assert list(check_signing()) == []
    settings.JWT_AUTH_KEY_SIGNER = signer
    (message,) = check_signing()
    assert message.id == "jwt_auth.W051"
    assert "rotate_keys" in str(message.hint)


def test_missing_ring_is_named_by_another_check(ring: Path) -> None:
    """One fault, one message."""
    ring.unlink()
    assert list(check_signing()) == []
