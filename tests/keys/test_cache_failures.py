"""The copy stays in use while the store fails or hangs, and the log says so.

A load that does not come back is abandoned after a while, and its result is ignored.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from unittest.mock import Mock

import pytest
from django.test import override_settings
from pytest_django import Settings

from jwt_auth.exceptions import KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.bounded_call import StillWaiting
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import (
    PATIENCE,
    Clock,
    Hanging,
    finish_reloads,
    knows,
    reloads,
    signing_key,
    told,
    use,
)
from tests.keys.stores import HELD, MemoryKeyStore

DOWN = KeyStoreError("It is down.")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The messages that the package has logged."""
    return [record.getMessage() for record in caplog.records if record.name == "jwt_auth"]


# ---- A store that fails


@pytest.mark.parametrize("age", [30, 3600])
def test_copy_stays_when_the_store_fails(
    loaded_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime, age: int
) -> None:
    """The store is asked once, and not at each request."""
    loaded_store.failure = DOWN
    clock.time += age
    for _ in range(3):
        assert use(now) == ring.keys[0].kid
    assert loaded_store.loads == 2


def test_failed_reload_is_tried_again_after_the_interval(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """A torn ring may have been repaired."""
    loaded_store.failure = KeyRingTorn()
    clock.time += 60
    use(now)
    loaded_store.failure, loaded_store.ring = None, following
    clock.time += 60
    assert use(now) == following.keys[1].kid


def test_copy_stays_when_a_load_is_interrupted(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By an exception that is not an ``Exception``. The next request starts another load."""

    def interrupt() -> KeyRing:
        raise SystemExit

    clock.time += 30
    with monkeypatch.context() as patched:
        patched.setattr(loaded_store, "load", interrupt)
        assert use(now) == ring.keys[0].kid
    loaded_store.failure = DOWN
    assert use(now) == ring.keys[0].kid
    loaded_store.failure, loaded_store.ring = None, following
    clock.time += 60
    assert use(now) == following.keys[1].kid


def test_failing_store_is_named_in_the_log_once_a_minute(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """For as long as the outage lasts. Its end is logged once."""
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


def test_failure_after_a_recovery_is_logged_immediately(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Even within the same minute."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=20)):
        for loaded_store.failure in (DOWN, None, DOWN):
            clock.time += 10
            use(now)
    assert [text.partition(" ring ")[2].split()[0] for text in said(caplog)] == [
        "could",
        "was",
        "could",
    ]


def test_failure_before_a_reset_says_nothing_about_the_present_store(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Its first failure is logged immediately, and its first load isn't a recovery."""
    for _ in range(2):
        loaded_store.failure = DOWN
        clock.time += 30
        use(now)
        cache.reset()
        loaded_store.failure = None
        use(now)
    assert [text.partition(" ring ")[2].split()[0] for text in said(caplog)] == ["could", "could"]


def test_foreign_error_is_named_by_its_class(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may quote a key."""
    loaded_store.failure = RuntimeError("d=private")
    clock.time += 30
    use(now)
    assert "memory has failed: RuntimeError" in caplog.text
    assert "private" not in caplog.text


def test_setting_that_has_become_wrong_is_named_by_its_class(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A setting that was changed in a running server may hold a credential."""
    settings.JWT_AUTH_KEY_STORE["BACKEND"] = "s3cret"
    clock.time += 30
    assert use(now) == ring.keys[0].kid
    assert "stays in use: ImproperlyConfigured" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("age", [30, 60])
def test_ring_that_a_running_server_has_lost_is_a_refusal(
    loaded_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime, age: int
) -> None:
    """The server keeps its copy. Before the first key is made, a missing ring isn't a refusal."""
    loaded_store.ring = None
    clock.time += age
    with told() as events:
        assert use(now) == ring.keys[0].kid
    assert [(event["event"], event["reason"]) for event in events] == [
        ("refused", "key_ring_missing")
    ]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), StillWaiting()])
