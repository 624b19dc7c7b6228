"""Whose session is it? A call is for the session that its tab had, never for another tab's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    KEEP_HALF_MINUTES,
    WATCH_PAUSES,
    WITHOUT_LOCKS,
    Device,
    Stage,
    call,
    go_at_once,
    heard,
    hold,
    locks,
    log_in,
    ready,
    seen,
    session_of,
    start_refresh,
    stop_clock,
    wait_for_client,
    wait_for_rotations,
    wait_until,
)
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

DEAF = "Object.defineProperty(window, 'BroadcastChannel', { value: undefined })"


def logged_in(tab: Page, device: Device) -> str:
    """Log the device's user in there; name the session."""
    start(tab, "login", device.username, PASSWORD)
    assert outcome(tab) == "done"
    sid = session_of(tab)
    assert sid
    return sid


def start(tab: Page, method: str, *given: str) -> None:
    """Begin a call of the client, and leave its outcome in the page."""
    outcome = f"auth.{method}(...given).then(() => 'done', (e) => [e.status, e.code, e.temporary])"
    tab.evaluate(f"(given) => {{ window.outcome = {outcome}; }}", list(given))


def outcome(tab: Page) -> object:
    """Wait for the call's outcome."""
    return tab.evaluate("outcome")


def name_of(tab: Page) -> str:
    """Ask the server whom it takes the tab for."""
    me = "auth.fetch('/api/auth/me/').then((response) => response.json())"
    return str(tab.evaluate(f"{me}.then((me) => me.username)"))


def assert_is_still(tab: Page, username: str) -> None:
    """The tab's user is that one, also after a reload: the cookie is there."""
    assert name_of(tab) == username
    assert "logout" not in seen(tab)
    go_at_once(tab, tab.url)
    assert ready(tab) is True
    assert name_of(tab) == username


@pytest.mark.engines
def test_late_answer_of_log_out_everywhere_leaves_the_next_user_in(
    device: Device, stage: Stage
) -> None:
    """The answer deletes the cookie, so the log-in of the next user waits for it."""
    tab, sid = log_in(device)
    other = device.open()
    ready(other)
    somebody = stage.make_user()
    with stage.holding_answers("logout-all"):
        start(tab, "logoutAll")
        wait_until(lambda: stage.events(sid, "session_ended"), "not ended")
        start(other, "login", somebody, PASSWORD)
        wait_until(
            lambda: locks(tab) == [2, 1] or session_of(other) not in {sid, None},
            "the log-in neither waits nor is answered",
        )
    assert (outcome(tab), outcome(other)) == ("done", "done")
    wait_until(lambda: session_of(tab) == session_of(other), "the tab has not followed")
    go_at_once(other, other.url)
    assert ready(other) is True
    assert name_of(other) == somebody


@pytest.mark.parametrize("hears", [True, False], ids=["hears", "deaf"])
def test_repeated_logout_ends_its_own_session_only(
    device: Device, stage: Stage, hears: bool
) -> None:
    """Between two tries another tab logs in as somebody else."""
    stop_clock(device.context)
    tab = device.blank()
    if not hears:
        tab.add_init_script(DEAF)
    go_at_once(tab, stage.url())
    ready(tab)
    sid = logged_in(tab, device)
    tab.route("**/logout/", lambda route: route.fulfill(status=503), times=1)
    tab.evaluate(WATCH_PAUSES)
    start(tab, "logout")
    wait_until(lambda: tab.evaluate("pauses"), "no pause")
    other = device.open()
    ready(other)
    somebody = stage.make_user()
    start(other, "login", somebody, PASSWORD)
    assert outcome(other) == "done"
    if hears:
        wait_until(lambda: session_of(tab) == session_of(other), "the tab has not heard")
    device.context.clock.run_for(2000)
    assert outcome(tab) == "done"
    assert stage.events(sid, "session_ended") == 1
    assert_is_still(other, somebody)


@pytest.mark.parametrize("method", ["logout", "logoutAll"])
def test_tab_that_has_missed_a_log_in_ends_the_former_session_only(
    device: Device, stage: Stage, method: str
) -> None:
    """It has the former user's token, and the jar the next user's cookie."""
    tab = device.blank()
    tab.add_init_script(DEAF)
    go_at_once(tab, stage.url())
    ready(tab)
    sid = logged_in(tab, device)
    somebody = stage.make_user()
    other = device.open()
    ready(other)
    start(other, "login", somebody, PASSWORD)
    assert outcome(other) == "done"
    start(tab, method)
    assert outcome(tab) == "done"
    assert stage.events(sid, "session_ended") == 1
    assert session_of(tab) is None
    assert_is_still(other, somebody)


