"""The copy in a forked process, which has none of its parent's threads."""

from __future__ import annotations

import pytest

from jwt_auth.keys import cache
from jwt_auth.keys.stores.base import get_key_store
from tests.keys.reloading import Hanging, Process, holds_in_child
from tests.keys.stores import MemoryKeyStore


@pytest.mark.parametrize("loads", [0, 1, 4])
@pytest.mark.usefixtures("_no_patience")
def test_child_has_the_copy_and_loads_from_its_own_store(
    process: Process, hanging: Hanging, monkeypatch: pytest.MonkeyPatch, loads: int
) -> None:
    """Even if the parent holds the lock, and hanging loads have all of its threads.

    The child opens another store, because an open connection can serve one process only.
    """
    for _ in range(loads):
        process.let_pass(121)
        hanging.hang(process.request)

    def loads_anew() -> bool:
        monkeypatch.setattr(cache, "PATIENCE", 60.0)
        former = process.request()
        own = get_key_store()
        assert isinstance(own, MemoryKeyStore)
        own.ring = process.following
        process.let_pass(3600)
        has_both = (former, process.request()) == (process.kid, process.new_kid)
        return own is not process.store and has_both

    with cache._cache._lock:
        assert holds_in_child(loads_anew)


def test_child_asks_its_parents_store_for_no_stamp(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for anything else."""
    asked: list[str] = []
    monkeypatch.setattr(process.store, "stamp", lambda: asked.append("stamp"))
    assert holds_in_child(lambda: not process.knows("made up") and not asked)
