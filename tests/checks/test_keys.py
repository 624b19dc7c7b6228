"""The checks that there are keys to sign with."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.checks import CheckMessage, Error, run_checks
from pytest_django import Settings

from jwt_auth import checks, startup
from jwt_auth.checks import keys
from jwt_auth.checks.keys import check_keys, find_key_problem
from jwt_auth.exceptions import KeyStoreUnavailable
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from tests.checks.scene import advice_of, change_key
from tests.keys.issuer import Issuer
from tests.keys.reloading import signing_key
from tests.keys.remote.service import Answer


def _problem() -> CheckMessage:
    problem = find_key_problem()
    assert isinstance(problem, Error)
    assert problem.id == "jwt_auth.E030"
    return problem


def test_good_ring_has_no_message() -> None:
    assert find_key_problem() is None
    assert check_keys(None) == []
    assert checks.start_problems(serving=True) == []


class Clock:
    """Let time pass by sleeping, and let the store come back when the test says so."""

    def __init__(self) -> None:
        self.time, self.back_at = 0.0, 1e9

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def ring(self) -> KeyRing:
        if self.time < self.back_at:
            raise KeyStoreUnavailable("https://vault.example is sealed.")
        return get_key_store().load()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name in ("monotonic", "sleep"):
        monkeypatch.setattr(keys, name, getattr(clock, name))
    monkeypatch.setattr(cache, "get_ring", clock.ring)
    return clock


def test_start_waits_for_a_store_that_does_not_answer(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker that is replaced during an outage must not end the whole server."""
    clock.back_at = 50
    assert checks.start_problems(serving=True) == []
    assert 50 <= clock.time < 60
    assert "The start waits for the key store: https://vault.example is sealed." in caplog.text


def test_start_gives_up_after_a_minute_with_the_reason(clock: Clock) -> None:
    """The log says so, so that an operator can act."""
    (problem,) = checks.start_problems(serving=True)
    assert (problem.id, problem.msg) == ("jwt_auth.E030", "https://vault.example is sealed.")
    assert "is up" in str(problem.hint)
    assert 60 <= clock.time < 63


def test_ring_of_the_start_serves_the_first_request(ring: Path) -> None:
    """A store that is down by then does not matter."""
    assert checks.start_problems(serving=True) == []
    ring.unlink()
    assert signing_key(datetime.now(UTC)).kid


def test_missing_ring_is_a_warning_to_commands(no_ring: Path) -> None:
    """A build without secrets must run before there are keys."""
    (message,) = run_checks(tags=[checks.TAG])
    assert message.id == "jwt_auth.W030"
    assert not message.is_serious()
    problem = _problem()
    assert (message.msg, advice_of(message)) == (problem.msg, advice_of(problem))


@pytest.mark.parametrize("command", ["migrate", "migrate_schemas", "test"])
def test_missing_ring_is_no_news_to_the_commands_before_it(
    command: str, no_ring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first thing that a new project reads is not a warning of its next step."""
    monkeypatch.setattr(startup, "_started_as", "command")
    monkeypatch.setattr(sys, "argv", ["manage.py", command])
    assert check_keys(None) == []
    monkeypatch.setattr(sys, "argv", ["manage.py", "runserver"])
    assert [message.id for message in check_keys(None)] == ["jwt_auth.W030"]


def test_missing_ring_stops_a_server_only(no_ring: Path) -> None:
    """A script may need no keys, but a server would answer every request with 503."""
    assert checks.start_problems(serving=False) == []
    assert [problem.id for problem in checks.start_problems(serving=True)] == ["jwt_auth.E030"]


def test_wrong_settings_are_named_before_missing_keys(no_ring: Path, settings: Settings) -> None:
    """The settings say where the keys are, so their problems come first."""
    settings.JWT_AUTH_ISSUER = ""
    assert [problem.id for problem in checks.start_problems(serving=True)] == ["jwt_auth.E001"]


def test_exposed_ring_names_the_command_that_mends_it(ring: Path) -> None:
    """Others can read the private keys."""
    ring.chmod(0o644)
    assert f"chmod 600 {ring}" in _problem().msg


def test_torn_ring_says_that_a_backup_is_needed(ring: Path) -> None:
    """No command repairs a document that is cut off."""
    text = ring.read_text()
    ring.write_text(text[: len(text) // 2])
    assert "backup" in _problem().msg


def test_ring_whose_keys_have_all_expired_names_the_command(ring: Path) -> None:
    """Nothing can sign; a new key can be made at once."""
    now = datetime.now(UTC)
    times = {
        "created_at": (now - timedelta(days=2)).isoformat(),
        "activates_at": (now - timedelta(days=2)).isoformat(),
        "expires_at": (now - timedelta(days=1)).isoformat(),
    }
    change_key(ring, lambda key: key.update(times))
    assert "manage.py rotate_keys --now" in _problem().msg


def test_ring_with_a_key_that_cannot_be_used_is_named_at_the_start(ring: Path) -> None:
    """Otherwise the server would start, and fail at its first request."""
    change_key(ring, lambda key: key["jwk"].update(x="AAAA"))
    assert "rotate_keys --compromised KID" in str(_problem().hint)


def test_unreachable_store_says_who_has_to_reach_it(no_ring: Path) -> None:
    """The folder's place is taken by a file."""
    no_ring.parent.write_text("")
    no_ring.parent.chmod(0o600)
    assert "JWT_AUTH_KEY_STORE" in str(_problem().hint)


def test_wrong_store_is_left_to_the_check_of_settings(settings: Settings) -> None:
    """One message for one mistake."""
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "nothing"}
    assert find_key_problem() is None


def test_service_that_only_verifies_needs_no_ring(no_ring: Path, issuer: Issuer) -> None:
    """It starts with the issuer's keys, for its first request. No command asks for them."""
    assert check_keys(None) == []
    assert issuer.fetches == 0
    assert checks.start_problems(serving=True) == []
    assert cache.find_loaded_ring() is not None
    assert issuer.fetches == 1


@pytest.mark.parametrize("answer", [Answer(status=503), Answer(body=b"<html>")])
def test_service_that_only_verifies_starts_without_the_issuer(
    issuer: Issuer, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of the issuer must not keep other services from starting, or from restarting."""
    issuer.service.always = answer
    assert checks.start_problems(serving=True) == []
    assert f"The server starts without the issuer's keys: {issuer.url}" in caplog.text
    assert issuer.fetches == 1


def test_deployment_asks_the_issuer(issuer: Issuer) -> None:
    """There the address is a good one, or somebody is told."""
    assert find_key_problem() is None
    issuer.service.always = Answer(body=b"<html>")
    message = _problem()
    assert message.msg.startswith(f"{issuer.url}: The answer is not a JSON object")
    assert "JWT_AUTH_JWKS_URL" in advice_of(message)


def test_problem_quotes_no_private_key(ring: Path) -> None:
    """These texts reach logs."""
    change_key(ring, lambda key: key["jwk"].update(d="c2VjcmV0"))
    assert "c2VjcmV0" not in f"{_problem().msg} {_problem().hint}"
