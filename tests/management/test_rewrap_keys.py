"""`rewrap_keys`: a new key-encryption key, and nobody notices."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from jwt_auth.exceptions import KeyStoreError
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.database import DatabaseKeyStore
from jwt_auth.models import StoredKeyRing
from tests.keys.databases import VARIABLE, new_kek
from tests.keys.reloading import signing_key

pytestmark = [pytest.mark.django_db, pytest.mark.sql]


@pytest.fixture
def kek(monkeypatch: pytest.MonkeyPatch) -> str:
    """The only key-encryption key so far."""
    text = new_kek()
    monkeypatch.setenv(VARIABLE, text)
    return text


@pytest.fixture
def store(settings: Settings, kek: str) -> DatabaseKeyStore:
    """The settings' store, with a ring."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore",
    }
    call_command("generate_keys", verbosity=0)
    store = get_key_store()
    assert isinstance(store, DatabaseKeyStore)
    return store


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    call_command("rewrap_keys", *arguments)
    return capsys.readouterr().out


def test_rewrapped_ring_needs_the_new_key_only(
    store: DatabaseKeyStore,
    kek: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The old one can go; the keys in the ring and their times stay as they are."""
    keys = store.load().keys
    new = new_kek()
    monkeypatch.setenv(VARIABLE, f"{new},{kek}")
    first, former = store.key_encryption_keys()
    output = run(capsys)
    assert f"The key ring was encrypted under {first}." in output
    assert f"Remove {former} once" in output
    assert not any(text in output for text in (new, kek))
    monkeypatch.setenv(VARIABLE, new)
    assert (store.load().keys, store.load().version) == (keys, 2)
    assert signing_key(datetime.now(UTC)).kid == keys[0].kid
    monkeypatch.setenv(VARIABLE, kek)
    with pytest.raises(KeyStoreError, match=first):
        store.load()


def test_second_run_changes_nothing(
    store: DatabaseKeyStore,
    kek: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And still says which key can go."""
    output = run(capsys)
    assert "already. Nothing was changed." in output
    assert "Remove" not in output
    monkeypatch.setenv(VARIABLE, f"{new_kek()},{kek}")
    run(capsys)
    document = StoredKeyRing.objects.get().document
    output = run(capsys)
    assert "already. Nothing was changed." in output
    assert "Remove" in output
    assert StoredKeyRing.objects.get().document == document


def test_dry_run_says_what_would_be_done(
    store: DatabaseKeyStore,
    kek: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And does nothing of it."""
    document = StoredKeyRing.objects.get().document
    monkeypatch.setenv(VARIABLE, f"{new_kek()},{kek}")
    output = run(capsys, "--dry-run")
    assert f"would be encrypted under {store.key_encryption_keys()[0]}" in output
    assert "Remove" not in output
    assert StoredKeyRing.objects.get().document == document


def test_ring_of_an_unknown_key_is_an_error(
    store: DatabaseKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose id is named."""
    (former,) = store.key_encryption_keys()
    monkeypatch.setenv(VARIABLE, new_kek())
    with pytest.raises(CommandError, match=f"{former}.*put that one back"):
        call_command("rewrap_keys")


def test_another_store_has_nothing_to_rewrap() -> None:
    """Only one store encrypts."""
    with pytest.raises(CommandError, match="not the database store"):
        call_command("rewrap_keys")
