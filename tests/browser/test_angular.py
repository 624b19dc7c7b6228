"""The Angular recipe in a project as `ng new` makes it: a minute and a download, so on request.

TEST_ANGULAR=1 python -m pytest tests/browser/test_angular.py    (Node.js as Angular wants it)
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.test_recipes import (
    HELLO,
    RECIPES,
    REFRESH,
    ROOT,
    TIMES,
    counted,
    refuse_present_token,
    run,
)
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.browser.devices import Device

pytestmark = [
    pytest.mark.browser,
    pytest.mark.chromium,
    pytest.mark.live,
    pytest.mark.example,
    pytest.mark.skipif(
        not os.environ.get("TEST_ANGULAR"), reason="A whole Angular project: set TEST_ANGULAR=1."
    ),
]

CLI = "@angular/cli@22.2.7"
NEW = ("--defaults", "--skip-git", "--skip-tests", "--ssr=false", "--routing=false", "--style=css")
NOBODY = "nobody"


@pytest.fixture(scope="module")
def application(npm: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built application: a new project with the recipe's files and the test's component."""
    folder = tmp_path_factory.mktemp("angular")
    run(
        ["npx", "-y", CLI, "new", "recipe", *NEW, "--ai-config=none", "--interactive=false"], folder
    )
    project = folder / "recipe"
    for source in (RECIPES / "angular", ROOT / "tests" / "browser" / "recipes" / "angular"):
        shutil.copytree(source, project / "src" / "app", dirs_exist_ok=True)
    run(["npx", "ng", "build", "--base-href", "/angular/"], project)
    return project / "dist" / "recipe" / "browser"


def open_application(device: Device, application: Path) -> Page:
    """Open the application in a tab."""

    def answer(route: Route) -> None:
        route.fulfill(path=application / (route.request.url.rpartition("/")[2] or "index.html"))

    device.context.route("**/angular/*", answer)
    return device.open("/angular/")


def user(tab: Page) -> Any:
    """Say what the tab shows as the user."""
    return tab.locator("#user")


def log_in(tab: Page, username: str) -> None:
    """Log in by the form."""
    tab.fill("#username", username)
    tab.fill("#password", PASSWORD)
    tab.click("#login")


def test_many_refused_requests_take_one_refresh(application: Path, device: Device) -> None:
    """All are answered after all; after a reload the initializer has refreshed, once."""
    from playwright.sync_api import expect

    tab = open_application(device, application)
    expect(user(tab)).to_have_text(NOBODY)
    log_in(tab, device.username)
    expect(user(tab)).not_to_have_text(NOBODY)
    refuse_present_token(device)
    with counted(tab) as paths:
        tab.click("#call")
        expect(tab.locator("#answers")).to_have_text(" ".join(["200"] * TIMES))
    assert paths == {HELLO: 2 * TIMES, REFRESH: 1}
    with counted(tab) as paths:
        tab.reload()
        expect(user(tab)).not_to_have_text(NOBODY)
    assert paths[REFRESH] == 1
    kept = tab.evaluate("document.cookie + JSON.stringify([localStorage, sessionStorage])")
    assert kept == "[{},{}]"


def test_lost_answer_tabs_and_reloads_end_no_session(application: Path, device: Device) -> None:
    """The retry has the same key; the other tabs hear of a log-out and of another user."""
    from playwright.sync_api import expect

    tabs = [open_application(device, application) for _ in range(5)]
    log_in(tabs[0], device.username)
    for tab in tabs:
        expect(user(tab)).not_to_have_text(NOBODY)
    me = user(tabs[0]).text_content()
    keys: list[str | None] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            route.fetch(url=route.request.url.replace("app.localhost", "127.0.0.1"))
            route.abort("connectionreset")
        else:
            route.continue_()

    device.context.route(f"**{REFRESH}", lose)
    tabs[0].reload()
    expect(user(tabs[0])).to_have_text(str(me))
    assert len(keys) == 2
    assert len(set(keys)) == 1
    device.context.unroute(f"**{REFRESH}")
    for _ in range(5):
        for tab in tabs:
            tab.evaluate("location.reload()")
    for tab in tabs:
        expect(user(tab)).to_have_text(str(me))
    tabs[0].click("#logout")
    for tab in tabs:
        expect(user(tab)).to_have_text(NOBODY)
    log_in(tabs[0], device.stage.make_user())
    for tab in tabs:
        expect(user(tab)).not_to_have_text(NOBODY)
        expect(user(tab)).not_to_have_text(str(me))
