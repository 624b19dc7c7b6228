"""The process's copy where the store fails, or does not answer: the copy stays, the log says so.

One thread at a time is at it. A load that does not come back is given up after a while, and what it
may still bring is thrown away.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.test import override_settings
from pytest_django import Settings

from jwt_auth.exceptions import KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import PATIENCE, Clock, Hanging, finish_reloads, knows, reloads, told, use
from tests.keys.stores import HELD, MemoryKeyStore

DOWN = KeyStoreError("It is down.")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the package has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "jwt_auth"]


# ---- A store that fails


@pytest.mark.parametrize("age", [30, 3600])
def test_copy_stays_where_the_store_fails(
    loaded_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime, age: int
) -> None:
    """The store is asked once, and not again at each request."""
    loaded_store.failure = DOWN
    clock.time += age
    for _ in range(3):
        assert use(now) == ring.keys[0].kid
    assert loaded_store.loads == 2


def test_failed_reload_is_tried_again_after_the_interval(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """A ring that was torn may have been mended."""
    loaded_store.failure = KeyRingTorn()
    clock.time += 60
    use(now)
    loaded_store.failure, loaded_store.ring = None, following
    clock.time += 60
    assert use(now) == following.keys[1].kid


def test_failing_store_is_named_in_the_log_once_a_minute(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """For as long as it lasts; its return is told, too."""
    loaded_store.failure = DOWN
    for _ in range(5):
        clock.time += 30
        use(now)
    loaded_store.failure = None
    for _ in range(2):
        clock.time += 30
        use(now)
    kept = "The key ring could not be reloaded from memory, the former copy stays in use: "
    assert said(caplog) == [f"{kept}It is down."] * 3 + [
        "The key ring was loaded from memory again."
    ]


def test_failure_after_a_return_is_told_at_once(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Also within the minute."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=20)):
        for loaded_store.failure in (DOWN, None, DOWN):
            clock.time += 10
            use(now)
    assert [text.partition(" ring ")[2].split()[0] for text in said(caplog)] == [
        "could",
        "was",
        "could",
    ]


def test_failure_before_a_reset_says_nothing_of_the_store_of_now(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be another one: its first failure is told at once, and its first load is no return."""
    for _ in range(2):
        loaded_store.failure = DOWN
        clock.time += 30
        use(now)
        cache.reset()
        loaded_store.failure = None
        use(now)
    assert [text.partition(" ring ")[2].split()[0] for text in said(caplog)] == ["could", "could"]


