"""The copy and an older ring.

It may come from a replica that lags, and hold a key that was withdrawn as compromised. Or an
operator has restored a backup, and wants it to be used.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from jwt_auth.keys import cache, lifecycle
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import Clock, finish_reloads, knows, use
from tests.keys.stores import MemoryKeyStore


@pytest.fixture
def withdrawn(
    loaded_store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> str:
    """The kid of a key that was compromised, and has left the copy."""
    loaded_store.ring = following.without(ring.keys[0].kid)
    clock.time += 60
    use(now)
    return ring.keys[0].kid


def verifies(kid: str, now: datetime) -> bool:
    """Whether the key is known. Loads that this has started have ended."""
    try:
        return knows(kid, now)
    finally:
        finish_reloads()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]


def test_older_ring_brings_no_withdrawn_key_back(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A replica lags, and both rings are loaded in turn. Each return of the older one is logged."""
    newer = loaded_store.ring
    for _ in range(3):
        for loaded_store.ring in (ring, newer):
            caplog.clear()
            for age in (60, 30):
                clock.time += age
                assert not verifies(withdrawn, now)
            assert len(errors(caplog)) == (1 if loaded_store.ring is ring else 0)
    assert cache.get_ring() == newer


def test_older_ring_is_logged_with_both_versions(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, however often it is loaded."""
    loaded_store.ring = ring
    for _ in range(2):
        clock.time += 29.9
        assert not verifies(withdrawn, now)
    (text,) = errors(caplog)
    assert "from memory has version 1, and 3 was loaded before" in text


def test_older_ring_that_stays_is_taken_after_the_interval(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """An operator has restored a backup, or has disabled the last version in Azure."""
    loaded_store.ring = ring
    for age in (60, 59.9):
        clock.time += age
        assert not verifies(withdrawn, now)
    clock.time += 60
    assert verifies(withdrawn, now)
    assert cache.get_ring() == ring


def test_further_older_ring_does_not_start_the_interval_anew(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Commands may have changed the restored ring since. Each ring that differs is logged."""
    further = ring.without("none")
    for loaded_store.ring, age in ((ring, 60), (further, 30), (ring, 29.9)):
        clock.time += age
        assert not verifies(withdrawn, now)
    loaded_store.ring = further
    clock.time += 30
    assert verifies(withdrawn, now)
    assert cache.get_ring() == further
    assert len(errors(caplog)) == 4


def test_newer_ring_in_between_starts_the_interval_anew(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """The older one came from a replica."""
    copy = cache.get_ring()
    for loaded_store.ring in (ring, copy, ring):
        clock.time += 60
        assert not verifies(withdrawn, now)
    assert cache.get_ring() == copy


def test_compromised_key_of_a_restored_ring_is_gone_within_the_interval(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The ring without it is still older than the copy, but its new key is the youngest."""
    kept, compromised = following.keys[0].kid, following.keys[1].kid
    loaded_store.ring = replace(following, version=9)
    clock.time += 60
    assert use(now) == compromised
    loaded_store.ring = following
    clock.time += 60
    assert verifies(compromised, now)
    later = now + timedelta(seconds=1)
    # As if in another process: a change in this process would reset the copy.
    done = lifecycle.replace_compromised(
        loaded_store, kid=compromised, algorithm=None, now=later, dry_run=True
    )
    loaded_store.ring = done.after
    caplog.clear()
    clock.time += 60
    assert not verifies(compromised, later)
    assert verifies(kept, later)
    (text,) = errors(caplog)
    assert "has version 4, and 9 was loaded before: the older one is taken at once" in text


def test_older_ring_of_another_store_is_taken_at_once(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its versions can't be compared with those of the former store."""
    loaded_store.ring = ring
    monkeypatch.setattr(loaded_store, "describe", lambda: "another")
    clock.time += 60
    assert verifies(withdrawn, now)


def test_older_ring_is_taken_at_once_after_a_reset(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, now: datetime
) -> None:
    """As after a restart, there is nothing to compare it with."""
    loaded_store.ring = ring
    cache.reset()
    assert verifies(withdrawn, now)


def test_ring_of_before_a_reset_has_its_interval_again(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """The time for which the store had it before the reset is forgotten."""
    newer = loaded_store.ring
    loaded_store.ring = ring
    clock.time += 60
    assert not verifies(withdrawn, now)
    cache.reset()
    loaded_store.ring = newer
    use(now)
    loaded_store.ring = ring
    clock.time += 60
    assert not verifies(withdrawn, now)


def test_same_ring_of_a_renamed_store_is_compared_with_its_older_ones(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The copy belongs to the renamed store from then on."""
    monkeypatch.setattr(loaded_store, "describe", lambda: "another")
    clock.time += 60
    use(now)
    loaded_store.ring = ring
    clock.time += 60
    assert not verifies(withdrawn, now)


def test_older_ring_is_not_read_for_every_request(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """A load that gives it is followed by half an interval without loads, like any other."""
    loaded_store.ring = ring
    loads = loaded_store.loads
    clock.time += 60
    for _ in range(3):
        use(now)
    assert loaded_store.loads - loads == 1


def test_older_ring_is_not_read_for_every_unknown_kid(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, now: datetime
) -> None:
    """Its stamp differs from that of the copy for as long as it is not taken."""
    loaded_store.ring = ring
    loads = loaded_store.loads
    for n in range(100):
        assert not verifies(f"made up {n}", now)
    assert loaded_store.loads - loads == 2  # when the stamp changed, and the first guess