def test_load_that_finds_no_thread_is_tried_again(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """The request uses the copy, and doesn't wait for a load that has not begun."""
    clock.time += 60
    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as pool:
        patched.setattr(cache._cache._executor, "submit", Mock(side_effect=error))
        request = pool.submit(signing_key, now)
        assert request.result(HELD).kid == ring.keys[0].kid
    use(now)
    assert loaded_store.loads == 2


# ---- A store that hangs


def test_request_waits_for_a_hanging_store_for_a_limited_time(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then it gets the copy."""
    monkeypatch.setattr(cache, "PATIENCE", 0.05)
    clock.time += 3600
    with loaded_store.held():
        assert signing_key(now).kid == ring.keys[0].kid
        assert len(reloads()) == 1


def test_requests_wait_once_for_a_hanging_store(
    loaded_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime
) -> None:
    """A request that comes when that time has passed doesn't wait, and starts no second load."""
    clock.time += 3600
    with loaded_store.held(), ThreadPoolExecutor(1) as pool:
        pool.submit(signing_key, now)
        assert loaded_store.asked.wait(HELD)
        clock.time += PATIENCE
        for n in range(20):
            assert signing_key(now).kid == ring.keys[0].kid
            assert not knows(f"made up {n}", now)
        assert len(reloads()) == 1
        loaded_store.answer.set()
    finish_reloads()
    assert loaded_store.loads == 2


@pytest.mark.usefixtures("_no_patience")
def test_hanging_store_is_logged_once_a_minute(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """From the interval on, with the time that it has taken so far. Its return is logged once."""
    with loaded_store.held():
        clock.time += 30
        signing_key(now)
        assert loaded_store.asked.wait(HELD)
        for _ in range(41):
            clock.time += 3
            signing_key(now)
    finish_reloads()
    first, second, recovery = said(caplog)
    assert first.endswith("the former copy stays in use: it has not answered for 63 seconds")
    assert second.endswith("the former copy stays in use: it has not answered for 123 seconds")
    assert recovery.endswith("loaded from memory again.")


# ---- A load that does not come back


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize(("interval", "patience"), [(60, 120), (1, 30)])
def test_load_that_never_returns_is_abandoned(
    loaded_store: MemoryKeyStore,
    hanging: Hanging,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    interval: int,
    patience: int,
) -> None:
    """After two intervals or half a minute, whichever is longer: the store may have recovered."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=interval)):
        clock.time += interval / 2
        hanging.hang(partial(signing_key, now))
        loaded_store.ring = following
        clock.time += patience
        signing_key(now)
        assert loaded_store.loads == 2
        clock.time += 1
        signing_key(now)
        hanging.finish_others()
        assert signing_key(now).kid == following.keys[1].kid
    assert loaded_store.loads == 3


@pytest.mark.parametrize("failure", [None, DOWN])
def test_result_of_an_abandoned_load_is_ignored(
    loaded_store: MemoryKeyStore,
    hanging: Hanging,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    failure: Exception | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is from long ago: its ring may hold a key that was withdrawn since, and its failure
    neither is logged nor makes an unknown kid worth a load.
    """
    clock.time += 30
    hanging.hang(partial(signing_key, now))
    loaded_store.ring = following.without(ring.keys[0].kid)
    clock.time += 121
    assert signing_key(now).kid == following.keys[1].kid
    newer = cache.get_ring()
    hanging.finish_others()
    caplog.clear()
    loaded_store.failure = failure
    with told() as events:
        hanging.let_go()
    assert (cache.get_ring(), said(caplog)) == (newer, [])
    assert [event["event"] for event in events if event["kid"]] == []
    assert not knows(ring.keys[0].kid, now)
    assert loaded_store.loads == 3


@pytest.mark.usefixtures("_no_patience")
def test_abandoned_load_does_not_end_a_later_one(
    loaded_store: MemoryKeyStore, hanging: Hanging, clock: Clock, now: datetime
) -> None:
    """When it comes back, the later one is still under way, and stays the only one."""
    clock.time += 30
    hanging.hang(partial(signing_key, now))
    clock.time += 121
    hanging.hang(partial(signing_key, now))
    hanging.let_go_of(0)
    signing_key(now)
    assert len(reloads()) == 1
    assert loaded_store.loads == 3


@pytest.mark.usefixtures("_no_patience")
def test_hanging_loads_have_four_threads_at_most(
    loaded_store: MemoryKeyStore,
    hanging: Hanging,
    following: KeyRing,
    clock: Clock,
    now: datetime,
) -> None:
    """When one of them comes back, there is a thread for another one."""
    for _ in range(4):
        clock.time += 121
        hanging.hang(partial(signing_key, now))
    for _ in range(5):
        clock.time += 121
        signing_key(now)
    assert (len(reloads()), loaded_store.loads) == (4, 5)
    loaded_store.ring = following
    hanging.let_go_of(0)
    signing_key(now)
    hanging.finish_others()
    assert signing_key(now).kid == following.keys[1].kid
