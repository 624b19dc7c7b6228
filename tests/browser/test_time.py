"""The client's clocks and its patience."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.devices import (
    Device,
    Stage,
    assert_still_logged_in,
    call,
    log_in,
    process_ids,
    ready,
    seen,
    session_of,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import BrowserType, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]


def refreshes(device: Device, sid: str) -> int:
    """Count them at the server."""
    return device.stage.events(sid, "session_refreshed")


def run_until_refresh(device: Device, tab: Page, *, seconds: int) -> None:
    """Run the clock up to the request and no further: the request's time-out is on it, too."""
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    for _ in range(seconds):
        device.context.clock.run_for(1000)
        if asked:
            return
    raise AssertionError("no refresh was asked for")


def test_token_is_refreshed_ahead_of_its_end(device: Device) -> None:
    """Between 70 and 90 per cent of its time, and not before."""
    device.context.clock.install()
    tab, sid = log_in(device)
    device.context.clock.run_for("10:20")  # of 15 minutes
    tab.wait_for_timeout(200)
    assert refreshes(device, sid) == 0
    run_until_refresh(device, tab, seconds=200)
    wait_until(lambda: tab.evaluate("auth.expiresAt - Date.now()") > 600_000, "no refresh")
    assert refreshes(device, sid) == 1


def test_device_that_wakes_after_the_token_ended_refreshes_by_itself(device: Device) -> None:
    """Nobody has to click: time has passed, though no timer has seen it."""
    device.context.clock.install()
    tab, sid = log_in(device)
    device.context.clock.fast_forward("02:00:00")
    wait_until(lambda: refreshes(device, sid) == 1, "no refresh")
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.parametrize("clock", ["Date", "performance"])
def test_request_after_sleep_never_goes_out_with_a_token_that_has_ended(
    device: Device, clock: str
) -> None:
    """It waits for the refresh, whichever of the two clocks has noticed."""
    tab, sid = log_in(device)
    tab.evaluate(
        f"() => {{ const now = {clock}.now; {clock}.now = () => now.call({clock}) + 3_600_000; }}"
    )
    refused: list[int] = []
    tab.on("response", lambda answer: refused.append(answer.status) if not answer.ok else None)
    assert call(tab) == 200
    assert refreshes(device, sid) == 1
    assert refused == []


@pytest.mark.parametrize("shift", ["- 86_400_000", "+ 86_400_000"], ids=["a day back", "ahead"])
def test_device_whose_clock_is_wrong_refreshes_no_more_than_others(
    device: Device, shift: str
) -> None:
    """What counts is how long a token lives, not what the device takes for the time."""
    device.context.add_init_script(
        f"{{ const now = Date.now; Date.now = () => now.call(Date) {shift}; }}"
    )
    tab, sid = log_in(device)
    assert [call(tab) for _ in range(3)] == [200] * 3
    assert refreshes(device, sid) == 0
    assert 890_000 < tab.evaluate("auth.expiresAt - Date.now()") <= 900_000


def test_clock_set_back_while_logged_in_is_no_trouble(device: Device) -> None:
    """The steady clock still counts."""
    device.context.clock.install()
    tab, sid = log_in(device)
    tab.evaluate("() => { const now = Date.now; Date.now = () => now.call(Date) - 86_400_000; }")
    run_until_refresh(device, tab, seconds=840)
    wait_until(lambda: refreshes(device, sid) == 1, "no refresh")
    assert_still_logged_in(device, [tab], sid)


def test_hidden_tab_refreshes_when_it_is_looked_at(device: Device) -> None:
    """A forgotten tab must not keep a session alive for ever."""
    device.context.clock.install()
    tab, sid = log_in(device)
    hide = "Object.defineProperty(document, 'hidden', { value: true, configurable: true })"
    tab.evaluate(hide)
    device.context.clock.run_for("20:00")
    tab.wait_for_timeout(200)
    assert refreshes(device, sid) == 0
    tab.evaluate(
        "delete document.hidden; document.dispatchEvent(new Event('visibilitychange', "
        "{ bubbles: true }))"
    )
    wait_until(lambda: refreshes(device, sid) == 1, "no refresh")


def test_session_that_ended_in_sleep_is_shown_as_expired(
    new_device: Callable[..., Device],
) -> None:
    """By then there is no telling what ended it."""
    device = new_device()
    device.context.clock.install()
    tab, _ = log_in(device)
    elsewhere = new_device(device.username).log_in()
    elsewhere.evaluate("auth.logoutAll()")
    device.context.clock.fast_forward("02:00:00")
    wait_until(lambda: "expired" in seen(tab), "not noticed")


def answers(tab: Page, *statuses: int, headers: dict[str, str] | None = None) -> list[float]:
    """Have refresh/ answer so, and then as it really does; give the times of all requests."""
    left, times = list(statuses), list[float]()

    def answer(route: Route) -> None:
        times.append(time.monotonic())
        if left:
            route.fulfill(status=left.pop(0), headers=headers or {}, json={"code": "unavailable"})
        else:
            route.continue_()

    tab.route("**/refresh/", answer)
    return times


