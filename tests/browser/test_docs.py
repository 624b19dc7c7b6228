"""Swagger UI of the example: its assets are the site's own, and a call can be tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from example_project.demo.accounts import ACCOUNTS
from example_project.demo.accounts import PASSWORD as DEMO_PASSWORD
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.chromium, pytest.mark.live, pytest.mark.example]

DEMO = ACCOUNTS[0]

_STORED = "() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])"


def _token(page: Page, site: str, username: str, password: str) -> str:
    """Log in as a client without a cookie jar would."""
    credentials = {"username": username, "password": password}
    answer = page.request.post(f"{site}/api/mobile/auth/login/", data=credentials)
    token: str = answer.json()["access_token"]
    return token


def test_call_with_a_token_can_be_tried(browser: Browser, demo: str) -> None:
    """With DEBUG on, as `make demo` serves it."""
    _try_call(browser, demo, DEMO.username, DEMO_PASSWORD)


def test_call_can_be_tried_below_a_prefix(browser: Browser, prefixed: str, name: str) -> None:
    """FORCE_SCRIPT_NAME is in the paths of the files, of the schema and of the call; DEBUG off."""
    _try_call(browser, prefixed, name, PASSWORD)


def _try_call(browser: Browser, site: str, username: str, password: str) -> None:
    """Authorize, try me/, and see the user; nothing is loaded from elsewhere or stored."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    token = _token(page, site, username, password)

    page.goto(f"{site}/api/docs/")
    page.get_by_role("button", name="Authorize").first.click()
    scheme = page.locator(".auth-container", has_text="bearerToken")
    scheme.get_by_role("textbox").fill(token)
    scheme.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close").last.click()
    operation = page.locator("#operations-auth-auth_me")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    operation.locator(".live-responses-table", has_text=f'"username": "{username}"').wait_for()

    assert {url for url in asked if not url.startswith((f"{site}/", "data:"))} == set()
    assert [text for text in said if "Content Security Policy" in text] == []
    assert token not in page.evaluate(_STORED)
    context.close()
