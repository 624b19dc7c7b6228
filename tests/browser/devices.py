"""Browsers as people have them: a device is one cookie jar, with as many tabs as they like."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from tests.browser.stage.faults import CAME, DELAY, HOLD, KILL, STALL
from tests.live.site import PASSWORD, Server, Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Error, Page, Request, Route

COOKIE = "__Secure-refresh_token"

#: Seconds. Only a failure takes them.
PATIENCE = 120

#: Keeps what the page wants to do after half a minute, to be done when the test says so.
KEEP_HALF_MINUTES = """
window.halfMinutes = [];
const later = window.setTimeout;
window.setTimeout = (task, time, ...rest) =>
  time === 30_000 ? (halfMinutes.push(task), 0) : later(task, time, ...rest);
"""

#: Notes for how long the page pauses: neither the limit of a request nor the look each half minute.
WATCH_PAUSES = """() => {
  window.pauses = [];
  const later = setTimeout;
  window.setTimeout = (task, time, ...rest) => {
    if (![15_000, 30_000].includes(time)) pauses.push(time);
    return later(task, time, ...rest);
  };
}"""

WITHOUT_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined })"

#: What a tab says of its page. An error page and a page whose script was lost are complete, too.
_STATE = """window.auth ? "there"
  : document.readyState === "complete" && location.href !== "about:blank" ? "lost" : "coming"
"""
#: What Firefox names what a policy has refused: to it, that is an error like any other.
_POLICIES = {"Content-Security-Policy", "Cross-Origin Request Blocked"}
#: Tabs whose page was cut off, by a killed server for example. They would wait for the rest of it.
_CUT_OFF: WeakSet[Page] = WeakSet()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A site with faults that can be switched on."""

    site: Site
    server: Server
    faults: Path

    def url(self, path: str = "/stage/", host: str = "app.localhost") -> str:
        """Give an address; browsers know every name under localhost as this machine."""
        return self.server.address.replace("127.0.0.1", host) + path

    def make_user(self, *, tenant: str = "", groups: tuple[str, ...] = ()) -> str:
        """Make a user whom no other test has; give the name."""
        asked = {"password": PASSWORD, "tenant": tenant, "groups": groups}
        with self.server.session() as client:
            answer = client.post("/stage/user/", json=asked)
        answer.raise_for_status()
        return str(answer.json()["username"])

    def answer_late(self, seconds: float | None) -> None:
        """Have every refresh answered so many seconds after its rotation."""
        switch = self.faults / DELAY
        if seconds is None:
            switch.unlink(missing_ok=True)
            return
        switch.with_suffix(".new").write_text(str(seconds))
        switch.with_suffix(".new").rename(switch)

    @contextmanager
    def holding_answers(self, endpoint: str = "refresh") -> Iterator[None]:
        """Have an endpoint answer only at the end; it has done its work by then."""
        switch = self.faults / f"{HOLD}{endpoint}"
        switch.touch()
        try:
            yield
        finally:
            switch.unlink(missing_ok=True)

    @contextmanager
    def stalling(self, endpoint: str) -> Iterator[None]:
        """Have an endpoint begin its work only at the end."""
        switch = self.faults / f"{STALL}{endpoint}"
        switch.touch()
        try:
            yield
        finally:
            switch.unlink(missing_ok=True)
            (self.faults / f"{CAME}{endpoint}").unlink(missing_ok=True)

    def has_come(self, endpoint: str) -> bool:
        """Whether a request has come to a stalling endpoint."""
        return (self.faults / f"{CAME}{endpoint}").exists()

    def kill_after_next_rotation(self) -> None:
        """Have a worker die after it rotated and before it answers."""
        (self.faults / KILL).touch()

    @property
    def will_kill(self) -> bool:
        """Whether nobody has died yet."""
        return (self.faults / KILL).exists()

    def log(self) -> str:
        """Read what the server has logged."""
        return self.server.log.read_text(errors="replace")

    def events(self, session_id: str, *names: str) -> int:
        """Count a session's security events."""
        words = "|".join(names)
        return len(re.findall(rf"jwt_auth\.security: (?:{words}) .*{session_id}", self.log()))


@dataclass(kw_only=True)
class Device:
    """One browser with one cookie jar."""

    context: BrowserContext
    stage: Stage
    username: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str = "/stage/") -> Page:
        """Open a tab, and don't wait for its session."""
        tab = self.blank()
        tab.goto(self.stage.url(path), wait_until="commit")
        return tab

    def blank(self) -> Page:
        """Open a tab that is nowhere yet."""
        tab = self.context.new_page()
        tab.on("pageerror", lambda error: note_error(self.errors, error))
        tab.on("framenavigated", lambda _: _CUT_OFF.discard(tab))
        tab.on("requestfailed", lambda request: _note_cut(tab, request))
        return tab

    def log_in(self) -> Page:
        """Open a tab and log in there."""
        tab = self.open()
        wait_for_client(tab)
        tab.evaluate("([name, word]) => auth.login(name, word)", [self.username, PASSWORD])
        return tab

    def cookie(self) -> str:
        """Copy the refresh token out of the jar, as malware on the device would."""
        [cookie] = [c for c in self.context.cookies() if c.get("name") == COOKIE]
        return str(cookie["value"])

    def sessions(self, tab: Page) -> list[dict[str, Any]]:
        """List the user's live sessions by the API."""
        listed: list[dict[str, Any]] = tab.evaluate(
            "auth.fetch('/api/auth/sessions/').then((response) => response.json())"
        )
        return listed


