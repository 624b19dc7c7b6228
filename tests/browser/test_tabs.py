"""Tabs, reloads, lost answers and sleep: the user is still logged in, in one session, and nobody
was taken for a thief.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    KEEP_HALF_MINUTES,
    WITHOUT_LOCKS,
    Device,
    Stage,
    assert_still_logged_in,
    go_at_once,
    heard,
    locks,
    log_in,
    open_at_once,
    ready,
    start_refresh,
    wait_for_client,
    wait_for_rotations,
    wait_until,
)
from tests.browser.engines import process_ids
from tests.chaos.proxy import Proxy

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page, Request

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

TABS = 10


@pytest.mark.engines
def test_ten_tabs_opened_at_once_share_one_session(device: Device, stage: Stage) -> None:
    """Each refreshes for itself, in turn."""
    tab, sid = log_in(device)
    tabs = open_at_once(device, TABS)
    assert_still_logged_in(device, [tab, *tabs], sid)
    assert stage.events(sid, "session_refreshed") >= TABS


@pytest.mark.engines
def test_ten_reloads_before_an_answer_keep_the_session(device: Device, stage: Stage) -> None:
    """Each answer is lost to the next reload; the key outlives it."""
    tab, sid = log_in(device)
    with stage.holding_answers():
        for number in range(1, 11):
            go_at_once(tab, tab.url)
            wait_for_requests(stage, sid, number)
    assert_still_logged_in(device, [tab], sid)
    assert stage.events(sid, "refresh_retried") >= 9


def wait_for_requests(stage: Stage, sid: str, number: int) -> None:
    """Wait until the server has taken so many refreshes for the session's own."""
    events = ("session_refreshed", "refresh_retried")
    wait_until(lambda: stage.events(sid, *events) >= number, "no request")


@pytest.mark.engines
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
    assert_lost_answer_is_given_again(wired_device, wire, stage)


def test_device_offline_in_the_middle_of_a_refresh_asks_once_it_is_online(
    wired_device: Device, wire: Proxy, stage: Stage
) -> None:
    """Nothing is tried while the device knows that there is no network."""
    wired_device.context.clock.install()
    tab, sid = log_in(wired_device)
    failed = heard(tab, "requestfailed")
    with stage.holding_answers():
        start_refresh(tab)
        wait_for_rotations(stage, sid)
        wired_device.context.set_offline(True)
        wire.refuse()
    wait_until(lambda: failed, "the answer was not lost", tab)
    wire.listen()
    tried = heard(tab, "request")
    wired_device.context.clock.run_for("00:10")  # some say nothing: after half a minute it looks
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
    failed = heard(tab, "requestfailed")
    with stage.holding_answers():
        start_refresh(tab)
        wait_for_rotations(stage, sid)
        wire.refuse()
    wait_until(lambda: failed, "the answer was not lost", tab)  # the browser itself tries again
    wire.listen()
    go_at_once(tab, tab.url)
    assert_still_logged_in(wired_device, [tab], sid)
    assert stage.events(sid, "refresh_retried") > 0


@pytest.mark.engines
def test_device_asleep_in_the_middle_of_a_refresh_keeps_the_session(
    device: Device, stage: Stage
) -> None:
    """All of the browser stands still for longer than the answer takes."""
    tab, sid = log_in(device)
    with ExitStack() as until_asleep:
        until_asleep.enter_context(stage.holding_answers())
        start_refresh(tab)
        wait_for_rotations(stage, sid)
        with asleep(process_ids()):
            until_asleep.close()
            time.sleep(0.5)
    assert tab.evaluate("outcome") is True
    assert_still_logged_in(device, [tab], sid)


def test_tab_that_stands_still_holds_no_other_tab_up_for_ever(device: Device, stage: Stage) -> None:
    """After half a minute the others go on without its lock, and with its key."""
    frozen, sid = log_in(device)
    other = device.blank()
    other.add_init_script(KEEP_HALF_MINUTES)
    go_at_once(other, stage.url())
    ready(other)
    with stage.holding_answers():
        start_refresh(frozen)
        wait_for_rotations(stage, sid, 2)
        dialog = freeze(frozen)
    start_refresh(other)
    wait_until(lambda: locks(other) == [1, 1], "the frozen tab does not hold the lock")
    other.evaluate("halfMinutes.forEach((task) => task())")
    assert other.evaluate("outcome") is True
    dialog.accept()
    assert frozen.evaluate("outcome") is True
    assert_still_logged_in(device, [frozen, other], sid)


