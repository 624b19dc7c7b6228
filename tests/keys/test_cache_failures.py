"""The copy stays in use while the store fails or hangs, and the log says so.

A load that does not come back is abandoned after a while, and its result is ignored.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.test import override_settings
from pytest_django import Settings

from jwt_auth.exceptions import KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.bounded_call import StillWaiting
from tests.keys.reloading import (
    PATIENCE,
    Hanging,
    Process,
    finish_reloads,
    reloads,
    said,
    told,
)
from tests.keys.stores import HELD

DOWN = KeyStoreError("It is down.")


def subjects(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The word after "The key ring" in each record."""
    return [text.removeprefix("The key ring ").split()[0] for text in said(caplog)]


# ---- A store that fails


@pytest.mark.parametrize("age", [30, 3600, 1_000_000])
def test_copy_stays_when_the_store_fails(process: Process, age: int) -> None:
    """The store is asked once, and not at each request. Only another service's keys get too old."""
    process.store.failure = DOWN
    process.let_pass(age)
    for _ in range(3):
        assert process.use() == process.kid
    assert process.store.loads == 2


def test_failed_reload_is_tried_again_after_the_interval(process: Process) -> None:
    """A torn ring may have been repaired."""
    process.store.failure = KeyRingTorn()
    process.let_pass(60)
    process.use()
    process.store.failure, process.store.ring = None, process.following
    process.let_pass(60)
    assert process.use() == process.new_kid


