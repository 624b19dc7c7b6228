"""What can differ from engine to engine: history, storage, streams, aborts, and the page itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    Device,
    Stage,
    assert_still_logged_in,
    call,
    log_in,
    ready,
    session_of,
    wait_for_client,
    wait_until,
)
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.live,
    pytest.mark.example,
]

#: A person's steps on the example's page, and what its policy has refused meanwhile.
LOG_IN = """([name, password]) => {
  window.refused = [];
  addEventListener("securitypolicyviolation", (event) => refused.push(event.blockedURI));
  document.querySelector("[autocomplete=username]").value = name;
  document.querySelector("[autocomplete=current-password]").value = password;
  document.querySelector("[autocomplete=current-password]").form.requestSubmit();
}"""


def test_page_that_history_gives_back_has_its_session(device: Device, stage: Stage) -> None:
    """From the back/forward cache, or loaded anew."""
    tab, sid = log_in(device)
    tab.goto(stage.url("/stage/empty/"))
    go_back(tab)
    assert_still_logged_in(device, [tab], sid)


def test_page_that_history_gives_back_knows_the_log_out(device: Device, stage: Stage) -> None:
    """Which happened while nobody could tell it."""
    tab, _ = log_in(device)
    tab.goto(stage.url("/stage/empty/"))
    other = device.open()
    ready(other)
    other.evaluate("auth.logout()")
    go_back(tab)
    wait_for_client(tab)
    wait_until(lambda: session_of(tab) is None, "the page still shows the session")


@pytest.mark.engines
@pytest.mark.parametrize(
    "clear",
    [
        "localStorage.clear()",
        """indexedDB.databases().then((all) => Promise.all(all.map(({ name }) =>
          new Promise((done) => { indexedDB.deleteDatabase(name).onsuccess = done; }))))""",
    ],
    ids=["localStorage", "IndexedDB"],
)
def test_storage_that_is_cleared_ends_no_session(device: Device, clear: str) -> None:
    """The browser or a cleaner may do that at any time."""
    tab, sid = log_in(device)
    tab.evaluate(f"() => {{ {clear}; }}")
    tab.reload()
    assert_still_logged_in(device, [tab], sid)


@pytest.mark.engines
def test_answer_is_a_stream(device: Device) -> None:
    """It comes in parts, and an abort ends it."""
    tab, _ = log_in(device)
    first = tab.evaluate(
        """() => auth.fetch("/api/hello/").then(async ({ body }) => {
          const reader = body.getReader();
          const { value } = await reader.read();
          await reader.cancel();
          return value.length;
        })"""
    )
    assert first > 0
    assert call(tab) == 200


@pytest.mark.engines
def test_person_logs_in_on_the_page(device: Device, stage: Stage) -> None:
    """Under its policy, and is still in after a reload."""
    tab = device.blank()
    tab.goto(stage.url("/"))
    # By its script, which takes over the form that the server has rendered.
    wait_until(lambda: shows(tab, "Not logged in."), "no form")
    tab.evaluate(LOG_IN, [device.username, PASSWORD])
    wait_until(lambda: shows(tab, f"Logged in as {device.username}"), "nobody is greeted")
    assert tab.evaluate("refused") == []
    tab.reload()
    wait_until(lambda: shows(tab, f"Logged in as {device.username}"), "the session is lost")


@pytest.mark.engines
def test_token_of_a_link_leaves_the_address_bar(device: Device, stage: Stage) -> None:
    """It is in no entry of the history either: a reload shows the log-in again."""
    tab = device.blank()
    tab.goto(stage.url("/#reset=not.a.token"))
    wait_until(lambda: shows(tab, "Choose a new password"), "no form")
    assert tab.evaluate("location.href") == stage.url("/")
    assert "not.a.token" not in tab.evaluate("document.documentElement.outerHTML")
    tab.reload()
    wait_until(lambda: shows(tab, "The life of a session"), "no log-in")
    assert not shows(tab, "Choose a new password")


def go_back(tab: Page) -> None:
    """Have the page go back. Playwright hears nothing of one that comes out of a cache."""
    from playwright.sync_api import Error

    def is_back() -> bool:
        try:
            return bool(tab.evaluate("location.pathname") == "/stage/")
        except Error:
            return False  # it has just left the former page

    tab.evaluate("() => { setTimeout(() => history.back()); }")
    wait_until(is_back, "the page has not gone back", tab)


def shows(tab: Page, text: str) -> bool:
    """Whether the page shows this text."""
    return text in str(tab.evaluate("document.body?.innerText"))
