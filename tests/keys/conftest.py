"""Rings without a database: times that pass by assignment, and stores that a test owns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.stores import MemoryKeyStore


@pytest.fixture
def now() -> datetime:
    return datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ring(now: datetime) -> KeyRing:
    """One ES256 key that signs."""
    return KeyRing(version=0).with_next_key(jwk.generate("ES256"), now, now, timedelta(minutes=16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a file store will make its folder."""
    return tmp_path / "keys"


@pytest.fixture
def file_store(folder: Path, settings: Settings) -> FileKeyStore:
    """The settings' store: an empty file store."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(folder)},
    }
    store = get_key_store()
    assert isinstance(store, FileKeyStore)
    return store


@pytest.fixture
def memory_store(settings: Settings, tmp_path: Path) -> MemoryKeyStore:
    """The settings' store: an empty one in memory that counts its reads."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "tests.keys.stores.MemoryKeyStore",
        "OPTIONS": {"name": str(tmp_path)},  # a value of its own, so an instance of its own
    }
    store = get_key_store()
    assert isinstance(store, MemoryKeyStore)
    return store
