"""A person before the example's page: what they read and press, and what a tool would judge."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.browser import devices
from tests.browser.devices import wait_until
from tests.browser.engines import ENGINE
from tests.live.site import PASSWORD

#: Milliseconds. Only a failure takes them.
PATIENCE = devices.PATIENCE * 1000

#: The browser itself reports each refusal; that one came is for the test to expect.
_REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of (\d+)")
# Chromium tells that on the console, too, Firefox on one that its driver doesn't hear.
_TELL_REFUSALS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`The policy has refused ${event.effectiveDirective}`));
"""
_CUT = "Failed to load resource: net::ERR_INTERNET_DISCONNECTED"


@dataclass(kw_only=True)
class Person:
    """Somebody with a browser of their own."""

    context: BrowserContext
    address: str
    axe: str
    errors: list[str] = field(default_factory=list)

    @classmethod
    def meet(
        cls, browser: Browser, address: str, axe: str, size: tuple[int, int], scheme: Any = "light"
    ) -> Person:
        """Give them a device of that size, and the scheme that they like."""
        context = browser.new_context(
            ignore_https_errors=True,
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE)
        person = cls(context=context, address=address, axe=axe)
        context.add_init_script(_TELL_REFUSALS)
        context.on("console", person._hear)
        context.on("weberror", lambda error: devices.note_error(person.errors, error.error))
        return person

    def _hear(self, message: ConsoleMessage) -> None:
        refused = _REFUSAL.match(message.text)
        expected = (refused and int(refused[1]) < 500) or message.text.startswith(_CUT)
        if message.type in {"error", "warning"} and not expected:
            self.errors.append(message.text)

    def stop_clock(self) -> None:
        """Have no time pass on the clocks of the pages that are opened from now on."""
        devices.stop_clock(self.context)

    def open(self, path: str = "/") -> View:
        """Open the page in a new tab."""
        page = self.context.new_page()
        page.goto(self.address + path)
        return View(page=page, axe=self.axe)


@dataclass(frozen=True, kw_only=True)
class View:
    """A tab with the page."""

    page: Page
    axe: str

    def says(self, text: str | re.Pattern[str]) -> None:
        """Wait until the line at the top says so."""
        expect(self.page.get_by_role("status").first).to_have_text(text, timeout=PATIENCE)

    def changes(self, part: Locator, text: str) -> None:
        """Wait until the part says something else."""
        expect(part).not_to_have_text(text, timeout=PATIENCE)

    def heading(self, name: str) -> Locator:
        """Give a heading by what it says."""
        return self.page.get_by_role("heading", name=name, exact=True)

    def fill(self, label: str, text: str) -> None:
        """Fill in the field of that label."""
        self.page.get_by_label(label, exact=True).fill(text)

    def press(self, name: str) -> None:
        """Press the button of that name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def log_in(self, username: str, password: str = PASSWORD) -> None:
        """Fill the form in and send it."""
        self.fill("User name", username)
        self.fill("Password", password)
        self.press("Log in")

    def is_in(self, username: str) -> None:
        """Wait until the page greets, with the lists filled."""
        expect(self.heading(f"Logged in as {username}")).to_be_visible(timeout=PATIENCE)
        expect(self.page.get_by_text("this device", exact=True)).to_be_visible(timeout=PATIENCE)
        expect(self.page.locator("#keys li").first).to_be_visible(timeout=PATIENCE)

    def focuses(self, text: str) -> None:
        """Wait until what has the focus says so."""
        focused = "document.activeElement.textContent.trim()"
        wait_until(lambda: self.page.evaluate(focused) == text, f"{text!r} has no focus")

    def is_well_set(self) -> None:
        """Nothing sticks out at the side, and axe-core finds nothing to say."""
        width = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        needed, there = self.page.evaluate(width)
        assert needed <= there
        if not self.page.evaluate("!!window.axe"):
            self.page.evaluate(self.axe)
        found = self.page.evaluate("axe.run().then((results) => results.violations)")
        said = [(rule["id"], node["html"]) for rule in found for node in rule["nodes"]]
        assert said == []

    def picture(self, folder: Path, name: str) -> None:
        """Keep a picture, to be looked at. Playwright's own style breaks the policy in Firefox."""
        if ENGINE == "chromium":
            self.page.screenshot(path=folder / f"{name}.png", full_page=True)
