"""A signer that does not sign: log-ins and refreshes wait, and nothing is lost meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.keys import cache
from tests.http.site import COOKIE, Session, Site, everything, open_session
from tests.http.test_unavailable import _is_unavailable
from tests.keys.signers import DOWN, LocalSigner

RETRY = {"Idempotency-Key": "the page's retry key"}


@pytest.fixture
def signed(
    site: Site, credentials: dict[str, str], settings: Settings, tmp_path: Path
) -> Iterator[Session]:
    """A session whose tokens a signer has signed; `site` has its cookie."""
    settings.JWT_AUTH_KEY_SIGNER = {"BACKEND": "tests.keys.signers.LocalSigner"}
    settings.JWT_AUTH_KEY_STORE = {
        **settings.JWT_AUTH_KEY_STORE,
        "OPTIONS": {"PATH": str(tmp_path / "keys")},
    }
    call_command("generate_keys", verbosity=0)
    yield open_session(site, credentials)
    cache.reset()


@pytest.fixture
def down(signed: Session, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From now on it does not sign; `undo()` has it back."""
    monkeypatch.setattr(LocalSigner, "failure", DOWN)
    return monkeypatch


def test_token_of_a_signer_is_a_token(site: Site, signed: Session) -> None:
    """Log-in, request, refresh, key set: nobody sees a difference."""
    assert site.get("me/", headers=signed.bearer).status_code == 200
    assert site.post("refresh/").status_code == 200
    assert len(site.get("/.well-known/jwks.json").json()["keys"]) == 1


def test_log_in_is_503_and_opens_nothing(
    site: Site, down: Any, credentials: dict[str, str]
) -> None:
    """No session is left that nobody has."""
    before = everything()[0]
    assert _is_unavailable(site.post("login/", credentials))
    assert everything()[0] == before


def test_refresh_is_503_and_consumes_nothing(
    site: Site, down: pytest.MonkeyPatch, signed: Session
) -> None:
    """The same cookie is exchanged once the signer is back, with the same retry key or without."""
    before = everything()
    for _ in range(3):
        assert _is_unavailable(site.post("refresh/", headers=RETRY))
    assert everything() == before
    down.undo()
    answer = site.post("refresh/", headers=RETRY)
    assert answer.status_code == 200
    assert answer.cookies[COOKIE].value != signed.refresh_token


def test_password_change_is_503_and_changes_nothing(
    site: Site, down: pytest.MonkeyPatch, signed: Session, credentials: dict[str, str]
) -> None:
    """Whoever hears that it failed can go on with the password that they know."""
    before = everything()
    old, new = credentials["password"], "a new passphrase, a long one"
    body = {"old_password": old, "new_password": new}
    assert _is_unavailable(site.post("password/change/", body, headers=signed.bearer))
    assert everything() == before
    assert site.get("me/", headers=signed.bearer).status_code == 200
    down.undo()
    assert site.post("login/", credentials).status_code == 200
    assert site.post("password/change/", body, headers=signed.bearer).status_code == 200


def test_retry_whose_first_answer_was_lost_gets_it_once_the_signer_is_back(
    site: Site, signed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rotated, answer lost, signer down, signer back: still one lineage, and nobody logged out."""
    first = site.post("refresh/", headers=RETRY).cookies[COOKIE].value
    again = {**RETRY, **signed.cookie}
    site.cookies.clear()
    monkeypatch.setattr(LocalSigner, "failure", DOWN)
    assert _is_unavailable(site.post("refresh/", headers=again))
    monkeypatch.undo()
    site.cookies.clear()
    answer = site.post("refresh/", headers=again)
    assert answer.status_code == 200
    assert answer.cookies[COOKIE].value == first


def test_replay_ends_the_session_while_the_signer_is_down(
    site: Site, signed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief's use is judged before anything is signed, and answered as at any other time."""
    access_token = site.post("refresh/", headers=RETRY).json()["access_token"]
    monkeypatch.setattr(LocalSigner, "failure", DOWN)
    answer = Site().post("refresh/", headers=signed.cookie)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_refresh_token")
    bearer = {"Authorization": f"Bearer {access_token}"}
    assert site.get("me/", headers=bearer).status_code == 401
    monkeypatch.undo()
    assert site.post("refresh/").status_code == 401


def test_late_retry_is_superseded_while_the_signer_is_down(
    site: Site, signed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets no token in any case."""
    assert site.post("refresh/", headers=RETRY).status_code == 200
    assert site.post("refresh/").status_code == 200
    monkeypatch.setattr(LocalSigner, "failure", DOWN)
    before = everything()
    assert Site().post("refresh/", headers={**RETRY, **signed.cookie}).status_code == 409
    assert everything() == before


def test_verification_goes_on(site: Site, down: Any, signed: Session) -> None:
    """Requests, the key set and the way out need no signature."""
    assert site.get("me/", headers=signed.bearer).status_code == 200
    assert site.get("/.well-known/jwks.json").status_code == 200
    assert site.post("logout/").status_code == 204
    assert site.get("me/", headers=signed.bearer).status_code == 401
