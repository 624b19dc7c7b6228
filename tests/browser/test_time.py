"""The client's clocks and its patience."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.devices import (
    WATCH_PAUSES,
    Device,
    Stage,
    assert_still_logged_in,
    call,
    go_at_once,
    heard,
    hold,
    log_in,
    ready,
    seen,
    session_of,
    start_refresh,
    stop_clock,
    wait_for_client,
    wait_until,
)
from tests.browser.engines import process_ids, start_with_profile

if TYPE_CHECKING:
    from playwright.sync_api import BrowserType, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]


#: Milliseconds that an access token lives.
LIFETIME = 900_000


def refreshes(device: Device, sid: str) -> int:
    """Count them at the server."""
    return device.stage.events(sid, "session_refreshed")


def log_in_at_a_standstill(device: Device) -> tuple[Page, str]:
    """Log in; the pages' clock stands still, but for what the test runs it."""
    stop_clock(device.context)
    return log_in(device)


def run_until_refresh(device: Device, tab: Page) -> int:
    """Run the clock up to the refresh and no further, for the refresh is timed too.

    Give the milliseconds that it took. The tab looks each half minute whether it is time, and
    pauses for less before it is.
    """
    started = tab.evaluate("Date.now()")
    tab.evaluate(WATCH_PAUSES)
    for _ in range(40):
        device.context.clock.run_for(30_000)
        if pauses := tab.evaluate("pauses"):
            device.context.clock.run_for(int(pauses[0]) + 1)
            return int(tab.evaluate("Date.now()") - started)
    raise AssertionError("no refresh was planned")


def test_token_is_refreshed_ahead_of_its_end(device: Device) -> None:
    """Between 70 and 90 per cent of its time, and not before."""
    tab, sid = log_in_at_a_standstill(device)
    requests = heard(tab, "request")
    took = run_until_refresh(device, tab)
    assert 0.7 * LIFETIME <= took <= 0.9 * LIFETIME + 2
    wait_until(lambda: tab.evaluate("auth.expiresAt - Date.now()") == LIFETIME, "no refresh")
    assert refreshes(device, sid) == len(requests) == 1


def test_device_that_wakes_after_the_token_ended_refreshes_by_itself(device: Device) -> None:
    """Nobody has to click: time has passed, though no timer has seen it."""
    device.context.clock.install()
    tab, sid = log_in(device)
    device.context.clock.fast_forward("02:00:00")
    wait_until(lambda: refreshes(device, sid) == 1, "no refresh")
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.engines
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
    assert 0 < tab.evaluate("auth.expiresAt - Date.now()") <= LIFETIME


def keys(device: Device) -> list[str]:
    """List the keys of the refreshes from now on."""
    sent: list[str] = []

    def note(route: Route) -> None:
        sent.append(route.request.headers["idempotency-key"])
        route.fallback()

    device.context.route("**/refresh/", note)
    return sent


def test_key_does_not_live_on_from_one_refresh_to_the_next(device: Device) -> None:
    """A page that is loaded every few seconds refreshes before its former key has lapsed."""
    tab, sid = log_in_at_a_standstill(device)
    sent = keys(device)
    for _ in range(20):  # a quarter of an hour
        assert tab.evaluate("auth.refresh()") is True
        device.context.clock.run_for(45_000)
    times = [sent.count(key) for key in dict.fromkeys(sent)]
    assert len(times) == 2
    assert times[0] * 45 <= 600 + 45
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.parametrize(("minutes", "is_kept"), [(9, True), (11, False)])
def test_key_without_an_answer_is_kept_as_long_as_a_server_may_know_it(
    device: Device, minutes: int, is_kept: bool
) -> None:
    """The longest window is five minutes."""
    tab, sid = log_in(device)
    sent: list[str] = keys(device)

    def abort(route: Route) -> None:  # a tab's routes come before its context's
        sent.append(route.request.headers["idempotency-key"])
        route.abort()

    tab.route("**/refresh/", abort)
    tab.evaluate("() => { auth.refresh().catch(() => {}) }")
    wait_until(lambda: sent, "no refresh", tab)
    tab.close()
    other = device.blank()
    other.add_init_script(
        f"{{ const now = Date.now; Date.now = () => now.call(Date) + {minutes * 60_000}; }}"
    )
    go_at_once(other, device.stage.url())
    assert_still_logged_in(device, [other], sid)
    assert (sent[-1] == sent[0]) is is_kept