def test_end_of_another_session_is_nothing_to_a_tab(device: Device) -> None:
    """It asks for nothing because of it."""
    tab, _ = log_in(device)
    requests = heard(tab, "request")
    channel = "new BroadcastChannel('jwt_auth ' + new URL('/api/auth/', location.href))"
    somewhere = device.open("/stage/empty/")
    news = [{"ended": "another"}, {"sid": session_of(tab)}]
    somewhere.evaluate(f"(news) => news.forEach((each) => {channel}.postMessage(each))", news)
    wait_until(lambda: seen(tab)[-2:] == ["change", "change"], "the news has not come")
    assert call(tab) == 200  # it would wait for a refresh
    assert [request.url for request in requests if "refresh" in request.url] == []


@pytest.mark.engines
def test_log_in_that_another_tab_overtakes_is_not_sent(device: Device, stage: Stage) -> None:
    """It was meant for a browser without a session."""
    tab, other = device.open(), device.open()
    assert (ready(tab), ready(other)) == (False, False)
    sent = heard(other, "request")
    with stage.holding_answers("login"):
        start(tab, "login", device.username, PASSWORD)
        wait_until(lambda: locks(tab)[0] == 2, "no log-in")
        start(other, "login", stage.make_user(), PASSWORD)
        wait_until(lambda: locks(tab)[1] == 1, "no log-in waits")
    assert outcome(other) == [409, "session_changed", True]
    assert [request.url for request in sent if request.url.endswith("/login/")] == []
    wait_until(lambda: session_of(other) == session_of(tab), "the tab has not followed")


def test_log_in_that_gets_no_turn_fails_for_the_time_being(device: Device, stage: Stage) -> None:
    """The refresh that is under way would give the former user's cookie after it."""
    tab, sid = log_in(device)
    other = device.blank()
    other.add_init_script(KEEP_HALF_MINUTES)
    go_at_once(other, stage.url())
    ready(other)
    sent = heard(other, "request")
    somebody = stage.make_user()
    with stage.holding_answers():
        start_refresh(tab)
        wait_for_rotations(stage, sid, 2)
        start(other, "login", somebody, PASSWORD)
        wait_until(lambda: locks(tab) == [1, 1], "the log-in does not wait")
        other.evaluate("halfMinutes.forEach((task) => task())")
        assert outcome(other) == [0, "busy", True]
    assert [request.url for request in sent if request.url.endswith("/login/")] == []
    assert tab.evaluate("outcome") is True
    start(other, "login", somebody, PASSWORD)
    assert outcome(other) == "done"
    wait_until(lambda: session_of(tab) == session_of(other), "still the former session")
    assert_is_still(tab, somebody)


def test_log_in_waits_for_a_refresh_that_has_overtaken_the_others(
    device: Device, stage: Stage
) -> None:
    """That one has no turn of its own, and would give the former user's cookie after it."""
    standing, sid = log_in(device)
    refreshing = device.blank()
    refreshing.add_init_script(KEEP_HALF_MINUTES)
    go_at_once(refreshing, stage.url())
    other = device.open()
    assert (ready(refreshing), ready(other)) == (True, True)
    somebody = stage.make_user()
    with stage.holding_answers():
        start_refresh(standing)
        wait_for_rotations(stage, sid, 3)
        start_refresh(refreshing)
        wait_until(lambda: locks(other) == [1, 1], "the refresh does not wait")
        refreshing.evaluate("halfMinutes.forEach((task) => task())")
        wait_until(lambda: stage.events(sid, "refresh_retried"), "the refresh does not overtake")
        standing.close()
        wait_until(lambda: locks(other) == [1, 0], "the first turn has not ended")
        sent = heard(other, "request")
        start(other, "login", somebody, PASSWORD)
        wait_until(lambda: locks(other) == [2, 1], "the log-in does not wait")
        assert sent == []
    assert outcome(other) == "done"
    wait_until(lambda: session_of(refreshing) == session_of(other), "still the former session")
    assert_is_still(refreshing, somebody)


def test_log_in_without_locks_waits_for_a_refresh_whose_tab_stands_still(
    device: Device, stage: Stage
) -> None:
    """Its lease lapses meanwhile. A request has an end, though, and so has the wait."""
    clock = device.context.clock
    stop_clock(device.context)
    device.context.add_init_script(WITHOUT_LOCKS)
    standing = device.blank()
    standing.add_init_script("window.setInterval = () => 0")  # what renews the lease
    go_at_once(standing, stage.url())
    ready(standing)
    sid = logged_in(standing, device)
    other = device.open()
    ready(other)
    somebody = stage.make_user()
    with stage.holding_answers():
        start_refresh(standing)
        wait_for_rotations(stage, sid, 2)
        sent = heard(other, "request")
        other.evaluate(WATCH_PAUSES)
        start(other, "login", somebody, PASSWORD)
        for _ in range(4):
            wait_until(lambda: sent or other.evaluate("pauses.splice(0)"), "it does not look")
            assert [request.url for request in sent] == []
            clock.run_for(2000)
    clock.resume()
    assert (standing.evaluate("outcome"), outcome(other)) == (True, "done")
    wait_until(lambda: session_of(standing) == session_of(other), "still the former session")
    assert_is_still(standing, somebody)


