"""Rings without a database: times that pass by assignment, and stores that a test owns."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from tests.keys.reloading import (
    PATIENCE,
    Clock,
    Hanging,
    Process,
    finish_reloads,
)
from tests.keys.stores import MemoryKeyStore


@pytest.fixture
def now() -> datetime:
    return datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def ring(now: datetime) -> KeyRing:
    """One ES256 key that signs."""
    return KeyRing(version=0).with_next_key(jwk.generate("ES256"), now, now, timedelta(minutes=16))


@pytest.fixture
def following(ring: KeyRing, now: datetime) -> KeyRing:
    """The ring after a rotation; its new key signs."""
    return ring.with_next_key(jwk.generate("EdDSA"), now, now, timedelta(minutes=16))


@pytest.fixture
def memory_store(settings: Settings, tmp_path: Path) -> MemoryKeyStore:
    """The settings' store: an empty one in memory that counts its reads."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "tests.keys.stores.MemoryKeyStore",
        "OPTIONS": {"name": str(tmp_path)},  # another value for each test, so another instance
    }
    store = get_key_store()
    assert isinstance(store, MemoryKeyStore)
    return store


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The clock of the process's copy, which stands still. A load has all the time it needs."""
    clock = Clock()
    monkeypatch.setattr(cache, "monotonic", clock)
    monkeypatch.setattr(cache, "PATIENCE", PATIENCE)
    yield clock
    finish_reloads()


@pytest.fixture
def starting(
    memory_store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> Process:
    """A process that has loaded nothing yet. Its store is empty."""
    return Process(memory_store, (ring, following), clock, now)


@pytest.fixture
def process(starting: Process) -> Process:
    """A process that has loaded a ring of one key once."""
    starting.store.ring = starting.ring
    starting.use()
    assert starting.store.loads == 1
    return starting


@pytest.fixture
def hanging(memory_store: MemoryKeyStore, clock: Clock) -> Iterator[Hanging]:
    """Loads of the store that hang for as long as the test wants."""
    hanging = Hanging(memory_store)
    yield hanging
    hanging.let_go()


@pytest.fixture
def _no_patience(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request waits for a load, as if the two seconds had passed."""
    monkeypatch.setattr(cache, "PATIENCE", 0.0)