def test_clock_set_back_while_logged_in_is_no_trouble(device: Device) -> None:
    """The steady clock still counts."""
    tab, sid = log_in_at_a_standstill(device)
    tab.evaluate("() => { const now = Date.now; Date.now = () => now.call(Date) - 86_400_000; }")
    run_until_refresh(device, tab)
    wait_until(lambda: refreshes(device, sid) == 1, "no refresh")
    assert_still_logged_in(device, [tab], sid)


def test_hidden_tab_refreshes_when_it_is_looked_at(device: Device) -> None:
    """A forgotten tab must not keep a session alive for ever."""
    tab, sid = log_in_at_a_standstill(device)
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


def answers(tab: Page, *statuses: int, headers: dict[str, str] | None = None) -> list[str]:
    """Have refresh/ answer so, and then as it really does; list all requests."""
    left, requests = list(statuses), list[str]()

    def answer(route: Route) -> None:
        requests.append(route.request.url)
        if left:
            route.fulfill(status=left.pop(0), headers=headers or {}, json={"code": "unavailable"})
        else:
            route.continue_()

    tab.route("**/refresh/", answer)
    return requests


def next_pause(tab: Page, number: int) -> float:
    """Wait until the client pauses for that time; give the milliseconds."""
    wait_until(lambda: len(tab.evaluate("pauses")) == number, "no pause")
    return float(tab.evaluate("pauses.at(-1)"))