def test_error_of_others_is_named_by_its_kind(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may quote a key."""
    loaded_store.failure = RuntimeError("d=private")
    clock.time += 30
    use(now)
    assert "memory has failed: RuntimeError" in caplog.text
    assert "private" not in caplog.text


def test_setting_that_has_become_wrong_is_named_by_its_kind(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that was changed under a running server may hold a credential."""
    settings.JWT_AUTH_KEY_STORE["BACKEND"] = "s3cret"
    clock.time += 30
    assert use(now) == ring.keys[0].kid
    assert "stays in use: ImproperlyConfigured" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("age", [30, 60])
def test_ring_that_a_running_server_has_lost_is_a_refusal(
    loaded_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime, age: int
) -> None:
    """Before the first key is made it is none; a server that had one goes on with it."""
    loaded_store.ring = None
    clock.time += age
    with told() as events:
        assert use(now) == ring.keys[0].kid
    assert [(event["event"], event["reason"]) for event in events] == [
        ("refused", "key_ring_missing")
    ]


def test_thread_that_can_not_start_is_tried_again(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request goes on, and does not wait for it."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    def require_set(event: threading.Event, timeout: float | None = None) -> bool:
        assert event.is_set()
        return True

    clock.time += 60
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        patched.setattr(threading.Event, "wait", require_set)
        cache.get_signing_key(now)
    use(now)
    assert loaded_store.loads == 2


def test_failure_of_a_reload_after_a_reset_is_not_told(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """It says nothing of the store of now, which may be another one."""
    clock.time += 30
    with loaded_store.held():
        cache.get_signing_key(now)
        assert loaded_store.asked.wait(HELD)
        cache.reset()
        loaded_store.failure = DOWN
    finish_reloads()
    assert said(caplog) == []


# ---- A store that hangs


def test_request_waits_for_a_store_that_hangs_only_so_long(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then it gets what there is."""
    monkeypatch.setattr(cache, "PATIENCE", 0.05)
    clock.time += 3600
    with loaded_store.held():
        assert cache.get_signing_key(now).kid == ring.keys[0].kid
        assert len(reloads()) == 1


def test_store_that_hangs_is_waited_for_once(
    loaded_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime
) -> None:
    """A request that comes when that time is over does not wait, and starts no second thread."""
    clock.time += 3600
    with loaded_store.held(), ThreadPoolExecutor(1) as pool:
        pool.submit(cache.get_signing_key, now)
        assert loaded_store.asked.wait(HELD)
        clock.time += PATIENCE
        for n in range(20):
            assert cache.get_signing_key(now).kid == ring.keys[0].kid
            assert not knows(f"made up {n}", now)
        assert len(reloads()) == 1
        loaded_store.answer.set()
    finish_reloads()
    assert loaded_store.loads == 2


@pytest.mark.usefixtures("_no_patience")
def test_store_that_hangs_is_told_and_so_is_its_return(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute, with how long it has been."""
    with loaded_store.held():
        clock.time += 30
        cache.get_signing_key(now)
        assert loaded_store.asked.wait(HELD)
        for _ in range(60):
            clock.time += 3
            cache.get_signing_key(now)
    finish_reloads()
    hangs, given_up, over = said(caplog)
    assert "the former copy stays in use: it has not answered for 63 seconds" in hangs
    assert "has not come from memory for 123 seconds: it is asked for anew" in given_up
    assert over.endswith("loaded from memory again.")


# ---- A load that does not come back


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize(("interval", "patience"), [(60, 120), (1, 30)])
def test_load_that_never_returns_is_given_up(
    loaded_store: MemoryKeyStore,
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
        hanging.hang(partial(cache.get_signing_key, now))
        loaded_store.ring = following
        clock.time += patience
        cache.get_signing_key(now)
        assert loaded_store.loads == 2
        clock.time += 1
        cache.get_signing_key(now)
        hanging.finish_others()
        assert cache.get_signing_key(now).kid == following.keys[1].kid
    assert loaded_store.loads == 3


@pytest.mark.parametrize("failure", [None, DOWN])
def test_load_that_is_given_up_is_told_and_so_is_the_return(
    loaded_store: MemoryKeyStore,
    hanging: Hanging,
    clock: Clock,
    now: datetime,
    failure: Exception | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """At once or in half a minute; of failures in between it is too soon to tell."""
    clock.time += 30
    hanging.hang(partial(cache.get_signing_key, now))
    clock.time += 91
    for loaded_store.failure in (failure, None):
        clock.time += 30
        cache.get_signing_key(now)
        hanging.finish_others()
    given_up, over = said(caplog)
    assert given_up.endswith("it is asked for anew.")
    assert over.endswith("loaded from memory again.")


@pytest.mark.parametrize("failure", [None, DOWN])
def test_what_a_load_that_was_given_up_brings_is_thrown_away(
    loaded_store: MemoryKeyStore,
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
    hanging.hang(partial(cache.get_signing_key, now))
    loaded_store.ring = following.without(ring.keys[0].kid)
    clock.time += 121
    assert cache.get_signing_key(now).kid == following.keys[1].kid
    newer, generation = cache.get_ring(), cache.generation()
    caplog.clear()
    loaded_store.failure = failure
    hanging.let_go()
    assert (cache.get_ring(), cache.generation(), said(caplog)) == (newer, generation, [])
    assert not knows(ring.keys[0].kid, now)
    assert loaded_store.loads == 3


@pytest.mark.usefixtures("_no_patience")
def test_load_that_was_given_up_ends_no_later_one(
    loaded_store: MemoryKeyStore, hanging: Hanging, clock: Clock, now: datetime
) -> None:
    """When it comes back, that one is still under way, and stays the only one."""
    clock.time += 30
    hanging.hang(partial(cache.get_signing_key, now))
    clock.time += 121
    hanging.hang(partial(cache.get_signing_key, now))
    hanging.let_go_of(0)
    cache.get_signing_key(now)
    assert len(reloads()) == 1
    assert loaded_store.loads == 3


def test_late_failure_of_a_load_that_was_given_up_makes_no_kid_worth_a_guess(
    loaded_store: MemoryKeyStore, hanging: Hanging, clock: Clock, now: datetime
) -> None:
    """The ring that it has not got has been loaded since."""
    clock.time += 30
    hanging.hang(partial(cache.get_signing_key, now))
    clock.time += 121
    cache.get_signing_key(now)
    loaded_store.failure = DOWN
    hanging.let_go()
    assert not knows("made up", now)
    assert loaded_store.loads == 3


@pytest.mark.usefixtures("_no_patience")
def test_no_more_than_three_loads_are_given_up(
    loaded_store: MemoryKeyStore,
    hanging: Hanging,
    following: KeyRing,
    clock: Clock,
    now: datetime,
) -> None:
    """Each has a thread. When one of them comes back there is room for another."""
    for _ in range(4):
        clock.time += 121
        hanging.hang(partial(cache.get_signing_key, now))
    for _ in range(5):
        clock.time += 121
        cache.get_signing_key(now)
    assert (len(reloads()), loaded_store.loads) == (4, 5)
    loaded_store.ring = following
    hanging.let_go_of(0)
    cache.get_signing_key(now)
    hanging.finish_others()
    assert cache.get_signing_key(now).kid == following.keys[1].kid
