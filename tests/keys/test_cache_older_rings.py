"""The process's copy and a ring that is older: it may be a replica's that lags, and have a key that
was withdrawn as compromised; or somebody has restored a backup, and means it.
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
    """The kid of a key that was compromised, and is not in the copy any more."""
    loaded_store.ring = following.without(ring.keys[0].kid)
    clock.time += 60
    use(now)
    return ring.keys[0].kid


def verifies(kid: str, now: datetime) -> bool:
    """Whether the key is known; whatever was begun for the answer is over."""
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
    """A replica lags, and both rings come by turns; each return of the older one is told."""
    newer = loaded_store.ring
    for _ in range(3):
        for loaded_store.ring in (ring, newer):
            caplog.clear()
            for age in (60, 30):
                clock.time += age
                assert not verifies(withdrawn, now)
            assert len(errors(caplog)) == (1 if loaded_store.ring is ring else 0)
    assert cache.get_ring() == newer


def test_older_ring_is_told_with_both_versions(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, however often it comes."""
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
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """Whatever has become of the restored one since: nobody waits for it to stand still."""
    further = ring.without("none")
    for loaded_store.ring, age in ((ring, 60), (further, 30), (ring, 29.9)):
        clock.time += age
        assert not verifies(withdrawn, now)
    loaded_store.ring = further
    clock.time += 30
    assert verifies(withdrawn, now)
    assert cache.get_ring() == further


def test_newer_ring_in_between_starts_the_interval_anew(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """It was a replica's."""
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
    """The ring that it leaves is an older one still; its key is younger than all that were."""
    kept, compromised = following.keys[0].kid, following.keys[1].kid
    loaded_store.ring = replace(following, version=9)
    clock.time += 60
    assert use(now) == compromised
    loaded_store.ring = following
    clock.time += 60
    assert verifies(compromised, now)
    later = now + timedelta(seconds=1)
    # Another process does it: in this one there is nothing to be followed.
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
    """Its versions have nothing to do with the former store's."""
    loaded_store.ring = ring
    monkeypatch.setattr(loaded_store, "describe", lambda: "another")
    clock.time += 60
    assert verifies(withdrawn, now)


def test_older_ring_is_taken_at_once_after_a_reset(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, now: datetime
) -> None:
    """As after a restart: there is nothing to hold it against."""
    loaded_store.ring = ring
    cache.reset()
    assert verifies(withdrawn, now)


def test_ring_of_before_a_reset_has_its_interval_again(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """How long it was there in an earlier life says nothing."""
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


def test_same_ring_of_a_store_that_was_renamed_is_held_against_its_older_ones(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is that store's from then on."""
    monkeypatch.setattr(loaded_store, "describe", lambda: "another")
    clock.time += 60
    use(now)
    loaded_store.ring = ring
    clock.time += 60
    assert not verifies(withdrawn, now)


def test_older_ring_is_not_read_for_every_request(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """A load that brings it counts like any other."""
    loaded_store.ring = ring
    loads = loaded_store.loads
    clock.time += 60
    for _ in range(3):
        use(now)
    assert loaded_store.loads - loads == 1


def test_older_ring_is_not_read_for_every_unknown_kid(
    loaded_store: MemoryKeyStore, ring: KeyRing, withdrawn: str, now: datetime
) -> None:
    """Its stamp is another one than the copy's, for as long as it is not taken."""
    loaded_store.ring = ring
    loads = loaded_store.loads
    for n in range(100):
        assert not verifies(f"made up {n}", now)
    assert loaded_store.loads - loads == 2  # when the stamp changed, and the first guess
