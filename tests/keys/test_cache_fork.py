"""The copy in a forked process, which has none of its parent's threads."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import pytest

from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from tests.keys.reloading import Clock, Hanging, holds_in_child, knows, signing_key
from tests.keys.stores import MemoryKeyStore


@pytest.mark.parametrize("loads", [0, 1, 4])
@pytest.mark.usefixtures("_no_patience")
def test_child_has_the_copy_and_loads_from_its_own_store(
    loaded_store: MemoryKeyStore,
    hanging: Hanging,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    loads: int,
) -> None:
    """Even if the parent holds the lock, and hanging loads have all of its threads.

    The child opens another store, because an open connection can serve one process only.
    """
    for _ in range(loads):
        clock.time += 121
        hanging.hang(partial(signing_key, now))

    def loads_anew() -> bool:
        monkeypatch.setattr(cache, "PATIENCE", 60.0)
        former = cache.get_ring()
        own = get_key_store()
        assert isinstance(own, MemoryKeyStore)
        own.ring = following
        clock.time += 3600
        return own is not loaded_store and former == ring and cache.get_ring() == following

    with cache._cache._lock:
        assert holds_in_child(loads_anew)


def test_child_asks_its_parents_store_for_no_stamp(
    loaded_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for anything else."""
    asked: list[str] = []
    monkeypatch.setattr(loaded_store, "stamp", lambda: asked.append("stamp"))
    assert holds_in_child(lambda: not knows("made up", now) and not asked)
