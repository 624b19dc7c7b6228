"""A password change whose answer is lost logs nobody out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    Device,
    Stage,
    call,
    go_at_once,
    heard,
    log_in,
    ready,
    seen,
    session_of,
    wait_until,
)
from tests.chaos.proxy import Proxy
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

NEW_PASSWORD = PASSWORD + "!"


def change(tab: Page) -> None:
    """Begin a change, and leave its outcome in the page."""
    outcome = "auth.changePassword(old, word).then(({ sid }) => sid, (error) => error.code)"
    tab.evaluate(f"([old, word]) => {{ window.outcome = {outcome}; }}", [PASSWORD, NEW_PASSWORD])


def wait_for_change(device: Device, sub: str) -> None:
    """Wait until the server has opened the user's second session, in place of the first."""
    of_user = f"user_id='{sub}'"
    wait_until(lambda: device.stage.events(of_user, "session_opened") == 2, "no change")


def assert_goes_on(device: Device, tabs: list[Page], former: str) -> None:
    """All tabs are in the session that the change has opened, and nobody was taken for a thief."""
    (sid,) = {session_of(tab) for tab in tabs}
    assert sid is not None
    assert sid != former
    assert {call(tab) for tab in tabs} == {200}
    assert [session["id"] for session in device.sessions(tabs[0])] == [sid]
    assert device.stage.events(sid, "refresh_retried") > 0
    assert device.stage.events(former, "reuse_detected") == 0
    assert not {"revoked", "expired"} & {event for tab in tabs for event in seen(tab)}


@pytest.mark.engines
def test_page_reloaded_during_a_password_change_is_logged_in(device: Device, stage: Stage) -> None:
    """The answer goes to a page that is no longer there; the key is on disk."""
    tab, former = log_in(device)
    sub = tab.evaluate("auth.claims.sub")
    with stage.holding_answers("change"):
        change(tab)
        wait_for_change(device, sub)
        go_at_once(tab, tab.url)
        assert ready(tab) is True
    assert_goes_on(device, [tab], former)


def test_tab_closed_during_a_password_change_leaves_the_others_in(
    device: Device, stage: Stage
) -> None:
    """Their tokens have ended with the change; each has another one."""
    tab, former = log_in(device)
    sub = tab.evaluate("auth.claims.sub")
    others = [device.open(), device.open()]
    for other in others:
        ready(other)
    with stage.holding_answers("change"):
        change(tab)
        wait_for_change(device, sub)
        tab.close()
        assert {call(other) for other in others} == {200}
    assert_goes_on(device, others, former)


def test_network_cut_during_a_password_change_is_no_failure(
    wired_device: Device, wire: Proxy, stage: Stage
) -> None:
    """The page is told that its password was changed, as soon as there is a network again."""
    tab, former = log_in(wired_device)
    sub = tab.evaluate("auth.claims.sub")
    failed = heard(tab, "requestfailed")
    with stage.holding_answers("change"):
        change(tab)
        wait_for_change(wired_device, sub)
        wire.refuse()
    wait_until(lambda: failed, "the answer was not lost", tab)
    wire.listen()
    assert tab.evaluate("outcome") == session_of(tab)
    assert_goes_on(wired_device, [tab], former)


@pytest.mark.engines
def test_page_reloaded_before_the_password_is_changed_is_logged_in(
    device: Device, stage: Stage
) -> None:
    """Its refresh is faster than the hashes of the change, which then ends what it has brought."""
    tab, former = log_in(device)
    sub = tab.evaluate("auth.claims.sub")
    with stage.stalling("change"):
        change(tab)
        wait_until(lambda: stage.has_come("change"), "no request")
        go_at_once(tab, tab.url)
        assert ready(tab) is True
        assert session_of(tab) == former
    wait_for_change(device, sub)
    assert call(tab) == 200
    assert_goes_on(device, [tab], former)


def test_password_change_that_fails_is_told(device: Device) -> None:
    """The session goes on, under the former password."""
    tab, former = log_in(device)
    tab.route("**/password/change/", lambda route: route.fulfill(status=503), times=1)
    change(tab)
    assert tab.evaluate("outcome") == "http_error"
    assert session_of(tab) == former
    change(tab)
    assert tab.evaluate("outcome") == session_of(tab) != former
    assert call(tab) == 200