def test_copy_stays_when_a_load_is_interrupted(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an exception that is not an ``Exception``. The next request starts another load."""
    process.let_pass(30)
    with monkeypatch.context() as patched:
        patched.setattr(process.store, "load", Mock(side_effect=SystemExit))
        assert process.use() == process.kid
    process.store.ring = process.following
    assert process.use() == process.kid
    assert process.use() == process.new_kid


def test_failing_store_is_named_in_the_log_once_a_minute(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """For as long as the outage lasts. Its end is logged once."""
    process.store.failure = DOWN
    for _ in range(5):
        process.let_pass(30)
        process.use()
    process.store.failure = None
    for _ in range(2):
        process.let_pass(30)
        process.use()
    kept = "The key ring could not be reloaded from memory, the former copy stays in use: "
    assert said(caplog) == [f"{kept}It is down."] * 3 + [
        "The key ring was loaded from memory again."
    ]


def test_failure_after_a_recovery_is_logged_immediately(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """Even within the same minute."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=20)):
        for process.store.failure in (DOWN, None, DOWN):
            process.let_pass(10)
            process.use()
    assert subjects(caplog) == ["could", "was", "could"]


def test_failure_before_a_reset_says_nothing_about_the_present_store(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """Its first failure is logged immediately, and its first load isn't a recovery."""
    for _ in range(2):
        process.store.failure = DOWN
        process.let_pass(30)
        process.use()
        cache.reset()
        process.store.failure = None
        process.use()
    assert subjects(caplog) == ["could", "could"]


def test_foreign_error_is_named_by_its_class(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may quote a key."""
    process.store.failure = RuntimeError("d=private")
    process.let_pass(30)
    process.use()
    assert "memory has failed: RuntimeError" in caplog.text
    assert "private" not in caplog.text


def test_setting_that_has_become_wrong_is_named_by_its_class(
    process: Process, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting that was changed in a running server may hold a credential."""
    settings.JWT_AUTH_KEY_STORE["BACKEND"] = "s3cret"
    process.let_pass(30)
    assert process.use() == process.kid
    assert "stays in use: ImproperlyConfigured" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("age", [30, 60])
def test_ring_that_a_running_server_has_lost_is_a_refusal(process: Process, age: int) -> None:
    """The server keeps its copy. Before the first key is made, a missing ring isn't a refusal."""
    process.store.ring = None
    process.let_pass(age)
    with told() as events:
        assert process.use() == process.kid
    assert [(event["event"], event["reason"]) for event in events] == [
        ("refused", "key_ring_missing")
    ]


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), StillWaiting()])
def test_load_that_finds_no_thread_is_tried_again(
    process: Process, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The request uses the copy, and doesn't wait for a load that has not begun."""
    process.let_pass(60)
    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as pool:
        patched.setattr(cache._cache._executor, "submit", Mock(side_effect=error))
        assert pool.submit(process.request).result(HELD) == process.kid
    process.use()
    assert process.store.loads == 2


# ---- A store that hangs


def test_request_waits_for_a_hanging_store_for_a_limited_time(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it gets the copy."""
    monkeypatch.setattr(cache, "PATIENCE", 0.05)
    process.let_pass(3600)
    with process.store.held():
        assert process.request() == process.kid
        assert len(reloads()) == 1


def test_requests_wait_once_for_a_hanging_store(process: Process) -> None:
    """A request that comes when that time has passed doesn't wait, and starts no second load."""
    process.let_pass(3600)
    with process.store.held(), ThreadPoolExecutor(1) as pool:
        pool.submit(process.request)
        assert process.store.asked.wait(HELD)
        process.let_pass(PATIENCE)
        for n in range(20):
            assert process.request() == process.kid
            assert not process.knows(f"made up {n}")
        assert len(reloads()) == 1
        process.store.answer.set()
    finish_reloads()
    assert process.store.loads == 2


@pytest.mark.usefixtures("_no_patience")
def test_hanging_store_is_logged_once_a_minute(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    """From the interval on, with the time that it has taken so far. Its return is logged once."""
    with process.store.held():
        process.let_pass(30)
        process.request()
        assert process.store.asked.wait(HELD)
        for _ in range(41):
            process.let_pass(3)
            process.request()
    finish_reloads()
    first, second, recovery = said(caplog)
    assert first.endswith("the former copy stays in use: it has not answered for 63 seconds")
    assert second.endswith("the former copy stays in use: it has not answered for 123 seconds")
    assert recovery.endswith("loaded from memory again.")


# ---- A load that does not come back


@pytest.mark.usefixtures("_no_patience")
@pytest.mark.parametrize(("interval", "patience"), [(60, 120), (1, 30)])
def test_load_that_never_returns_is_abandoned(
    process: Process, hanging: Hanging, interval: int, patience: int
) -> None:
    """After two intervals or half a minute, whichever is longer: the store may have recovered."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=interval)):
        process.let_pass(interval / 2)
        hanging.hang(process.request)
        process.store.ring = process.following
        process.let_pass(patience)
        process.request()
        assert process.store.loads == 2
        process.let_pass(1)
        process.request()
        hanging.finish_others()
        assert process.request() == process.new_kid
    assert process.store.loads == 3


@pytest.mark.parametrize("failure", [None, DOWN])
def test_result_of_an_abandoned_load_is_ignored(
    process: Process,
    hanging: Hanging,
    failure: Exception | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is from long ago: its ring may hold a key that was withdrawn since, and its failure
    neither is logged nor makes an unknown kid worth a load.
    """
    process.let_pass(30)
    hanging.hang(process.request)
    process.store.ring = newer = process.following.without(process.kid)
    process.let_pass(121)
    assert process.request() == process.new_kid
    hanging.finish_others()
    caplog.clear()
    process.store.failure = failure
    with told() as events:
        hanging.let_go()
    assert (cache.get_ring(), said(caplog)) == (newer, [])
    assert [event["event"] for event in events if event["kid"]] == []
    assert not process.knows(process.kid)
    assert process.store.loads == 3


@pytest.mark.usefixtures("_no_patience")
def test_abandoned_load_does_not_end_a_later_one(process: Process, hanging: Hanging) -> None:
    """When it comes back, the later one is still under way, and stays the only one."""
    process.let_pass(30)
    hanging.hang(process.request)
    process.let_pass(121)
    hanging.hang(process.request)
    hanging.let_go_of(0)
    process.request()
    assert len(reloads()) == 1
    assert process.store.loads == 3


@pytest.mark.usefixtures("_no_patience")
def test_hanging_loads_have_four_threads_at_most(process: Process, hanging: Hanging) -> None:
    """When one of them comes back, there is a thread for another one."""
    for _ in range(4):
        process.let_pass(121)
        hanging.hang(process.request)
    for _ in range(5):
        process.let_pass(121)
        process.request()
    assert (len(reloads()), process.store.loads) == (4, 5)
    process.store.ring = process.following
    hanging.let_go_of(0)
    process.request()
    hanging.finish_others()
    assert process.request() == process.new_kid
