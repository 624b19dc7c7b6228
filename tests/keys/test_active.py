"""The process's copy: loaded once, renewed beside the requests, never lost."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import Mock, patch

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from jwt_auth import signals
from jwt_auth.exceptions import KeyRingMissing, KeyRingTorn, KeyStoreError, UnknownKey
from jwt_auth.keys import active, jwk
from jwt_auth.keys.loading import Guesses, Load
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores import base
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.stores import MemoryKeyStore


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(active, "monotonic", clock)
    return clock


@pytest.fixture
def store(memory_store: MemoryKeyStore, ring: KeyRing, clock: Clock) -> MemoryKeyStore:
    """A store with a ring of one key, loaded once."""
    memory_store.ring = ring
    active.reset()
    active.signing_key(ring.keys[0].created_at)
    assert memory_store.loads == 1
    return memory_store


@pytest.fixture
def following(ring: KeyRing, now: datetime) -> KeyRing:
    return ring.with_next_key(jwk.generate("EdDSA"), now, now, timedelta(minutes=16))


def finish_reload() -> None:
    for thread in reloads():
        thread.join(10)


def reloads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "jwt_auth-keys"]


def use(now: datetime) -> str:
    kid = active.signing_key(now).kid
    finish_reload()
    return kid


def test_ring_is_loaded_once(store: MemoryKeyStore, ring: KeyRing, now: datetime) -> None:
    """However many requests use it."""
    for _ in range(3):
        assert active.signing_key(now).kid == ring.keys[0].kid
        assert active.verification_key(ring.keys[0].kid, now).kid == ring.keys[0].kid
        active.jwk_set(now)
    assert store.loads == 1


def test_first_use_without_a_ring_raises_the_stores_error(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """And the next use tries again."""
    for call in (active.signing_key, active.jwk_set):
        with pytest.raises(KeyRingMissing):
            call(now)
    memory_store.ring = ring
    assert use(now) == ring.keys[0].kid


def test_simultaneous_first_uses_load_once(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The others wait for the one who loads."""
    memory_store.ring = ring
    with memory_store.held(), ThreadPoolExecutor(8) as pool:
        uses = [pool.submit(active.signing_key, now) for _ in range(8)]
        assert memory_store.asked.wait(10)
        memory_store.answer.set()
    assert {use.result().kid for use in uses} == {ring.keys[0].kid}
    assert memory_store.loads == 1


@pytest.mark.parametrize("call", ["_load_first", "_start_load"])
def test_load_that_another_thread_has_just_made_is_not_made_again(
    store: MemoryKeyStore, ring: KeyRing, now: datetime, call: str
) -> None:
    """While one waited for the lock."""
    ours, copy = active._active, active._active._copy
    with ThreadPoolExecutor(1) as pool, ours._lock:
        waiting = pool.submit(getattr(ours, call))
        time.sleep(0.05)  # it looks before the lock, then waits for it
        ours._running = load = Load(1000.0)
    assert waiting.result() in (copy, load)
    ours._running = None
    assert store.loads == 1


@pytest.mark.parametrize(
    ("failure", "error"),
    [(KeyRingTorn("It is torn."), KeyRingTorn), (OSError("d=private"), KeyStoreError)],
)
def test_simultaneous_first_uses_share_a_failure(
    memory_store: MemoryKeyStore, now: datetime, failure: Exception, error: type[Exception]
) -> None:
    """A store that is slow to fail is not asked by one after the other; nothing is quoted."""
    memory_store.failure = failure
    with memory_store.held(), ThreadPoolExecutor(8) as pool:
        uses = [pool.submit(active.signing_key, now) for _ in range(8)]
        assert memory_store.asked.wait(10)
        memory_store.answer.set()
    errors = [use.exception() for use in uses]
    assert {type(raised) for raised in errors} == {error}
    assert "private" not in str(errors)
    assert memory_store.loads < 8


