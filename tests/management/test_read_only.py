"""Commands on a database that can only be read, as a standby: one sentence, and no traceback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from jwt_auth.keys import jwk
from jwt_auth.keys.pem import jwk_to_pem
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.models import RefreshTokenFamily, RevokedToken, StoredKeyRing
from tests.flows.scene import log_in
from tests.keys.databases import VARIABLE, new_kek

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]

_STATEMENTS: Final = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ {}",
    "mysql": "SET SESSION TRANSACTION READ {}",
    "sqlite": "PRAGMA query_only = {}",
}
_WORDS: Final = {"sqlite": ("0", "1")}


@contextmanager
def read_only() -> Iterator[None]:
    """Have the database refuse whatever would change it."""
    writable, readable = _WORDS.get(connection.vendor, ("WRITE", "ONLY"))
    statement = _STATEMENTS[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement.format(readable))
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(statement.format(writable))


@pytest.fixture
def keys(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key ring in the database: a key that has expired, and one that signs."""
    monkeypatch.setenv(VARIABLE, new_kek())
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"}
    past = datetime.now(UTC) - timedelta(days=9)
    ring = KeyRing(version=0)
    for _ in range(2):
        ring = ring.with_next_key(jwk.generate("ES256"), past, past, timedelta(days=1))
    get_key_store().save(ring, expected_version=None)


@pytest.fixture
def session(user: AbstractBaseUser, keys: None) -> RefreshTokenFamily:
    return log_in(user).family


def refuse(*command: str, match: str) -> None:
    with read_only(), pytest.raises(CommandError, match=match) as refusal:
        call_command(*command)
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("what", ["--all", "--user", "--session", "--jti"])
def test_nothing_is_revoked(what: str, session: RefreshTokenFamily, user: AbstractBaseUser) -> None:
    """And nobody is told that it was."""
    values = {"--user": user.get_username(), "--session": str(session.pk), "--jti": "a-jti"}
    values_of = [f"{what}={values[what]}"] if what in values else [what]
    refuse("revoke_tokens", *values_of, match="not a read-only standby")
    session.refresh_from_db()
    assert session.revoked_at is None
    assert not RevokedToken.objects.exists()


def test_nothing_is_cleared(session: RefreshTokenFamily) -> None:
    """Where there is something to clear."""
    session.absolute_expires_at = datetime.now(UTC) - timedelta(days=9)
    session.save()
    refuse("clear_expired_tokens", match="not a read-only standby")
    assert RefreshTokenFamily.objects.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("rotate_keys",),
        ("rotate_keys", "--retire"),
        ("rotate_keys", "--compromised", "KID", "--yes"),
        ("import_key", "FILE"),
    ],
    ids=" ".join,
)
def test_ring_is_not_changed(command: tuple[str, ...], keys: None, tmp_path: Path) -> None:
    """By each command that would change it."""
    before = get_key_store().load()
    file = tmp_path / "key.pem"
    file.touch(mode=0o600)
    file.write_bytes(jwk_to_pem(jwk.generate("ES256")))
    named = {"KID": before.keys[1].kid, "FILE": str(file)}
    said = r"not a read-only standby\. The database said: .+\.( No session was ended|$)"
    refuse(*[named.get(word, word) for word in command], match=said)
    assert get_key_store().load() == before


def test_first_ring_is_not_made(keys: None) -> None:
    StoredKeyRing.objects.all().delete()
    refuse("generate_keys", match="not a read-only standby")


def test_ring_is_not_rewrapped(keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a new key-encryption key."""
    monkeypatch.setenv(VARIABLE, f"{new_kek()},{os.environ[VARIABLE]}")
    refuse("rewrap_keys", match="not a read-only standby")


def test_key_in_a_file_is_gone_and_the_sessions_are_not(
    session: RefreshTokenFamily, file_store: FileKeyStore
) -> None:
    """The sentence says what is left to do."""
    call_command("generate_keys", verbosity=0)
    (key,) = file_store.load().keys
    left = r"The key was dropped, but .* `manage\.py revoke_tokens --all` once the database is up"
    refuse("rotate_keys", "--yes", f"--compromised={key.kid}", match=left)
    assert file_store.load().find(key.kid) is None
