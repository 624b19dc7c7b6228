"""The example's page for a visitor: without a script, with one click, and with a stolen cookie."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Meet
from tests.browser.devices import COOKIE, wait_until
from tests.browser.engines import ENGINE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.devices import Stage

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

#: Seconds.
DAY = 86_400
#: What the story tells; the server's words are in it.
STORY = [
    "POST /api/auth/refresh/ 200",
    "POST /api/auth/refresh/ 401 invalid_refresh_token",
    "GET /api/hello/ 401 invalid_token",
    "sessionend revoked",
]
#: The sum of what has moved by itself, as browsers measure it.
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => shifts.push(...list.getEntries().map(({ value }) => value)))
  .observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESKTOP, "light")])
def test_replayed_cookie_ends_the_session_step_by_step(
    meet: Meet, name: str, size: Any, scheme: str
) -> None:
    """The real answers stay on the page, readable, until the person logs in again."""
    view = meet(size, scheme).open()
    view.log_in(name)
    view.is_in(name)
    view.press("Replay a stolen cookie")
    view.says("A used cookie came back, so the server has ended the session.")
    view.focuses("The session has ended")
    assert view.page.locator("#steps .step").all_inner_texts() == STORY
    assert view.page.locator("#session-reading").inner_text() == "ended"
    assert name not in view.page.content()
    view.is_well_set()
    view.press("Log in again")
    view.focuses("The life of a session")
    assert view.page.locator("#steps").text_content() == ""


def test_story_can_be_told_again(meet: Meet, name: str) -> None:
    """The next session has a story of its own, and another tab learns of its end."""
    person = meet()
    view, other = person.open(), person.open()
    view.log_in(name)
    for _ in range(2):
        view.is_in(name)
        other.is_in(name)
        assert view.page.locator("#steps li").count() == 0
        view.press("Replay a stolen cookie")
        view.heading("The session has ended").wait_for()
        other.heading("The life of a session").wait_for()
        other.log_in(name)


def test_story_of_a_session_that_has_ended_is_not_told(meet: Meet, name: str) -> None:
    """The end is another one: nothing was stolen."""
    view, other = meet().open(), meet().open()
    for one in (view, other):
        one.log_in(name)
        one.is_in(name)
    other.press("Log out everywhere")
    other.says("Logged out on every device.")
    view.press("Replay a stolen cookie")
    view.heading("The life of a session").wait_for()
    assert view.page.locator("#steps li").count() == 0


def test_story_that_the_server_forgives_says_so(meet: Meet, name: str, stage: Stage) -> None:
    """With a leeway, both requests get a cookie, and the session goes on."""
    told = "The server has accepted the cookie twice: JWT_AUTH_REFRESH_REUSE_LEEWAY allows it."
    site = stage.site.using(JWT_AUTH_REFRESH_REUSE_LEEWAY="60")
    with site.serve() as server:
        view = meet(address=server.address).open()
        view.log_in(name)
        view.is_in(name)
        view.press("Replay a stolen cookie")
        view.says(told)
        view.press("Refresh now")
        view.says("Refreshed: a new access token and a new cookie.")
        view.page.close()  # it would ask a server that has gone


@pytest.mark.parametrize("account", ["demo", "demo-admin"])
def test_demo_account_is_one_click_away(meet: Meet, demo: str, account: str) -> None:
    """Its password is public, and still not left in the form."""
    view = meet(PHONE, address=demo).open()
    view.says("Not logged in.")
    view.is_well_set()
    view.press(f"Log in as {account}")
    view.is_in(account)
    assert view.page.locator("#password").input_value() == ""


def test_page_without_script_says_what_it_is(stage: Stage, browser: Browser, demo: str) -> None:
    """The headline, the accounts and the reason why nothing can be pressed."""
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    page = context.new_page()
    page.goto(demo)
    read = page.locator("main").inner_text()
    for text in ("The life of a session", "This page needs JavaScript", "only-for-the-demo"):
        assert text in read
    assert "Looking for a session" not in read
    for button in ("Log in as demo", "Log in as demo-admin", "Log in"):
        assert page.get_by_role("button", name=button, exact=True).is_disabled()
    context.close()


@pytest.mark.skipif(ENGINE != "chromium", reason="only Chromium measures it")
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_nothing_moves_when_the_script_comes(meet: Meet, demo: str, size: Any) -> None:
    """The server has left room for all that the script draws."""
    person = meet(size, address=demo)
    person.context.add_init_script(WATCH_SHIFTS)
    view = person.open()
    view.says("Not logged in.")
    view.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert view.page.evaluate("shifts") == []


def test_login_is_shown_before_the_server_answers(meet: Meet, name: str, stage: Stage) -> None:
    """But not to a person who has left the page logged in: a reload doesn't show it."""
    view = meet().open()
    heading = view.heading("The life of a session")
    view.log_in(name)
    view.is_in(name)
    with stage.stalling("refresh"):
        new = meet().open()
        new.heading("The life of a session").wait_for()
        new.says("Looking for a session…")
        assert new.page.get_by_role("button", name="Log in", exact=True).is_enabled()
        view.page.reload()
        wait_until(lambda: stage.has_come("refresh"), "no refresh has come")
        assert not heading.is_visible()
    view.is_in(name)
    new.says("Not logged in.")


@pytest.mark.parametrize(("is_kept", "days"), [(False, 7), (True, 30)])
def test_person_who_asks_stays_logged_in_for_longer(
    meet: Meet, name: str, is_kept: bool, days: int
) -> None:
    """The browser keeps the cookie for as long, and the page says it."""
    person = meet()
    view = person.open()
    view.page.get_by_label("Stay logged in").set_checked(is_kept)
    view.log_in(name)
    view.is_in(name)
    view.press("Refresh now")
    view.says("Refreshed: a new access token and a new cookie.")
    [cookie] = [found for found in person.context.cookies() if found.get("name") == COOKIE]
    assert abs(cookie.get("expires", 0) - time.time() - days * DAY) < DAY / 2
    reading = view.page.locator("#session-reading").inner_text()
    assert reading in {f"{days} d 0 h", f"{days - 1} d 23 h"}
    view.press("Log out")
    view.says("Logged out.")
    assert not view.page.get_by_label("Stay logged in").is_checked()