def test_first_use_waits_for_another_one_only_so_long(
    memory_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that never answers ends in an error, not in threads that wait for ever."""
    monkeypatch.setattr(active, "_FIRST_PATIENCE", 0.05)
    with memory_store.held(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(active.signing_key, now)
        assert memory_store.asked.wait(10)
        with pytest.raises(KeyStoreError):
            active.signing_key(now)
        memory_store.answer.set()
    assert isinstance(first.exception(), KeyRingMissing)


def test_jwk_set_has_public_members_only(store: MemoryKeyStore, now: datetime) -> None:
    """RFC 7517 §5."""
    assert store.ring is not None
    (key,) = active.jwk_set(now)["keys"]
    assert key == jwk.public_jwk(store.ring.keys[0].jwk)
    assert "d" not in key


def test_waiting_key_signs_when_its_time_has_come(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """By the clock alone."""
    later = now + timedelta(minutes=10)
    store.ring = ring.with_next_key(jwk.generate("ES256"), now, later, timedelta(minutes=16))
    active.reset()
    assert use(now) == ring.keys[0].kid
    assert use(later) == store.ring.keys[1].kid
    assert store.loads == 2


def test_expired_key_is_unknown(store: MemoryKeyStore, following: KeyRing, now: datetime) -> None:
    """By the clock alone, too."""
    store.ring = following
    active.reset()
    kid = following.keys[0].kid
    assert active.verification_key(kid, now).kid == kid
    with pytest.raises(UnknownKey):
        active.verification_key(kid, now + timedelta(minutes=16))


def test_old_copy_is_given_and_renewed_beside(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """From half the interval on; the request that finds it old does not wait."""
    store.ring = following
    clock.time += 29
    assert use(now) == following.keys[0].kid
    assert store.loads == 1
    clock.time += 1
    with store.held():  # the store takes its time
        for _ in range(3):
            assert active.signing_key(now).kid == following.keys[0].kid
        assert store.asked.wait(10)
        assert len(reloads()) == 1
        store.answer.set()
    finish_reload()
    assert store.loads == 2
    assert use(now) == following.keys[1].kid


def test_copy_is_not_used_beyond_the_interval(
    store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Which the command has printed: a key is withdrawn, and a request comes now and then."""
    store.ring = following.without(ring.keys[0].kid)
    clock.time += 60
    with pytest.raises(UnknownKey):
        active.verification_key(ring.keys[0].kid, now)


def test_overdue_copy_is_loaded_before_the_answer(
    store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """After a quiet hour a key that was withdrawn meanwhile verifies nothing."""
    store.ring = following.without(ring.keys[0].kid)
    clock.time += 3600
    with pytest.raises(UnknownKey):
        active.verification_key(ring.keys[0].kid, now)
    assert active.signing_key(now).kid == following.keys[1].kid
    assert store.loads == 2


def test_overdue_copy_stays_where_the_store_is_down(
    store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime
) -> None:
    """The request waits for the store once, and gets what there is."""
    store.failure = KeyStoreError("It is down.")
    clock.time += 3600
    for _ in range(3):
        assert active.signing_key(now).kid == ring.keys[0].kid
    assert store.loads == 2


def test_overdue_copy_is_loaded_once_for_all_who_wait(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """All of them get what the one thread has loaded."""
    clock.time += 3600
    store.ring = following
    with store.held(), ThreadPoolExecutor(8) as pool:
        uses = [pool.submit(active.signing_key, now) for _ in range(8)]
        assert store.asked.wait(10)
        store.answer.set()
    assert {use.result().kid for use in uses} == {following.keys[1].kid}
    assert store.loads == 2


def test_store_that_hangs_is_waited_for_once(
    store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime
) -> None:
    """Who comes later than the two seconds does not wait, and no second thread is started."""
    clock.time += 3600
    with store.held():
        active._active._start_load()
        clock.time += 2
        began = time.monotonic()
        for n in range(20):
            assert active.signing_key(now).kid == ring.keys[0].kid
            with pytest.raises(UnknownKey):
                active.verification_key(f"made up {n}", now)
        assert time.monotonic() - began < 1
        assert len(reloads()) == 1
    finish_reload()
    assert store.loads == 2


def test_store_that_hangs_is_told_and_so_is_its_return(
    store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute, with how long it has been."""
    with store.held(), patch.object(active, "PATIENCE", 0.0):
        clock.time += 30
        active.signing_key(now)
        assert store.asked.wait(10)
        for _ in range(60):
            clock.time += 3
            active.signing_key(now)
    finish_reload()
    said = [record.getMessage() for record in caplog.records if record.name == "jwt_auth"]
    assert "memory, the former copy stays in use: it has not answered for 63 seconds" in said[0]
    assert "has not come from memory for 123 seconds: it is asked for anew" in said[1]
    assert [text.partition(" ring ")[2].split()[0] for text in said] == ["could", "has", "was"]
    assert said[-1].endswith("loaded from memory again.")


def test_failed_reload_keeps_the_copy_and_says_so_once_a_minute(
    store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store is named; what an unknown error says is not repeated, it may quote a key."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=20)):
        for failure in (KeyStoreError("It is down."), RuntimeError("d=private")):
            store.failure = failure
            caplog.clear()
            for _ in range(5):
                clock.time += 12
                assert use(now) == ring.keys[0].kid
            (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
            assert "from memory" in record.getMessage()
            assert ("It is down." in record.getMessage()) == isinstance(failure, KeyStoreError)
            assert "private" not in caplog.text
    assert store.loads == 11


def test_failure_that_is_no_stores_is_named_by_its_kind(
    store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting that was changed under a running server may hold a credential."""
    with patch.object(active, "get_key_store", side_effect=ImproperlyConfigured("s3cret")):
        clock.time += 30
        use(now)
    assert "stays in use: ImproperlyConfigured" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("age", [30, 60])
def test_ring_that_a_running_server_has_lost_is_a_refusal(
    store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime, age: int
) -> None:
    """Before the first key is made it is none; a server that had one goes on with it."""
    store.ring = None
    clock.time += age
    with told() as events:
        assert use(now) == ring.keys[0].kid
    assert [(event["event"], event["reason"]) for event in events] == [
        ("refused", "key_ring_missing")
    ]


def test_failed_reload_is_tried_again_after_the_interval(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Not at every request in between."""
    store.failure = KeyRingTorn()
    clock.time += 60
    for _ in range(3):
        use(now)
    assert store.loads == 2
    store.failure, store.ring = None, following
    clock.time += 60
    use(now)
    assert use(now) == following.keys[1].kid


def test_thread_that_can_not_start_is_tried_again(
    store: MemoryKeyStore,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The request goes on."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock.time += 60
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        active.signing_key(now)
    use(now)
    assert store.loads == 2


def test_reset_during_a_reload_leaves_nothing_behind(
    store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """What the thread brings is thrown away: it was read before the change."""
    clock.time += 30
    with store.held():
        active.signing_key(now)
        assert store.asked.wait(10)
        active.reset()
        (thread,) = reloads()
        store.ring = following
        store.answer.set()
        thread.join(10)
        assert active._active._copy is None
    assert use(now) == following.keys[1].kid


def test_reset_during_a_reload_that_fails_leaves_nothing_behind(
    store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """It says nothing of the store of now, which may be another one."""
    clock.time += 30
    with store.held():
        active.signing_key(now)
        assert store.asked.wait(10)
        active.reset()
        (thread,) = reloads()
        store.failure = KeyStoreError("gone")
        store.answer.set()
        thread.join(10)
    assert "could not be reloaded" not in caplog.text
    assert active._active._refused_stamp is None
    assert active._active._is_quick


# ---- A load that does not come back


class Hanging:
    """Loads that the store never answers, while it answers all later ones."""

    def __init__(self, store: MemoryKeyStore) -> None:
        self.store = store
        self.answers: list[threading.Event] = []
        self.threads: list[threading.Thread] = []

    def hang(self, begin: Callable[[], object]) -> None:
        """Have the load that this begins hang."""
        before = reloads()
        self.store.asked.clear()
        self.answers.append(self.store.answer)
        self.store.answer.clear()
        begin()
        assert self.store.asked.wait(10)
        self.threads += [thread for thread in reloads() if thread not in before]
        self.store.answer = threading.Event()
        self.store.answer.set()

    def let_go(self) -> None:
        for answer in self.answers:
            answer.set()
        for thread in self.threads:
            thread.join(10)


@pytest.fixture
def hanging(memory_store: MemoryKeyStore) -> Iterator[Hanging]:
    hanging = Hanging(memory_store)
    yield hanging
    hanging.let_go()


@pytest.mark.parametrize(("interval", "patience"), [(60, 120), (1, 30)])
def test_load_that_never_returns_is_given_up(
    store: MemoryKeyStore,
    hanging: Hanging,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    interval: int,
    patience: int,
) -> None:
    """After two intervals, of half a minute at least: the store may be well again long since."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=interval)):
        clock.time += interval / 2
        hanging.hang(lambda: active.signing_key(now))
        store.ring = following
        clock.time += patience
        active.signing_key(now)
        assert store.loads == 2
        clock.time += 1
        active.signing_key(now)
        assert active.signing_key(now).kid == following.keys[1].kid
    assert store.loads == 3


@pytest.mark.parametrize("failure", [None, KeyStoreError("It is down.")])
def test_what_a_load_that_was_given_up_brings_is_thrown_away(
    store: MemoryKeyStore,
    hanging: Hanging,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    failure: Exception | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was read long ago."""
    clock.time += 30
    hanging.hang(lambda: active.signing_key(now))
    store.ring = following.without(ring.keys[0].kid)
    clock.time += 121
    active.signing_key(now)
    copy = active._active._copy
    caplog.clear()
    store.failure = failure
    hanging.let_go()
    assert active._active._copy is copy
    assert not [record for record in caplog.records if record.name == "jwt_auth"]
    with pytest.raises(UnknownKey):
        active.verification_key(ring.keys[0].kid, now)


def test_load_that_was_given_up_ends_no_later_one(
    store: MemoryKeyStore, hanging: Hanging, clock: Clock, now: datetime
) -> None:
    """When it comes back that one is still under way, and stays the only one."""
    clock.time += 30
    for _ in range(2):
        hanging.hang(active._active._start_load)
        clock.time += 121
    clock.time -= 121
    running = active._active._running
    hanging.answers[0].set()
    hanging.threads[0].join(10)
    assert active._active._start_load() is running
    assert store.loads == 3


def test_no_more_than_three_loads_are_given_up(
    store: MemoryKeyStore, hanging: Hanging, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Each has a thread. When one of them comes back there is room for another."""
    clock.time += 30
    for _ in range(4):
        hanging.hang(active._active._start_load)
        clock.time += 121
    for _ in range(5):
        active.signing_key(now)
        clock.time += 121
    assert (len(reloads()), store.loads) == (4, 5)
    store.ring = following
    hanging.answers[0].set()
    hanging.threads[0].join(10)
    active.signing_key(now)
    assert active.signing_key(now).kid == following.keys[1].kid


def test_first_load_that_never_returns_is_given_up(
    memory_store: MemoryKeyStore,
    hanging: Hanging,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
) -> None:
    """A later request loads; the one that hung gets what that one has loaded."""
    memory_store.ring = ring
    with ThreadPoolExecutor(1) as pool:
        first: list[Future[Any]] = []
        hanging.hang(lambda: first.append(pool.submit(active.ring)))
        memory_store.ring = following
        clock.time += 121
        assert active.ring() == following
        hanging.let_go()
        assert first[0].result(10) == following
    assert memory_store.loads == 2


# ---- A ring that is older than the copy


@pytest.fixture
def withdrawn(
    store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> str:
    """The kid of a key that was compromised, and is not in the copy any more."""
    store.ring = following.without(ring.keys[0].kid)
    clock.time += 60
    use(now)
    return ring.keys[0].kid


def verifies(kid: str, now: datetime) -> bool:
    try:
        active.verification_key(kid, now)
    except UnknownKey:
        return False
    finally:
        finish_reload()
    return True


def test_older_ring_brings_no_withdrawn_key_back(
    store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A replica lags, and both rings come by turns."""
    newer = store.ring
    for _ in range(3):
        for store.ring in (ring, newer):
            caplog.clear()
            clock.time += 60
            assert not verifies(withdrawn, now)
            clock.time += 30
            assert not verifies(withdrawn, now)
            said = [r for r in caplog.records if r.levelno == logging.ERROR]
            assert len(said) == (1 if store.ring is ring else 0)
    assert active.ring() == newer


def test_older_ring_is_told_with_both_versions(
    store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, however often it comes."""
    store.ring = ring
    for _ in range(2):
        clock.time += 29.9
        assert not verifies(withdrawn, now)
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "from memory has version 1, and 3 was loaded before" in record.getMessage()


def test_older_ring_that_stays_is_taken_after_the_interval(
    store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """Who restores a backup means it, or disables the last version in Azure."""
    store.ring = ring
    clock.time += 60
    assert not verifies(withdrawn, now)
    clock.time += 59.9
    assert not verifies(withdrawn, now)
    clock.time += 60
    assert verifies(withdrawn, now)
    assert active.ring() == ring


def test_another_older_ring_has_its_own_interval(
    store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """A replica that catches up shows one after the other."""
    copy = active.ring()
    for store.ring in (ring, ring.without("none"), ring):
        clock.time += 60
        assert not verifies(withdrawn, now)
    assert active.ring() == copy


def test_older_ring_of_another_store_is_taken_at_once(
    store: MemoryKeyStore,
    ring: KeyRing,
    withdrawn: str,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its versions have nothing to do with the former store's. So it is after a reset."""
    store.ring = ring
    monkeypatch.setattr(store, "describe", lambda: "another")
    clock.time += 60
    assert verifies(withdrawn, now)


def test_older_ring_is_taken_at_once_after_a_reset(
    store: MemoryKeyStore, ring: KeyRing, withdrawn: str, now: datetime
) -> None:
    """As after a restart: there is nothing to hold it against."""
    store.ring = ring
    active.reset()
    assert verifies(withdrawn, now)


def test_older_ring_is_not_read_for_every_unknown_kid(
    store: MemoryKeyStore, ring: KeyRing, withdrawn: str, clock: Clock, now: datetime
) -> None:
    """Its stamp is another one than the copy's, for as long as it is not taken."""
    store.ring = ring
    loads = store.loads
    for n in range(100):
        assert not verifies(f"made up {n}", now)
    assert store.loads - loads == 2  # when the stamp changed, and the first guess


# ---- A kid that the copy does not know


def test_new_kid_is_known_at_once(store: MemoryKeyStore, following: KeyRing, now: datetime) -> None:
    """Another process has rotated."""
    store.ring = following
    kid = following.keys[1].kid
    assert active.verification_key(kid, now).kid == kid
    assert store.loads == 2


def test_unknown_kids_read_nothing(store: MemoryKeyStore, now: datetime) -> None:
    """One look at the stamp, however many are made up."""
    for n in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key(f"made up {n}", now)
    assert store.loads == 1


def test_unknown_kids_do_not_keep_out_a_new_key(
    file_store: FileKeyStore, ring: KeyRing, following: KeyRing, now: datetime
) -> None:
    """Whatever came before in the same second."""
    file_store.save(ring, expected_version=None)
    for _ in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key("made up", now)
    file_store.save(following, expected_version=1)
    kid = following.keys[1].kid
    assert active.verification_key(kid, now).kid == kid


def test_ring_that_can_not_be_loaded_is_not_read_for_every_unknown_kid(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Ever more seldom, but what was wrong may have been put right."""
    store.ring, store.failure = following, KeyRingTorn()
    for _ in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key("made up", now)
        finish_reload()
    assert store.loads == 3  # when the stamp changed, and the first guess
    store.failure = None
    clock.time += 1
    kid = following.keys[1].kid
    with pytest.raises(UnknownKey):  # it does not wait for a store that has failed
        active.verification_key(kid, now)
    finish_reload()
    assert active.verification_key(kid, now).kid == kid


def test_store_without_stamps_is_asked_ever_more_seldom(
    store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """However many kids are made up, and for how long."""
    store.stamped = False
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(days=1)):
        for _ in range(300):
            with pytest.raises(UnknownKey):
                active.verification_key("made up", now)
            clock.time += 1
    assert store.loads == 1 + 9  # after 0, 1, 3, 7, 15, 31, 63, 127 and 255 seconds


def test_guesses_are_never_further_apart_than_the_interval() -> None:
    """And after a pause that nobody broke the first one is free again."""
    guesses = Guesses()
    taken = [second for second in range(300) if guesses.take(second, limit=60)]
    assert taken == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert guesses.take(1000, limit=60)
    assert not guesses.take(1000.5, limit=60)
    assert guesses.take(1001, limit=60)


def test_store_without_stamps_has_its_new_key_known_at_once(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Where nobody has made up kids before; all who come with it wait for the one load."""
    store.stamped, store.ring = False, following
    kid = following.keys[1].kid
    with store.held(), ThreadPoolExecutor(8) as pool:
        uses = [pool.submit(active.verification_key, kid, now) for _ in range(8)]
        assert store.asked.wait(10)
        store.answer.set()
    assert {use.result().kid for use in uses} == {kid}
    assert store.loads == 2


def test_unknown_kid_waits_for_no_store_that_was_slow(
    store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """So that made-up kids hold no threads up."""
    store.stamped = False
    store.failure = KeyStoreError("It is down.")
    with pytest.raises(UnknownKey):
        active.verification_key("made up", now)
    clock.time += 1
    with store.held():
        began = time.monotonic()
        with pytest.raises(UnknownKey):
            active.verification_key("made up", now)
        assert time.monotonic() - began < 1
    finish_reload()


@pytest.mark.parametrize("stamped", [True, False])
def test_simultaneous_new_kids_load_once(
    store: MemoryKeyStore, following: KeyRing, now: datetime, stamped: bool
) -> None:
    """The others take what the first one has loaded."""
    copy = active._active.get()
    store.stamped, store.ring = stamped, following
    newer = active._active.get_for_unknown_kid(copy)
    assert newer is not copy
    assert active._active.get_for_unknown_kid(copy) is newer
    assert store.loads == 2


def test_load_that_began_before_the_change_is_followed_by_another(
    store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """The thread that was at it has read the ring from before."""
    clock.time += 30
    kid = following.keys[1].kid
    with store.held(), ThreadPoolExecutor(1) as pool:
        active.signing_key(now)
        assert store.asked.wait(10)
        store.ring = following
        waiting = pool.submit(active.verification_key, kid, now)
        store.answer.set()
        assert waiting.result(10).kid == kid
    assert store.loads == 3


def test_generation_goes_up_when_the_ring_differs(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """And only then: the memory of verified signatures is emptied by it."""
    first = active.generation()
    clock.time += 60
    use(now)
    assert (store.loads, active.generation()) == (2, first)
    store.ring = following
    clock.time += 60
    use(now)
    assert (store.loads, active.generation()) == (3, first + 1)


def test_generation_is_never_used_twice(store: MemoryKeyStore, now: datetime) -> None:
    """A reset may be followed by another store's ring."""
    seen = [active.generation()]
    active.reset()
    seen.append(active.generation())
    use(now)
    seen.append(active.generation())
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("name", "value", "loads"),
    [
        ("JWT_AUTH_ISSUER", "https://other.example", 2),
        ("JWT_AUTH_AUDIENCE", "other", 1),
    ],
)
def test_changed_setting_resets_the_copy(
    store: MemoryKeyStore, now: datetime, name: str, value: str, loads: int
) -> None:
    """Only a setting that the store depends on."""
    with override_settings(**{name: value}):
        use(now)
        assert store.loads == loads


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_starts_with_free_locks_and_a_store_of_its_own(
    store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """Whatever was going on in its parent; a store's open connection serves one process only."""
    clock.time += 30
    with store.held():
        active.signing_key(now)
        assert store.asked.wait(10)
        with active._active._lock:
            child = os.fork()
            if child == 0:  # pragma: no cover  it ends without a word to anybody
                free = not active._active._lock.locked() and active._active._running is None
                os._exit(0 if free and get_key_store() is not store else 1)
    finish_reload()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_forked_childs_store_is_built_anew(store: MemoryKeyStore) -> None:
    """What the child does, seen from here."""
    base._forget()
    assert get_key_store() is not store


@contextmanager
def told() -> Iterator[list[dict[str, Any]]]:
    """The events from here on; a receiver that fails changes nothing."""
    events: list[dict[str, Any]] = []

    def receive(**event: Any) -> None:
        events.append(event)
        raise ValueError

    signals.key_event.connect(receive)
    try:
        yield events
    finally:
        signals.key_event.disconnect(receive)


def test_every_load_is_an_event(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Also one that is refused; one that brings nothing new is routine."""
    with told() as events:
        active.reset()
        use(now)
        clock.time += 30
        use(now)
        store.ring = following
        clock.time += 30
        use(now)
        store.failure = KeyRingTorn()
        clock.time += 30
        use(now)
    first, both = following.keys[0].kid, [key.kid for key in following.keys]
    assert [(event["event"], event["kids"], event["routine"]) for event in events] == [
        ("loaded", [first], False),
        ("loaded", [first], True),
        ("loaded", both, False),
        ("refused", [], False),
    ]
    assert {event["store"] for event in events} == {"memory"}
    assert {event["process"].pid for event in events} == {os.getpid()}
    assert (events[-1]["operation"], events[-1]["reason"]) == ("load", "key_ring_torn")


def test_change_by_the_clock_is_an_event(
    store: MemoryKeyStore, ring: KeyRing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key's time comes without a command; each process that serves tells it once."""
    start = ring.keys[0].created_at
    store.ring = ring.with_next_key(
        jwk.generate("ES256"), start, start + timedelta(minutes=10), timedelta(minutes=17)
    )
    former, waiting = (key.kid for key in store.ring.keys)
    with told() as events:
        active.reset()
        for minutes in (0, 9, 10, 11, 26, 27, 28):
            now = start + timedelta(minutes=minutes)
            with monkeypatch.context() as patched:
                patched.setattr(active, "datetime", Mock(now=Mock(return_value=now)))
                clock.time += 30
                use(now)
    assert [(event["event"], event["kid"]) for event in events if event["kid"]] == [
        ("superseded", former),
        ("activated", waiting),
        ("expired", former),
    ]
