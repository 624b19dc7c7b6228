"""Tabs, reloads, lost answers and sleep: the user is still logged in, in one session, and nobody
was taken for a thief.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.browser.devices import (
    Device,
    Stage,
    assert_still_logged_in,
    go_at_once,
    log_in,
    open_at_once,
    process_ids,
    ready,
    renderer_of,
    start_refresh,
    wait_for_client,
    wait_until,
)
from tests.chaos.proxy import Proxy

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

TABS = 10


def test_ten_tabs_opened_at_once_share_one_session(device: Device, stage: Stage) -> None:
    """Each refreshes for itself, in turn."""
    tab, sid = log_in(device)
    tabs = open_at_once(device, TABS)
    assert_still_logged_in(device, [tab, *tabs], sid)
    assert stage.events(sid, "session_refreshed") >= TABS


def test_ten_reloads_within_a_second_keep_the_session(device: Device, stage: Stage) -> None:
    """Most answers are lost to the next reload; the key outlives it."""
    tab, sid = log_in(device)
    stage.answer_late(0.1)
    started = time.monotonic()
    for _ in range(10):
        go_at_once(tab, tab.url)
        wait_for_client(tab)
    took = time.monotonic() - started
    stage.answer_late(None)
    assert_still_logged_in(device, [tab], sid)
    assert stage.events(sid, "refresh_retried") > 0
    assert took < 10, "on a quiet machine it is a second"


def test_server_killed_between_rotation_and_answer_keeps_the_session(
    device: Device, stage: Stage
) -> None:
    """The retry brings the key, and gets the lost answer."""
    tab, sid = log_in(device)
    stage.kill_after_next_rotation()
    assert tab.evaluate("auth.refresh()") is True
    assert not stage.will_kill
    assert stage.events(sid, "refresh_retried") > 0
    assert_still_logged_in(device, [tab], sid)


def test_network_cut_in_the_middle_of_a_refresh_keeps_the_session(
    wired_device: Device, wire: Proxy, stage: Stage
) -> None:
    """The client tries again until there is a network, and is given the lost answer."""
    tab, sid = log_in(wired_device)
    with mid_refresh(stage):
        start_refresh(tab)
        wait_until(lambda: stage.events(sid, "session_refreshed") == 1, "no rotation")
        wire.refuse()
    time.sleep(1)
    wire.listen()
    assert tab.evaluate("outcome") is True
    assert stage.events(sid, "refresh_retried") > 0
    assert_still_logged_in(wired_device, [tab], sid)


def test_device_offline_in_the_middle_of_a_refresh_asks_once_it_is_online(
    wired_device: Device, wire: Proxy, stage: Stage
) -> None:
    """Nothing is tried while the device knows that there is no network."""
    tab, sid = log_in(wired_device)
    with mid_refresh(stage):
        start_refresh(tab)
        wait_until(lambda: stage.events(sid, "session_refreshed") == 1, "no rotation")
        wired_device.context.set_offline(True)
        wire.refuse()
    wire.listen()
    tried: list[str] = []
    tab.on("request", lambda request: tried.append(request.url))
    tab.wait_for_timeout(2500)
    assert tried == []
    wired_device.context.set_offline(False)
    assert tab.evaluate("outcome") is True
    assert stage.events(sid, "refresh_retried") > 0
    assert_still_logged_in(wired_device, [tab], sid)


def test_page_reloaded_after_the_network_was_cut_keeps_the_session(
    wired_device: Device, wire: Proxy, stage: Stage
) -> None:
    """The key is on disk, not in the page that has lost its answer."""
    tab, sid = log_in(wired_device)
    with mid_refresh(stage):
        start_refresh(tab)
        wait_until(lambda: stage.events(sid, "session_refreshed") == 1, "no rotation")
        wire.refuse()  # not cut(): the browser itself would send the request again
    wire.listen()
    go_at_once(tab, tab.url)
    assert_still_logged_in(wired_device, [tab], sid)
    assert stage.events(sid, "refresh_retried") > 0


def test_device_asleep_in_the_middle_of_a_refresh_keeps_the_session(
    device: Device, stage: Stage
) -> None:
    """All of the browser stands still for longer than the answer takes."""
    tab, sid = log_in(device)
    with mid_refresh(stage, seconds=0.5):
        start_refresh(tab)
        wait_until(lambda: stage.events(sid, "session_refreshed") == 1, "no rotation")
        with asleep(process_ids(tab)):
            time.sleep(1.5)
    assert tab.evaluate("outcome") is True
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.slow
def test_tab_that_stands_still_holds_no_other_tab_up_for_ever(device: Device, stage: Stage) -> None:
    """After half a minute the others go on without its lock, and with its key."""
    frozen, sid = log_in(device)
    other = device.open()
    ready(other)
    renderer = renderer_of(frozen)
    with mid_refresh(stage):
        start_refresh(frozen)
        wait_until(lambda: stage.events(sid, "session_refreshed") == 2, "no rotation")
        with asleep([renderer]):
            started = time.monotonic()
            assert other.evaluate("auth.refresh()") is True
            assert time.monotonic() - started > 20, "the frozen tab did not hold the lock"
    assert frozen.evaluate("outcome") is True
    assert_still_logged_in(device, [frozen, other], sid)


def test_tabs_closed_in_the_middle_of_a_refresh_leave_the_session(
    device: Device, stage: Stage
) -> None:
    """Their answers are lost, and one of the others is the next in turn."""
    tab, sid = log_in(device)
    with mid_refresh(stage, seconds=0.1):
        tabs = open_at_once(device, TABS)
        wait_until(lambda: stage.events(sid, "session_refreshed") > 0, "no rotation")
        for each in tabs[::2]:
            each.close()
    assert_still_logged_in(device, [tab, *tabs[1::2]], sid)


@pytest.mark.parametrize(
    "missing",
    [
        "Object.defineProperty(navigator, 'locks', { value: undefined })",
        "Object.defineProperty(window, 'indexedDB', { value: undefined })",
        "Object.defineProperty(window, 'BroadcastChannel', { value: undefined })",
    ],
    ids=["locks", "IndexedDB", "BroadcastChannel"],
)
def test_browser_that_lacks_something_keeps_the_session(
    device: Device, stage: Stage, missing: str
) -> None:
    """There is a second best for each."""
    device.context.add_init_script(missing)
    tab, sid = log_in(device)
    tabs = open_at_once(device, 5)
    stage.kill_after_next_rotation()
    go_at_once(tabs[0], stage.url())
    ready(tabs[0])
    assert_still_logged_in(device, [tab, *tabs], sid)


def test_browser_without_any_storage_keeps_the_session_of_one_tab(
    device: Device, stage: Stage
) -> None:
    """The key then lasts as long as the page, which is enough for an answer that is lost."""
    device.context.add_init_script(
        """
        Object.defineProperty(window, "indexedDB", { value: undefined });
        Object.defineProperty(window, "localStorage", {
          get() { throw new DOMException("blocked", "SecurityError"); },
        });
        """
    )
    tab, sid = log_in(device)
    stage.kill_after_next_rotation()
    assert tab.evaluate("auth.refresh()") is True
    assert stage.events(sid, "refresh_retried") > 0
    assert_still_logged_in(device, [tab], sid)


@contextmanager
def mid_refresh(stage: Stage, seconds: float = 1.0) -> Iterator[None]:
    """Have the answers come late, so that something can happen before they do."""
    stage.answer_late(seconds)
    yield
    stage.answer_late(None)


@contextmanager
def asleep(pids: list[int]) -> Iterator[None]:
    """Stop processes as a device does that is shut."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