def test_retry_after_is_waited_for(device: Device) -> None:
    """Neither less nor longer."""
    tab, sid = log_in_at_a_standstill(device)
    requests = answers(tab, 429, 503, headers={"Retry-After": "2"})
    tab.evaluate(WATCH_PAUSES)
    start_refresh(tab)
    for tries in (1, 2):
        assert next_pause(tab, tries) == 2000
        device.context.clock.run_for(1999)
        assert len(requests) == tries
        device.context.clock.run_for(1)
    assert tab.evaluate("outcome") is True
    assert len(requests) == 3
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.parametrize(
    "value",
    ["0", "-5", "-99999999999", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"],
)
def test_retry_after_that_is_no_time_to_wait_is_as_none(device: Device, value: str) -> None:
    """A failing server is not asked any sooner for it, and nobody hangs."""
    tab, sid = log_in_at_a_standstill(device)
    requests = answers(tab, 503, 429, headers={"Retry-After": value})
    tab.evaluate(WATCH_PAUSES)
    start_refresh(tab)
    for tries, least in enumerate((500, 1000), start=1):
        assert least <= next_pause(tab, tries) <= 2 * least
        assert len(requests) == tries
        device.context.clock.run_for(2 * least)
    assert tab.evaluate("outcome") is True
    assert_still_logged_in(device, [tab], sid)


def test_date_to_wait_for_is_measured_by_the_servers_clock(device: Device) -> None:
    """The device's stands decades behind."""
    tab, _ = log_in_at_a_standstill(device)
    now = 1_800_000_000
    headers = {
        "Retry-After": formatdate(now + 7, usegmt=True),
        "Date": formatdate(now, usegmt=True),
    }
    answers(tab, 503, headers=headers)
    tab.evaluate(WATCH_PAUSES)
    start_refresh(tab)
    assert next_pause(tab, 1) == 7000
    device.context.clock.run_for(7000)
    assert tab.evaluate("outcome") is True


@pytest.mark.parametrize(
    ("value", "told", "minutes"),
    [("120", 120, 2), ("7200", 7200, 60), ("9" * 30, 86_400, 60)],
    ids=["two minutes", "two hours", "for ever"],
)
def test_long_wait_is_told_and_kept_within_an_hour(
    device: Device, value: str, told: int, minutes: int
) -> None:
    """Nobody hangs for it: calls that need a token fail for the time being and say for how long."""
    tab, sid = log_in_at_a_standstill(device)
    requests = answers(tab, 503, headers={"Retry-After": value})
    tab.goto(device.stage.url(), wait_until="commit")
    wait_for_client(tab)
    assert error_of(tab, "refresh()") == [503, True, told]
    device.context.clock.run_for(60_000)
    assert error_of(tab, "refresh()") == [503, True, told - 60]
    assert error_of(tab, "fetch('/api/hello/')") == [503, True, told - 60]
    device.context.clock.run_for((minutes - 1) * 60_000 - 1)
    assert len(requests) == 1
    device.context.clock.run_for(30_001)  # it looks each half minute
    device.context.clock.resume()  # a try is over after some time, too
    assert ready(tab) is True
    assert_still_logged_in(device, [tab], sid)


def error_of(tab: Page, call: str) -> list[object]:
    """Give the status of the error, whether it is temporary, and the seconds to wait."""
    error = "(error) => [error.status, error.temporary, error.retryAfter]"
    found: list[object] = tab.evaluate(f"auth.{call}.then(() => [], {error})")
    return found


def test_failing_server_is_asked_less_and_less_and_then_no_more(device: Device) -> None:
    """Six tries; the session is not over, and the caller is told so."""
    tab, sid = log_in_at_a_standstill(device)
    requests = answers(tab, *[500] * 7)
    tab.evaluate(WATCH_PAUSES)
    tab.evaluate("() => { window.error = auth.refresh().catch((e) => [e.status, e.temporary]); }")
    pauses = []
    for tries in range(1, 6):
        pauses.append(next_pause(tab, tries))
        device.context.clock.run_for(int(pauses[-1]) + 1)
    assert tab.evaluate("error") == [500, True]
    assert len(requests) == 6
    assert pauses == sorted(pauses)
    assert pauses[-1] > 2 * pauses[0]
    assert all(pause <= 20_000 for pause in pauses)
    assert session_of(tab) == sid
    assert "expired" not in seen(tab)


def test_wait_that_the_last_try_is_told_is_kept(device: Device) -> None:
    """Whoever asks meanwhile is told for how long."""
    tab, sid = log_in_at_a_standstill(device)
    requests = answers(tab, *[503] * 6, headers={"Retry-After": "20"})
    tab.evaluate(WATCH_PAUSES)
    tab.evaluate("() => { window.error = auth.refresh().catch((e) => [e.status, e.temporary]); }")
    for tries in range(1, 6):
        next_pause(tab, tries)
        device.context.clock.run_for(20_000)
    assert tab.evaluate("error") == [503, True]
    assert error_of(tab, "refresh()") == [503, True, 20]
    device.context.clock.run_for(19_000)
    assert error_of(tab, "refresh()") == [503, True, 1]
    assert len(requests) == 6
    device.context.clock.run_for(1000)
    assert tab.evaluate("auth.refresh()") is True
    assert_still_logged_in(device, [tab], sid)


def test_superseded_retry_is_followed_by_one_with_the_newer_cookie(device: Device) -> None:
    """A 409 says nothing against the session."""
    tab, sid = log_in(device)
    requests = answers(tab, 409)
    assert tab.evaluate("auth.refresh()") is True
    assert len(requests) == 2
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
    requests = answers(tab, *[502] * 100)
    tab.goto(device.stage.url(), wait_until="commit")
    wait_for_client(tab)
    tab.evaluate("() => { window.found = 'pending'; auth.ready.then((is) => { found = is; }); }")
    wait_until(lambda: len(requests) > 1, "no second try", tab)
    assert tab.evaluate("found") == "pending"
    tab.unroute_all()
    wait_until(lambda: tab.evaluate("found") is True, "it was never ready")
    assert session_of(tab) == sid


#: Makes a client, and keeps what its first `ready` comes to.
MAKE = """async (options) => {
  const { createAuthClient } = await import("/static/jwt_auth/client.js");
  window.events = [];
  window.auth = createAuthClient({ baseUrl: "/api/auth/", ...options });
  window.first = auth.ready.catch((error) => [error.status, error.code, error.temporary]);
}"""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status": 403, "body": "No"}, [403, "http_error", False]),
        ({"status": 404, "body": "default backend"}, [404, "http_error", False]),
        ({"status": 200, "body": "<h1>Soon</h1>"}, [0, "unreadable_answer", True]),
        ({"status": 200, "json": {"access_token": "a.b.c"}}, [0, "unreadable_answer", True]),
        ({"status": 204}, [0, "unreadable_answer", True]),
    ],
    ids=["403", "404", "a page", "nonsense", "nothing"],
)
def test_answer_that_makes_no_sense_at_the_start_is_told_and_asked_for_again(
    device: Device, answer: dict[str, Any], error: list[object]
) -> None:
    """An ingress may give it during a deployment: `ready` is another promise then, and holds."""
    _, sid = log_in_at_a_standstill(device)
    tab, given = device.blank(), list[object]()

    def give(route: Route) -> None:
        given.append(answer)
        route.fulfill(**answer)

    # Before the page is there: a busy Chromium lets its first requests by, else.
    tab.route("**/refresh/", give, times=2)
    tab.goto(device.stage.url("/stage/empty/"))
    tab.evaluate(MAKE, {})
    assert tab.evaluate("first") == error
    device.context.clock.run_for(30_000)
    wait_until(lambda: len(given) == 2, "not asked again", tab)
    device.context.clock.run_for(30_000)
    assert tab.evaluate("auth.ready") is True
    assert session_of(tab) == sid