def test_retry_after_is_waited_for(device: Device) -> None:
    """Neither less nor much longer."""
    tab, sid = log_in(device)
    times = answers(tab, 429, 503, headers={"Retry-After": "2"})
    assert tab.evaluate("auth.refresh()") is True
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) == 2
    assert min(pauses) >= 1.95
    assert_still_logged_in(device, [tab], sid)


def test_failing_server_is_asked_less_and_less_and_then_no_more(device: Device) -> None:
    """Six tries; the session is not over, and the caller is told so."""
    device.context.clock.install()
    tab, sid = log_in(device)
    times = answers(tab, *[500] * 7)
    tab.evaluate(
        "() => { auth.refresh().catch((e) => { window.error = [e.status, e.temporary]; }); }"
    )
    pauses = []
    for tries in range(1, 6):
        while len(times) < tries:
            tab.wait_for_timeout(20)
        tab.wait_for_timeout(100)
        started = tab.evaluate("Date.now()")
        while len(times) == tries:
            device.context.clock.run_for(100)
        pauses.append(tab.evaluate("Date.now()") - started)
    wait_until(lambda: bool(tab.evaluate("!!window.error")), "no end")
    assert tab.evaluate("error") == [500, True]
    assert len(times) == 6
    assert pauses[-1] > 2 * pauses[0]
    assert all(pause <= 20_000 for pause in pauses)
    assert session_of(tab) == sid
    assert "expired" not in seen(tab)


def test_superseded_retry_is_followed_by_one_with_the_newer_cookie(device: Device) -> None:
    """A 409 says nothing against the session."""
    tab, sid = log_in(device)
    times = answers(tab, 409)
    assert tab.evaluate("auth.refresh()") is True
    assert len(times) == 2
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "body": "Proxy says no", "content_type": "text/plain"},
        {"status": 200, "body": "<h1>Free Wi-Fi!</h1>", "content_type": "text/html"},
        {"status": 200, "json": {"access_token": "nonsense", "expires_in": 900}},
    ],
    ids=["a proxy's 401", "a captive portal", "nonsense"],
)
def test_answer_that_is_not_the_servers_ends_no_session(
    device: Device, answer: dict[str, object]
) -> None:
    """Only the server's own word does."""
    tab, sid = log_in(device)
    tab.route("**/refresh/", lambda route: route.fulfill(**answer), times=1)
    outcome = tab.evaluate("auth.refresh().catch((e) => e.name)")
    assert outcome in {True, "AuthError"}
    tab.unroute_all()
    assert_still_logged_in(device, [tab], sid)


def test_page_opened_while_the_server_is_away_waits_for_it(device: Device) -> None:
    """`ready` doesn't say "log in" to somebody who is logged in."""
    tab, sid = log_in(device)
    tab.route("**/refresh/", lambda route: route.fulfill(status=502))
    tab.goto(device.stage.url(), wait_until="commit")
    wait_until(lambda: bool(tab.evaluate("!!window.auth")), "no client")
    tab.evaluate("() => { window.found = 'pending'; auth.ready.then((is) => { found = is; }); }")
    tab.wait_for_timeout(1500)
    assert tab.evaluate("found") == "pending"
    tab.unroute_all()
    wait_until(lambda: tab.evaluate("found") is True, "it was never ready")
    assert session_of(tab) == sid


def test_wrong_address_is_told_and_not_waited_for(device: Device) -> None:
    """A mistake of the developer's shows itself."""
    tab = device.open("/stage/empty/")
    error = tab.evaluate(
        """async () => {
          const { createAuthClient } = await import("/static/jwt_auth/client.js");
          const auth = createAuthClient({ baseUrl: "/stage/nowhere" });
          return auth.ready.catch((error) => [error.status, error.temporary]);
        }"""
    )
    assert error == [404, False]


@pytest.mark.slow
def test_browser_killed_after_a_refresh_still_has_its_session(
    chromium: BrowserType, stage: Stage, tmp_path: Path
) -> None:
    """Its cookies are written to disk up to half a minute late; the key was there in time."""

    def start() -> Device:
        context = chromium.launch_persistent_context(
            tmp_path, executable_path=CHROMIUM, args=list(ARGUMENTS), ignore_https_errors=True
        )
        return Device(context=context, stage=stage, username="user196")

    device = start()
    tab, sid = log_in(device)
    log_in_cookie = device.cookie()
    tab.wait_for_timeout(32_000)  # until the cookie of the log-in is on disk
    assert tab.evaluate("auth.refresh()") is True
    assert device.cookie() != log_in_cookie
    for pid in process_ids(tab):
        os.kill(pid, signal.SIGKILL)
    device.context.close()

    device = start()
    tab = device.open()
    assert ready(tab) is True
    assert stage.events(sid, "refresh_retried") == 1, "the cookie was on disk already"
    assert_still_logged_in(device, [tab], sid)
    device.context.close()
