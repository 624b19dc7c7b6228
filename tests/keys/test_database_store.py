"""The database store: one row, encrypted, and whoever is second is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import current_thread
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.core import serializers
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from pytest_django import Settings

from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTorn,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import database_access
from jwt_auth.keys.stores.base import KeyStore, load_ring, save_ring
from jwt_auth.keys.stores.database import DatabaseKeyStore
from jwt_auth.models import StoredKeyRing
from tests.keys.contract import KeyStoreContract, Storage
from tests.keys.databases import VARIABLE, DatabaseStorage, another_database, new_kek
from tests.keys.frames import shown_of
from tests.keys.reloading import Clock, use

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.smoke]


@pytest.fixture(autouse=True)
def kek(monkeypatch: pytest.MonkeyPatch) -> str:
    """The key-encryption key in the environment."""
    text = new_kek()
    monkeypatch.setenv(VARIABLE, text)
    return text


@pytest.fixture
def store() -> DatabaseKeyStore:
    return DatabaseKeyStore()


@pytest.fixture
def saved(store: DatabaseKeyStore, ring: KeyRing) -> DatabaseKeyStore:
    """The store with a ring in it."""
    store.save(ring, expected_version=None)
    return store


@pytest.fixture
def storage(kek: str) -> DatabaseStorage:
    return DatabaseStorage(kek)


class TestContract(KeyStoreContract):
    # Threads see only what was committed.

    @pytest.mark.django_db(transaction=True)
    def test_of_many_simultaneous_saves_one_wins(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, now: datetime
    ) -> None:
        """The comparison and the exchange are one statement."""
        super().test_of_many_simultaneous_saves_one_wins(saved, storage, ring, now)

    @pytest.mark.django_db(transaction=True)
    def test_of_many_simultaneous_first_saves_one_wins(
        self, store: KeyStore, storage: Storage, now: datetime
    ) -> None:
        """The row's primary key decides."""
        super().test_of_many_simultaneous_first_saves_one_wins(store, storage, now)


def test_row_has_nothing_private(saved: DatabaseKeyStore, ring: KeyRing, kek: str) -> None:
    """Whoever has a dump of it has no key; which keys there are can be read."""
    dump = serializers.serialize("json", StoredKeyRing.objects.all())
    assert ring.keys[0].kid in dump
    assert not any(secret in dump for secret in (ring.keys[0].jwk["d"], kek))
    assert str(StoredKeyRing.objects.get()) == "key ring, version 1"


def test_row_is_on_no_admin_page() -> None:
    """And there is no permission that could be given by mistake."""
    assert not admin.site.is_registered(StoredKeyRing)
    assert not Permission.objects.filter(content_type__model="storedkeyring").exists()


def test_row_under_another_version_is_refused(saved: DatabaseKeyStore, ring: KeyRing) -> None:
    """An old document was put in place of the one that took a compromised key away."""
    StoredKeyRing.objects.update(version=2)
    with pytest.raises(KeyRingTorn, match="row's version") as torn:
        load_ring(saved)
    assert not any(ring.keys[0].jwk["d"] in text for text in shown_of(torn.value))


def test_document_of_a_missing_key_names_it(
    saved: DatabaseKeyStore, monkeypatch: pytest.MonkeyPatch, kek: str
) -> None:
    """By its id, with those that there are; nothing is torn, so nothing has to be made anew."""
    (former,) = saved.key_encryption_keys()
    monkeypatch.setenv(VARIABLE, new_kek())
    (other,) = saved.key_encryption_keys()
    with pytest.raises(KeyStoreError, match=f"{former}.* has {other}: put that one back") as error:
        saved.load()
    assert "generate_keys" not in str(error.value)
    assert kek not in str(error.value)
    monkeypatch.setenv(VARIABLE, f"{new_kek()},{kek}")
    assert saved.load().version == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not set"),
        ("aHVudGVyMg==", "has 7 bytes instead of 32"),
        ("!", "is not base64"),
    ],
)
def test_unfit_key_encryption_key_says_what_to_write(
    saved: DatabaseKeyStore,
    ring: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    reason: str,
) -> None:
    """At a load and at a save: the command that makes a good one."""
    monkeypatch.setenv(VARIABLE, text)
    line = rf"{reason}.*Set {VARIABLE} to what `openssl rand -base64 32` prints"
    for attempt in (saved.load, lambda: saved.save(ring, expected_version=1), saved.is_wrapped):
        with pytest.raises(KeyStoreError, match=line) as error:
            attempt()
        assert "aHVu" not in str(error.value)


