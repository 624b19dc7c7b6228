"""The copy and a kid that it does not know.

Another process may have rotated the keys. Or an attacker invents kids, which must cause neither
reads nor waits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from threading import Event

import pytest
from django.test import override_settings

from jwt_auth.exceptions import KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.reloading import (
    PATIENCE,
    Clock,
    at_once,
    finish_reloads,
    knows,
    reloads,
    signing_key,
    use,
)
from tests.keys.stores import HELD, MemoryKeyStore


@pytest.fixture
def new_kid(following: KeyRing) -> str:
    """The kid that a rotation adds."""
    return following.keys[1].kid


# ---- A store that says whether its ring has changed


def test_new_kid_is_known_at_once(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, now: datetime
) -> None:
    """Another process has rotated the keys."""
    loaded_store.ring = following
    assert knows(new_kid, now)
    assert loaded_store.loads == 2


def test_unknown_kids_read_nothing(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """The stamp is enough, however many kids are invented, and after a further load as well."""
    for loads in (1, 2):
        assert not any(knows(f"made up {n}", now) for n in range(100))
        assert loaded_store.loads == loads
        clock.time += 60
        loaded_store.ring = None if loaded_store.ring is None else loaded_store.ring.without("none")
        use(now)


def test_ring_that_was_written_anew_is_read_once(
    loaded_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring is the same, and only its stamp differs."""
    monkeypatch.setattr(loaded_store, "stamp", lambda: "written anew")
    assert not any(knows(f"made up {n}", now) for n in range(10))
    assert loaded_store.loads == 2


def test_unknown_kids_do_not_keep_out_a_new_key(
    file_store: FileKeyStore, ring: KeyRing, following: KeyRing, new_kid: str, clock: Clock
) -> None:
    """Whatever was asked before in the same second."""
    now = ring.keys[0].created_at
    file_store.save(ring, expected_version=None)
    assert not any(knows("made up", now) for _ in range(100))
    file_store.save(following, expected_version=1)
    assert knows(new_kid, now)


def test_ring_that_can_not_be_loaded_is_not_read_for_every_unknown_kid(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, clock: Clock, now: datetime
) -> None:
    """The pauses between the loads double. The ring may be repaired in the meantime."""
    loaded_store.ring, loaded_store.failure = following, KeyRingTorn()
    for _ in range(100):
        assert not knows("made up", now)
        finish_reloads()
    assert loaded_store.loads == 3  # when the stamp changed, and the first guess
    loaded_store.failure = None
    clock.time += 1
    knows(new_kid, now)  # it does not wait for a store that has failed
    finish_reloads()
    assert knows(new_kid, now)


def test_stamp_of_a_ring_that_failed_once_counts_again_when_it_was_loaded(
    loaded_store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """The store was down for a moment, and the ring is the one of before."""
    loaded_store.failure = KeyStoreError("It is down.")
    clock.time += 30
    use(now)
    loaded_store.failure = None
    clock.time += 30
    use(now)
    assert not any(knows(f"made up {n}", now) for n in range(10))
    assert loaded_store.loads == 3


def test_load_that_began_before_the_change_is_followed_by_another(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, clock: Clock, now: datetime
) -> None:
    """The load under way has read the former ring."""
    clock.time += 30
    with loaded_store.held(), ThreadPoolExecutor(1) as pool:
        signing_key(now)
        assert loaded_store.asked.wait(HELD)
        loaded_store.ring = following
        waiting = pool.submit(knows, new_kid, now)
        loaded_store.answer.set()
        assert waiting.result()
    assert loaded_store.loads == 3


# ---- A store that can't say


def test_store_without_stamps_has_its_new_key_known_at_once(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, now: datetime
) -> None:
    """If no kids were invented before. All requests with the new kid wait for the one load."""
    loaded_store.stamped, loaded_store.ring = False, following
    uses = at_once(loaded_store, partial(knows, new_kid, now))
    assert all(use.result() for use in uses)
    assert loaded_store.loads == 2


def test_pauses_between_loads_from_a_store_without_stamps_double(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """However many kids are invented, and for however long."""
    loaded_store.stamped = False
    loads = []
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(days=1)):
        for second in range(300):
            before = loaded_store.loads
            assert not knows("made up", now)
            loads += [second] * (loaded_store.loads - before)
            clock.time += 1
    assert loads == [0, 1, 3, 7, 15, 31, 63, 127, 255]


def test_store_without_stamps_is_asked_immediately_when_no_kids_are_invented_any_more(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, clock: Clock, now: datetime
) -> None:
    """After two quiet intervals, however long it had lasted before."""
    loaded_store.stamped = False
    for _ in range(300):
        assert not knows("made up", now)
        finish_reloads()
        clock.time += 1
    for _ in range(13):
        clock.time += 10
        use(now)
    assert not knows("made up", now)
    loaded_store.ring = following
    clock.time += 1
    assert knows(new_kid, now)


def test_pauses_start_again_after_a_reset(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, now: datetime
) -> None:
    """The store may be another one."""
    loaded_store.stamped = False
    assert not knows("made up", now)
    cache.reset()
    use(now)
    loaded_store.ring = following
    assert knows(new_kid, now)


# ---- Waits


@pytest.mark.parametrize("is_slow", [True, False])
def test_unknown_kid_does_not_wait_for_a_store_that_has_failed_or_was_slow(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, is_slow: bool
) -> None:
    """Otherwise invented kids would occupy the server's threads."""
    loaded_store.stamped = False
    loaded_store.failure = None if is_slow else KeyStoreError("It is down.")
    clock.time += 30
    with loaded_store.held():
        signing_key(now)
        assert loaded_store.asked.wait(HELD)
        clock.time += PATIENCE
    finish_reloads()
    with loaded_store.held():
        assert not knows("made up", now)
        assert len(reloads()) == 1


def test_unknown_kid_waits_again_for_a_store_that_is_quick_again(
    loaded_store: MemoryKeyStore, following: KeyRing, new_kid: str, clock: Clock, now: datetime
) -> None:
    """One quick load is enough."""
    loaded_store.stamped = False
    for loaded_store.failure in (KeyStoreError("It is down."), None):
        clock.time += 30
        use(now)
    loaded_store.ring = following
    assert knows(new_kid, now)


@pytest.mark.parametrize("stamped", [True, False])
def test_request_that_is_overtaken_takes_what_the_other_one_has_loaded(
    loaded_store: MemoryKeyStore,
    following: KeyRing,
    new_kid: str,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    stamped: bool,
) -> None:
    """Both have the new kid. The first one stops at the stamp until the other one has loaded."""
    loaded_store.stamped, loaded_store.ring = stamped, following
    stamp, go_on, asked = loaded_store.stamp, Event(), Event()

    def stamp_late() -> object | None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(HELD)
        return stamp()

    monkeypatch.setattr(loaded_store, "stamp", stamp_late)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(knows, new_kid, now)
        assert asked.wait(HELD)
        assert knows(new_kid, now)
        go_on.set()
        assert first.result()
    assert loaded_store.loads == 2