def stop_clock(context: BrowserContext) -> None:
    """Have no time pass on the clocks of the pages that are opened from now on."""
    context.clock.install(time=0)
    context.clock.pause_at(1_000_000_000)


def note_error(errors: list[str], error: Error) -> None:
    """Note what a script has thrown."""
    if error.name not in _POLICIES:
        errors.append(str(error))


def _note_cut(tab: Page, failed: Request) -> None:
    # A page that another one has replaced is not missed.
    if failed.is_navigation_request() and failed.failure != "net::ERR_ABORTED":
        _CUT_OFF.add(tab)


def log_in(device: Device) -> tuple[Page, str]:
    """Log in; give the tab and the session's name."""
    tab = device.log_in()
    sid = session_of(tab)
    assert sid
    return tab, sid


def open_at_once(device: Device, number: int) -> list[Page]:
    """Open tabs without waiting for one before the next."""
    tabs = [device.blank() for _ in range(number)]
    for tab in tabs:
        tab.evaluate("(url) => { setTimeout(() => location.assign(url)) }", device.stage.url())
    return tabs


def assert_still_logged_in(device: Device, tabs: list[Page], sid: str) -> None:
    """All tabs, the server's list of sessions and the server's log say so."""
    for tab in tabs:
        ready(tab)
    log = device.stage.log
    assert {session_of(tab) for tab in tabs} == {sid}, log()
    assert {call(tab) for tab in tabs} == {200}, log()
    assert [session["id"] for session in device.sessions(tabs[0])] == [sid], log()
    bad = ("reuse_detected", "session_ended", "refresh_token_refused")
    assert device.stage.events(sid, *bad) == 0, log()


def wait_for_client(tab: Page, url: str | None = None) -> None:
    """Wait until the tab's page has made its client; the tab may be on its way to the page.

    Where the page itself is lost, with a killed server for example, a person would load it again.
    """
    from playwright.sync_api import Error

    def is_there() -> bool:
        try:
            state = tab.evaluate(_STATE)
        except Error:
            return False  # it has just left the former page
        if state == "lost" or (state == "coming" and tab in _CUT_OFF):
            _CUT_OFF.discard(tab)
            if url is None:
                with suppress(Error):
                    tab.reload(wait_until="commit")  # what was lost: an error page has no address
            else:
                go_at_once(tab, url)
        return bool(state == "there")

    wait_until(is_there, f"the page has no client: {tab.url}")


def ready(tab: Page, url: str | None = None) -> bool:
    """Wait until the tab knows whether there is a session."""
    wait_for_client(tab, url)
    found: bool = tab.evaluate("auth.ready")
    return found


def session_of(tab: Page) -> str | None:
    """Name the session that a tab shows."""
    sid: str | None = tab.evaluate("auth.claims && auth.claims.sid")
    return sid


def call(tab: Page) -> int:
    """Call the API through the client; give the status."""
    status: int = tab.evaluate("auth.fetch('/api/hello/').then((response) => response.status)")
    return status


def seen(tab: Page) -> list[str]:
    """List the events that a tab got."""
    events: list[str] = tab.evaluate("events")
    return events


def wait_for_rotations(stage: Stage, sid: str, number: int = 1) -> None:
    """Wait until a session's refresh token has been rotated so often, answered or not."""
    wait_until(lambda: stage.events(sid, "session_refreshed") >= number, "no rotation")


def heard(target: Any, event: str) -> list[Any]:
    """List what a tab or a context reports from now on; it does so while Playwright works."""
    reports: list[Any] = []

    def keep(report: Any) -> None:
        reports.append(report)

    target.on(event, keep)
    return reports


def hold(tab: Page, pattern: str) -> list[Route]:
    """Keep the tab's requests to there back; they are in the list as they come."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    tab.route(pattern, keep)
    return held


def locks(tab: Page) -> list[int]:
    """Count the tabs of the site that hold a lock, and those that wait for one."""
    query = "navigator.locks.query().then(({ held, pending }) => [held.length, pending.length])"
    counted: list[int] = tab.evaluate(query)
    return counted


def start_refresh(tab: Page) -> None:
    """Start one, and leave its outcome in the page."""
    tab.evaluate("() => { window.outcome = auth.refresh(); }")


def go_at_once(tab: Page, url: str) -> None:
    """Go to an address without waiting for the page, as an impatient person does."""
    from playwright.sync_api import Error

    with suppress(Error):  # another one came before its answer, or there was none
        tab.goto(url, wait_until="commit")


def wait_until(fulfilled: Callable[[], object], what: str, tab: Page | None = None) -> None:
    """Look again and again. What Playwright reports comes only while it works: name a tab then."""
    deadline = time.monotonic() + PATIENCE
    while not fulfilled():
        assert time.monotonic() < deadline, what
        if tab is None:
            time.sleep(0.02)
        else:
            tab.wait_for_timeout(20)