def test_closed_client_tries_no_more(device: Device) -> None:
    """What waits for another try is told."""
    tab, _ = log_in_at_a_standstill(device)
    requests = answers(tab, *[503] * 9)
    tab.evaluate(WATCH_PAUSES)
    tab.evaluate("() => { window.outcome = auth.refresh().catch((error) => error.code) }")
    next_pause(tab, 1)
    tab.evaluate("auth.close()")
    device.context.clock.run_for(60_000)
    assert tab.evaluate("outcome") == "closed"
    assert tab.evaluate("auth.refresh().catch((error) => error.code)") == "closed"
    assert len(requests) == 1


def test_closed_client_leaves_nobody_waiting(device: Device) -> None:
    """What waits for `ready` is told; where nobody does, it is no error of the page's."""
    tab = device.blank()
    requests = hold(tab, "**/refresh/")
    go_at_once(tab, device.stage.url())
    wait_for_client(tab)
    wait_until(lambda: requests, "no refresh", tab)
    tab.evaluate("() => { addEventListener('unhandledrejection', () => events.push('oh')) }")
    tab.evaluate("auth.close()")
    assert tab.evaluate("auth.ready.catch((error) => [error.code, error.temporary])") == [
        "closed",
        True,
    ]
    requests[0].abort()
    assert tab.evaluate("new Promise((done) => setTimeout(done, 0, events))") == []


@pytest.mark.parametrize(
    "options",
    [
        {"origins": ["localhost:9000"]},
        {"origins": ["https://api.example.com", "data:text/html,"]},
        {"baseUrl": "localhost:9000/api/auth/"},
    ],
)
def test_address_without_an_origin_is_an_error(device: Device, options: dict[str, object]) -> None:
    """A scheme was forgotten: nothing would ever be sent there, without a word."""
    tab = device.open("/stage/empty/")
    name = tab.evaluate(f"(options) => ({MAKE})(options).catch((error) => error.name)", options)
    assert name == "TypeError"


#: Chrome before 98, Firefox before 97 and Safari before 15.4.
OLD = """
delete AbortSignal.prototype.reason;
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, listener, options) {
  const { signal, ...others } = Object(options);
  return add.call(this, type, listener, others);
};
"""


def test_browser_without_reasons_and_signals_of_listeners_will_do(device: Device) -> None:
    """A call that waits is aborted with an error, and a closed client hears no more."""
    tab, _ = log_in(device)
    tab = device.blank()
    tab.add_init_script(OLD)
    requests = hold(tab, "**/refresh/")
    tab.goto(device.stage.url(), wait_until="commit")
    wait_for_client(tab)
    wait_until(lambda: requests, "no refresh", tab)
    name = tab.evaluate(
        """() => {
          const controller = new AbortController();
          setTimeout(() => controller.abort());
          return auth.fetch("/api/hello/", controller).catch((error) => error.name);
        }"""
    )
    assert name == "AbortError"
    requests[0].continue_()
    assert ready(tab) is True
    wake = "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
    tab.evaluate(f"() => {{ auth.close(); {wake} }}")
    assert call(tab) == 200
    assert len(requests) == 1
    assert tab.evaluate("auth.refresh().catch((error) => error.code)") == "closed"


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


def test_browser_killed_after_a_refresh_still_has_its_session(
    browser_type: BrowserType, stage: Stage, tmp_path: Path
) -> None:
    """Its cookies are written to disk up to half a minute late; the key was there in time."""

    def begin() -> Device:
        context = start_with_profile(browser_type, tmp_path)
        return Device(context=context, stage=stage, username=username)

    username = stage.make_user()
    device = begin()
    tab, sid = log_in(device)
    log_in_cookie = device.cookie()
    device.context.close()  # which has the cookie of the log-in written to disk

    device = begin()
    tab = device.open()
    assert ready(tab) is True
    assert device.cookie() != log_in_cookie
    pids = process_ids(str(tmp_path))
    with device.context.expect_event("close"):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    device = begin()
    tab = device.open()
    assert ready(tab) is True
    assert stage.events(sid, "refresh_retried") == 1, "the cookie was on disk already"
    assert_still_logged_in(device, [tab], sid)
    device.context.close()