#: Has the answers to log-ins come, with their cookies, and be lost on the way to the client.
LOSE = """
const send = window.fetch;
window.fetch = async (request) => {
  const response = await send(request);
  if (!window.lost || !request.url.endsWith("/login/")) return response;
  if (lost === "network") throw new TypeError("Failed to fetch");
  return new Response("Bad gateway", { status: 502 });
};
"""


@pytest.mark.parametrize("lost", ["network", "proxy"])
def test_log_in_whose_answer_is_lost_is_found_out(device: Device, stage: Stage, lost: str) -> None:
    """The next user's cookie is there: no tab goes on in the name of the user before."""
    device.context.add_init_script(LOSE)
    tab, former = log_in(device)
    other = device.open()
    ready(other)
    somebody = stage.make_user()
    tab.evaluate("(how) => { window.lost = how }", lost)
    start(tab, "login", somebody, PASSWORD)
    assert outcome(tab) == "done"
    assert session_of(tab) != former
    wait_until(lambda: session_of(other) == session_of(tab), "the other tab has not followed")
    assert_is_still(tab, somebody)


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "not known yet"])
def test_log_in_that_has_not_arrived_is_no_log_in(device: Device, is_known: bool) -> None:
    """The former session, which a refresh finds instead, is not taken for the new one."""
    device.context.add_init_script(
        """Object.defineProperty(window, "indexedDB", { value: undefined });
        Object.defineProperty(window, "localStorage", { value: undefined });"""
    )
    _, sid = log_in(device)
    tab = device.blank()
    if not is_known:
        later = {"Retry-After": "60"}
        tab.route("**/refresh/", lambda route: route.fulfill(status=503, headers=later))
    answers = heard(tab, "response")
    go_at_once(tab, device.stage.url())
    wait_for_client(tab)
    wait_until(lambda: [each for each in answers if "refresh" in each.url], "no refresh", tab)
    if is_known:
        assert ready(tab) is True
    else:
        tab.unroute("**/refresh/")
    tab.route("**/login/", lambda route: route.fulfill(status=503), times=1)
    start(tab, "login", device.stage.make_user(), PASSWORD)
    assert outcome(tab) == [503, "http_error", True]
    assert session_of(tab) == sid
    assert_is_still(tab, device.username)


def test_log_in_without_a_network_is_told_at_once(device: Device) -> None:
    """The server is asked which session it is by now, as soon as it can be."""
    tab, sid = log_in(device)
    tab.route("**/api/auth/**", lambda route: route.abort())
    tab.evaluate(KEEP_HALF_MINUTES)
    start(tab, "login", device.stage.make_user(), PASSWORD)
    assert outcome(tab) == [0, "network_error", True]
    tab.unroute_all()
    assert call(tab) == 200
    assert session_of(tab) == sid


def test_logout_of_a_tab_that_has_heard_of_another_session_ends_its_own(
    device: Device, stage: Stage
) -> None:
    """It has dropped its token by then, and the cookie is the next user's."""
    tab, sid = log_in(device)
    other = device.open()
    ready(other)
    held = hold(tab, "**/refresh/")
    somebody = stage.make_user()
    start(other, "login", somebody, PASSWORD)
    assert outcome(other) == "done"
    wait_until(lambda: held, "the tab has not heard", tab)
    start(tab, "logout")
    held[0].continue_()
    assert outcome(tab) == "done"
    assert stage.events(sid, "session_ended") == 1
    assert_is_still(other, somebody)


def test_logout_that_can_end_nothing_is_told(device: Device, stage: Stage) -> None:
    """The cookie is the next user's, and the token has expired."""
    tab = device.blank()
    tab.add_init_script(DEAF)
    go_at_once(tab, stage.url())
    ready(tab)
    sid = logged_in(tab, device)
    other = device.open()
    ready(other)
    somebody = stage.make_user()
    start(other, "login", somebody, PASSWORD)
    assert outcome(other) == "done"
    sent = heard(tab, "request")
    tab.evaluate(
        """() => {
          const now = performance.now();
          performance.now = () => now + 3_600_000;
          window.outcome = auth.logout().catch((e) => [e.status, e.code, e.temporary]);
        }"""
    )
    assert outcome(tab) == [409, "session_changed", True]
    assert [request.url for request in sent if request.url.endswith("/logout/")] == []
    assert stage.events(sid, "session_ended") == 0
    assert_is_still(other, somebody)