def test_tabs_closed_in_the_middle_of_a_refresh_leave_the_session(
    device: Device, stage: Stage
) -> None:
    """Their answers are lost, and one of the others is the next in turn."""
    tab, sid = log_in(device)
    requests = heard(device.context, "request")
    with stage.holding_answers():
        tabs = open_at_once(device, TABS)
        wait_for_rotations(stage, sid)
        wait_until(lambda: refreshed(requests), "no request", tab)
        [asking] = refreshed(requests)
        waiting = [each for each in tabs if each is not asking]
        for each in [asking, *waiting[::2]]:
            each.close()
    assert_still_logged_in(device, [tab, *waiting[1::2]], sid)
    assert stage.events(sid, "refresh_retried") > 0


def refreshed(requests: list[Request]) -> list[Page]:
    """List the tabs that have asked for another token."""
    return [request.frame.page for request in requests if request.url.endswith("/refresh/")]


def test_tabs_without_locks_take_turns(device: Device, stage: Stage) -> None:
    """A lease stands in for the lock, and a tab that is closed holds nobody up for long."""
    clock = device.context.clock
    device.context.add_init_script(WITHOUT_LOCKS)
    clock.install(time=0)
    tab, sid = log_in(device)
    clock.pause_at(600)  # a lease lasts for seconds, and this machine may be busy for as long
    requests = heard(device.context, "request")
    with stage.holding_answers():
        tabs = [device.open() for _ in range(3)]
        wait_for_rotations(stage, sid)
        for each in tabs:
            wait_for_client(each)
        for _ in range(20):
            clock.run_for(100)
        [asking] = refreshed(requests)
        asking.close()
        waiting = [each for each in tabs if each is not asking]
        while len(refreshed(requests)) == 1:
            clock.run_for(500)
    clock.resume()
    assert_still_logged_in(device, [tab, *waiting], sid)


@pytest.mark.parametrize(
    "missing",
    [
        WITHOUT_LOCKS,
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
    assert_still_logged_in(device, [tab, *tabs], sid)
    stage.kill_after_next_rotation()
    go_at_once(tabs[0], stage.url())
    assert_still_logged_in(device, [tab, *tabs], sid)
    assert stage.events(sid, "refresh_retried") > 0


#: Where nothing may be read, and where nothing more may be written.
WITHOUT_STORAGE = {
    "blocked": """Object.defineProperty(window, "localStorage", {
      get() { throw new DOMException("blocked", "SecurityError"); },
    });""",
    "full": """Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };""",
}


@pytest.mark.parametrize("kind", WITHOUT_STORAGE)
def test_browser_without_any_storage_keeps_the_session_of_one_tab(
    wired_device: Device, wire: Proxy, stage: Stage, kind: str
) -> None:
    """The key then lasts as long as the page, which is enough for an answer that is lost."""
    wired_device.context.add_init_script(
        'Object.defineProperty(window, "indexedDB", { value: undefined });' + WITHOUT_STORAGE[kind]
    )
    assert_lost_answer_is_given_again(wired_device, wire, stage)


def assert_lost_answer_is_given_again(device: Device, wire: Proxy, stage: Stage) -> None:
    """Cut the network between a rotation and its answer, until the client has tried twice."""
    tab, sid = log_in(device)
    failed = heard(tab, "requestfailed")
    with stage.holding_answers():
        start_refresh(tab)
        wait_for_rotations(stage, sid)
        wire.refuse()
    wait_until(lambda: len(failed) > 1, "no second try", tab)
    wire.listen()
    assert tab.evaluate("outcome") is True
    assert stage.events(sid, "refresh_retried") > 0
    assert_still_logged_in(device, [tab], sid)


def freeze(tab: Page) -> Dialog:
    """Stop a tab's script until the dialog is accepted: it can't take an answer until then."""
    dialogs = heard(tab, "dialog")
    tab.evaluate("() => { setTimeout(alert); }")
    wait_until(lambda: dialogs, "no dialog", tab)
    dialog: Dialog = dialogs[0]
    return dialog


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
