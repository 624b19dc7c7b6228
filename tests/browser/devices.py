"""Browsers as people have them: a device is one cookie jar, with as many tabs as they like."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browser.stage.faults import DELAY, KILL
from tests.live.site import PASSWORD, Server, Site

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

COOKIE = "__Secure-refresh_token"

#: Seconds. Generous: both cores may be kept busy by the test itself.
PATIENCE = 60


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A site with faults that can be switched on."""

    site: Site
    server: Server
    faults: Path

    def url(self, path: str = "/stage/", host: str = "app.localhost") -> str:
        """Give an address; browsers know every name under localhost as this machine."""
        return self.server.address.replace("127.0.0.1", host) + path

    def answer_late(self, seconds: float | None) -> None:
        """Have every refresh answered so many seconds after its rotation."""
        switch = self.faults / DELAY
        if seconds is None:
            switch.unlink(missing_ok=True)
            return
        switch.with_suffix(".new").write_text(str(seconds))
        switch.with_suffix(".new").rename(switch)

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
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
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
            return bool(tab.evaluate("!!window.auth"))
        except Error:
            return False  # it has just left the former page

    deadline = time.monotonic() + PATIENCE
    while not _becomes_true(is_there, 8) and time.monotonic() < deadline:
        if url is None:
            with suppress(Error):
                tab.reload(wait_until="commit")  # what was lost: the error page has no address
        else:
            go_at_once(tab, url)
    assert is_there(), f"the page has no client: {tab.url}"


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


def process_ids(tab: Page) -> list[int]:
    """List the browser's processes, the browser itself first."""
    browser = tab.context.browser
    assert browser
    answer = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    return [int(process["id"]) for process in answer["processInfo"]]


def renderer_of(tab: Page) -> int:
    """Find the tab's own process, by having it work."""
    browser = tab.context.browser
    assert browser
    session = browser.new_browser_cdp_session()

    def times() -> dict[int, float]:
        answer = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return {p["id"]: p["cpuTime"] for p in answer if p["type"] == "renderer"}

    before = times()
    tab.evaluate("() => { const end = Date.now() + 300; while (Date.now() < end); }")
    return max(times().items(), key=lambda item: item[1] - before.get(item[0], 0))[0]


def start_refresh(tab: Page) -> None:
    """Start one, and leave its outcome in the page."""
    tab.evaluate("() => { window.outcome = auth.refresh(); }")


def go_at_once(tab: Page, url: str) -> None:
    """Go to an address without waiting for the page, as an impatient person does."""
    from playwright.sync_api import Error

    with suppress(Error):  # another one came before its answer, or there was none
        tab.goto(url, wait_until="commit")


def _becomes_true(fulfilled: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (is_so := fulfilled()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_so


def wait_until(fulfilled: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Look again and again."""
    assert _becomes_true(fulfilled, seconds), what
