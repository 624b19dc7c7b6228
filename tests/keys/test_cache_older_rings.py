"""The copy and an older ring.

It may come from a replica that lags, and hold a key that was withdrawn as compromised. Or an
operator has restored a backup, and wants it to be used.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from jwt_auth.keys import cache, lifecycle
from tests.keys.reloading import Process, finish_reloads
from tests.keys.stores import MemoryKeyStore


@pytest.fixture
def store(process: Process) -> MemoryKeyStore:
    """The process's store. The key of its first ring was compromised, and has left the copy."""
    process.store.ring = process.following.without(process.kid)
    process.let_pass(60)
    process.use()
    return process.store


def verifies(process: Process, kid: str | None = None, *, after: float = 0) -> bool:
    """Whether the key is known then, or that of the first ring. Loads that this has started have
    ended.
    """
    process.let_pass(after)
    try:
        return process.knows(kid or process.kid)
    finally:
        finish_reloads()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


def test_older_ring_brings_no_withdrawn_key_back(
    process: Process, store: MemoryKeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica lags, and both rings are loaded in turn. Each return of the older one is logged
    once, and starts the interval anew.
    """
    newer = store.ring
    for _ in range(3):
        for store.ring in (process.ring, newer):
            caplog.clear()
            for age in (60, 30):
                assert not verifies(process, after=age)
            logged = errors(caplog)
            assert len(logged) == (1 if store.ring is process.ring else 0)
            both = "from memory has version 1, and 3 was loaded before"
            assert all(both in text for text in logged)
    assert cache.get_ring() == newer


def test_older_ring_that_stays_is_taken_after_the_interval(
    process: Process, store: MemoryKeyStore
) -> None:
    """An operator has restored a backup, or has disabled the last version in Azure."""
    store.ring = process.ring
    for age in (60, 59.9):
        assert not verifies(process, after=age)
    assert verifies(process, after=60)
    assert cache.get_ring() == process.ring


def test_further_older_ring_does_not_start_the_interval_anew(
    process: Process, store: MemoryKeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Commands may have changed the restored ring since. Each ring that differs is logged."""
    further = process.ring.without("none")
    for store.ring, age in ((process.ring, 60), (further, 30), (process.ring, 29.9)):
        assert not verifies(process, after=age)
    store.ring = further
    assert verifies(process, after=30)
    assert cache.get_ring() == further
    assert len(errors(caplog)) == 4


def test_compromised_key_of_a_restored_ring_is_gone_within_the_interval(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """The ring without it is still older than the copy, but its new key is the youngest."""
    store, kept, compromised = process.store, process.kid, process.new_kid
    store.ring = replace(process.following, version=9)
    process.let_pass(60)
    assert process.use() == compromised
    store.ring = process.following
    assert verifies(process, compromised, after=60)
    process.now += timedelta(seconds=1)
    # As if in another process: a change in this process would reset the copy.
    done = lifecycle.replace_compromised(
        store, kid=compromised, algorithm=None, now=process.now, dry_run=True
    )
    store.ring = done.after
    caplog.clear()
    assert not verifies(process, compromised, after=60)
    assert verifies(process, kept)
    (text,) = errors(caplog)
    assert "has version 4, and 9 was loaded before: the older one is taken at once" in text


def test_older_ring_of_another_store_is_taken_at_once(
    process: Process, store: MemoryKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its versions can't be compared with those of the former store."""
    store.ring = process.ring
    monkeypatch.setattr(store, "describe", lambda: "another")
    assert verifies(process, after=60)


def test_older_ring_is_taken_at_once_after_a_reset(process: Process, store: MemoryKeyStore) -> None:
    """As after a restart, there is nothing to compare it with."""
    store.ring = process.ring
    cache.reset()
    assert verifies(process)


def test_ring_of_before_a_reset_has_its_interval_again(
    process: Process, store: MemoryKeyStore
) -> None:
    """The time for which the store had it before the reset is forgotten."""
    newer = store.ring
    store.ring = process.ring
    assert not verifies(process, after=60)
    cache.reset()
    store.ring = newer
    process.use()
    store.ring = process.ring
    assert not verifies(process, after=60)


def test_same_ring_of_a_renamed_store_is_compared_with_its_older_ones(
    process: Process, store: MemoryKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy belongs to the renamed store from then on."""
    monkeypatch.setattr(store, "describe", lambda: "another")
    process.let_pass(60)
    process.use()
    store.ring = process.ring
    assert not verifies(process, after=60)


def test_older_ring_is_not_read_for_every_request(process: Process, store: MemoryKeyStore) -> None:
    """A load that gives it is followed by half an interval without loads, like any other."""
    store.ring = process.ring
    loads = store.loads
    process.let_pass(60)
    for _ in range(3):
        process.use()
    assert store.loads - loads == 1


def test_older_ring_is_not_read_for_every_unknown_kid(
    process: Process, store: MemoryKeyStore
) -> None:
    """Its stamp differs from that of the copy for as long as it is not taken."""
    store.ring = process.ring
    loads = store.loads
    process.invent_kids(100)
    assert store.loads - loads == 2  # when the stamp changed, and the first guess
