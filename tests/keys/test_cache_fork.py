"""The copy of a process that was forked: whatever its parent was about, it goes on alone."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from itertools import count

import pytest

from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from tests.keys.reloading import (
    Clock,
    Hanging,
    finish_reloads,
    holds_in_child,
    knows,
    stopped,
)
from tests.keys.stores import HELD, MemoryKeyStore


def test_child_that_is_forked_anywhere_loads_from_a_store_of_its_own(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Whatever a thread of its parent was about; an open connection serves one process only."""

    def loads() -> bool:
        clock.time += 60
        own = get_key_store()
        assert isinstance(own, MemoryKeyStore)
        own.ring = following
        return own is not loaded_store and cache.get_signing_key(now).kid == following.keys[1].kid

    for line in count(1):
        clock.time += 30
        with (
            loaded_store.held(),
            stopped(partial(cache.get_signing_key, now), line=line) as is_stopped,
        ):
            assert holds_in_child(loads)
        finish_reloads()
        if not is_stopped:
            break
    assert line > 10


def test_forked_child_asks_no_store_of_its_parent_for_a_stamp(
    loaded_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for anything else."""
    asked: list[str] = []
    monkeypatch.setattr(loaded_store, "stamp", lambda: asked.append("stamp"))
    assert holds_in_child(lambda: not knows("made up", now) and not asked)


@pytest.mark.usefixtures("_no_patience")
def test_forked_child_has_given_no_load_up(
    loaded_store: MemoryKeyStore, hanging: Hanging, clock: Clock, now: datetime
) -> None:
    """Its parent's threads are not there."""
    for _ in range(4):
        clock.time += 121
        hanging.hang(partial(cache.get_signing_key, now))

    def gives_up() -> bool:
        own = get_key_store()
        assert isinstance(own, MemoryKeyStore)
        for _ in range(2):
            own.asked.clear()
            own.answer.clear()
            cache.get_signing_key(now)
            assert own.asked.wait(HELD)
            clock.time += 121
        return own.loads == 2

    assert holds_in_child(gives_up)
