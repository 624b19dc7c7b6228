"""What one tab does reaches the others, and a thief's doing reaches the owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    COOKIE,
    Device,
    Stage,
    call,
    heard,
    locks,
    log_in,
    ready,
    seen,
    session_of,
    stop_clock,
    wait_until,
)
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]


def wait_for_event(tab: Page, name: str) -> None:
    """Wait until a tab has got an event."""
    wait_until(lambda: name in seen(tab), f"no {name}: {seen(tab)}")


@pytest.mark.parametrize("method", ["logout", "logoutAll"])
def test_logout_in_one_tab_shows_in_the_others_at_once(device: Device, method: str) -> None:
    """No request of theirs is needed for it, and no time passes on their clocks."""
    stop_clock(device.context)
    tab, _ = log_in(device)
    others = [device.open() for _ in range(3)]
    assert all(ready(other) for other in others)
    # A tab that has heard of the session before it had a token of its own asks a second time.
    wait_until(lambda: locks(tab) == [0, 0], "the tabs still refresh")
    requests = [heard(other, "request") for other in others]
    tab.evaluate(f"auth.{method}()")
    for other in others:
        wait_for_event(other, "logout")
        assert other.inner_text("#state") == "no"
        assert session_of(other) is None
    assert requests == [[], [], []]
    assert {call(other) for other in others} == {401}


@pytest.mark.engines
def test_log_in_in_one_tab_logs_the_others_in(device: Device) -> None:
    """They stood at the log-in, too."""
    other = device.open()
    assert ready(other) is False
    _, sid = log_in(device)
    wait_until(lambda: session_of(other) == sid, "the other tab is not logged in")
    assert call(other) == 200


@pytest.mark.engines
def test_log_in_as_somebody_else_is_taken_up_by_the_other_tabs(device: Device) -> None:
    """No tab goes on in the name of the user before."""
    tab, former = log_in(device)
    other = device.open()
    ready(other)
    somebody = device.stage.make_user()
    tab.evaluate("([name, word]) => auth.login(name, word)", [somebody, PASSWORD])
    wait_until(lambda: session_of(other) == session_of(tab), "still the former session")
    assert session_of(other) != former
    name = "auth.fetch('/api/auth/me/').then((r) => r.json()).then((me) => me.username)"
    assert other.evaluate(name) == somebody
    assert "logout" not in seen(other)


@pytest.mark.engines
def test_changed_password_keeps_this_device_in(device: Device) -> None:
    """All of its tabs go on in the new session."""
    tab, former = log_in(device)
    other = device.open()
    ready(other)
    tab.evaluate("([old, word]) => auth.changePassword(old, word)", [PASSWORD, PASSWORD + "!"])
    wait_until(lambda: session_of(other) == session_of(tab), "still the former session")
    assert session_of(tab) != former
    assert (call(tab), call(other)) == (200, 200)
    assert [session["id"] for session in device.sessions(tab)] == [session_of(tab)]


@pytest.mark.engines
def test_session_ended_by_the_server_is_shown_as_revoked(
    new_device: Callable[..., Device],
) -> None:
    """The next request finds out, and the other tabs hear of it."""
    device = new_device()
    tab, sid = log_in(device)
    other = device.open()
    ready(other)
    elsewhere = new_device(device.username).log_in()
    elsewhere.evaluate(
        "(sid) => auth.fetch(`/api/auth/sessions/${sid}/`, { method: 'DELETE' })", sid
    )
    assert call(tab) == 401
    assert "revoked" in seen(tab)
    wait_for_event(other, "revoked")
    assert session_of(elsewhere) is not None


def test_thief_with_the_copied_cookie_ends_the_family_for_both(
    new_device: Callable[..., Device], stage: Stage
) -> None:
    """Whoever is second is found out: both are out, and signal and log say so."""
    owner = new_device()
    tab, sid = log_in(owner)
    thief = new_device(owner.username)
    thief.context.add_cookies([{**cookie} for cookie in owner.context.cookies()])  # type: ignore[typeddict-item]
    stolen = thief.cookie()
    assert stolen == owner.cookie()

    lair = thief.open()
    assert ready(lair) is True  # the thief was first
    assert session_of(lair) == sid
    assert call(lair) == 200
    assert tab.evaluate("auth.refresh()") is False
    assert "revoked" in seen(tab)
    assert call(lair) == 401
    assert "revoked" in seen(lair)
    assert session_of(lair) is None

    assert stage.events(sid, "reuse_detected") == 1
    assert stage.events(sid, "session_ended") == 1
    assert f"the signal reuse_detected was sent for {sid}" in stage.log()
    assert stolen not in stage.log()


def test_thief_who_is_late_is_refused_and_ends_the_family(
    new_device: Callable[..., Device], stage: Stage
) -> None:
    """The owner's copy of the key is not the thief's: it is no honest retry."""
    owner = new_device()
    tab, sid = log_in(owner)
    thief = new_device(owner.username)
    thief.context.add_cookies([{**cookie} for cookie in owner.context.cookies()])  # type: ignore[typeddict-item]
    assert tab.evaluate("auth.refresh()") is True
    lair = thief.open()
    assert ready(lair) is False
    assert [c for c in thief.context.cookies() if c.get("name") == COOKIE] == []
    assert call(tab) == 401
    assert "revoked" in seen(tab)
    assert stage.events(sid, "reuse_detected") == 1