def test_unfit_key_encryption_key_shows_none_in_an_error_report(
    saved: DatabaseKeyStore, monkeypatch: pytest.MonkeyPatch, kek: str
) -> None:
    """Neither the one that is unfit nor the one beside it."""
    monkeypatch.setenv(VARIABLE, f"{kek},aHVudGVyMg==")
    for attempt in (
        lambda: load_ring(saved),
        lambda: save_ring(saved, KeyRing(version=2), expected_version=1),
        saved.is_wrapped,
        saved.key_encryption_keys,
    ):
        with pytest.raises(KeyStoreError, match="7 bytes") as error:
            attempt()
        shown = shown_of(error.value)
        assert not any(secret in text for text in shown for secret in (kek, "aHVu", "hunter2"))


def test_torn_row_has_no_key_encryption_key(saved: DatabaseKeyStore) -> None:
    """What asks for it gets the same answer as a load."""
    StoredKeyRing.objects.update(document="{")
    with pytest.raises(KeyRingTorn, match="backup"):
        saved.is_wrapped()


@pytest.mark.django_db(transaction=True)
def test_missing_table_of_this_database_says_to_migrate(
    saved: DatabaseKeyStore, ring: KeyRing
) -> None:
    """In the words of each database."""
    with connection.schema_editor() as editor:
        editor.delete_model(StoredKeyRing)
    try:
        for attempt in (saved.load, lambda: saved.save(ring, expected_version=None)):
            with pytest.raises(
                KeyStoreError, match=r"run `manage\.py migrate`\. The database said: .+$"
            ) as missing:
                attempt()
            assert not isinstance(missing.value, KeyStoreUnavailable)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(StoredKeyRing)


def test_error_leaves_the_callers_transaction_usable(
    saved: DatabaseKeyStore, ring: KeyRing
) -> None:
    """A request in an atomic block goes on with the keys that it has."""
    with transaction.atomic():
        with connection.execute_wrapper(_elsewhere):
            with pytest.raises(KeyStoreError, match="migrate"):
                saved.load()
            with pytest.raises(KeyStoreError, match="migrate"):
                saved.save(ring, expected_version=1)
        with pytest.raises(KeyRingExists):
            saved.save(ring, expected_version=None)
        assert saved.load() == ring


def _elsewhere(execute: Callable[..., object], sql: str, *rest: Any) -> object:
    """Run a statement on a table that is not there."""
    return execute(sql.replace(StoredKeyRing._meta.db_table, "jwt_auth_nowhere"), *rest)


def test_save_in_an_atomic_block_counts_with_it(
    saved: DatabaseKeyStore, ring: KeyRing, following: KeyRing
) -> None:
    """And is undone with it."""
    with transaction.atomic():
        saved.save(following, expected_version=1)
        with pytest.raises(KeyRingConflict):
            saved.save(following, expected_version=1)
        assert saved.load() == following
        transaction.set_rollback(True)
    assert saved.load() == ring


@pytest.mark.django_db(transaction=True)
def test_rings_are_in_the_database_that_routers_name(
    store: DatabaseKeyStore, ring: KeyRing
) -> None:
    """The one for writing, for loads too: a replica may not have the newest key."""
    with another_database("keys", closed=False):
        assert store.describe() == "the table jwt_auth_storedkeyring of the database 'keys'"
        with pytest.raises(KeyRingMissing, match="'keys'"):
            store.load()
        store.save(ring, expected_version=None)
    assert store.load() == ring


@pytest.mark.django_db(transaction=True)
def test_reload_in_the_background_leaves_no_connection_open(
    saved: DatabaseKeyStore, settings: Settings, clock: Clock, now: datetime
) -> None:
    """Its thread ends, and nobody else could close it."""
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"}
    opened: list[BaseDatabaseWrapper] = []

    def remember(*, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if current_thread().name == "jwt_auth-keys":
            opened.append(connection)

    use(now)
    clock.time += 30
    connection_created.connect(remember)
    use(now)
    connection_created.disconnect(remember)
    assert [connection.connection for connection in opened] == [None]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite waits for its own time-out")
@pytest.mark.parametrize("is_first", [False, True])
def test_row_that_another_transaction_holds_is_not_waited_for(
    store: DatabaseKeyStore,
    ring: KeyRing,
    following: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
    is_first: bool,
) -> None:
    """A forgotten shell would else have `rotate_keys`, or `generate_keys`, hang without a word."""
    monkeypatch.setattr(database_access, "_LOCK_SECONDS", 1)
    if not is_first:
        store.save(ring, expected_version=None)
    expected, wanted = (None, ring) if is_first else (1, following)

    def save() -> None:
        try:
            store.save(wanted, expected_version=expected)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        if is_first:
            StoredKeyRing.objects.create(pk=1, version=1, document="of another command")
        else:
            list(StoredKeyRing.objects.select_for_update())
        busy = pool.submit(save).exception(60)
        transaction.set_rollback(True)
    assert isinstance(busy, KeyStoreUnavailable)
    assert "another transaction held a lock for too long" in str(busy)
    store.save(wanted, expected_version=expected)
