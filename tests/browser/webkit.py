"""WebKit, the engine of Safari, behind the few calls of Playwright that the devices make.

Playwright drives a WebKit of its own only, which is not in Debian; Debian's speaks WebDriver. A
context is a session: a MiniBrowser with a jar of its own, on a display that nobody sees.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from warnings import catch_warnings

if TYPE_CHECKING:
    from playwright.sync_api import Error
    from selenium.webdriver import WebKitGTK

DRIVER: Final = "/usr/bin/WebKitWebDriver"
MINI_BROWSER: Final = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser"

#: Seconds. Only a failure takes them.
_PATIENCE = 120

#: As Playwright does it: an expression, or a function that is called; the outcome is awaited.
_EVALUATE = """
const done = arguments[arguments.length - 1];
(async (arg) => {
  const value = (%s);
  return typeof value === "function" ? value(arg) : value;
})(arguments[0]).then((value) => done({ value }), (error) => done({ error: String(error) }));
"""


@contextmanager
def display() -> Iterator[str]:
    """Start a display; give its name."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout
        try:
            yield f":{server.stdout.readline().strip()}"
        finally:
            server.terminate()


class Browser:
    """What starts MiniBrowsers."""

    def __init__(self, display: str) -> None:
        self._display = display

    def new_context(self, *, ignore_https_errors: bool) -> Context:
        """Start one with an empty jar."""
        from selenium.webdriver import WebKitGTK, WebKitGTKOptions, WebKitGTKService

        options = WebKitGTKOptions()
        options.binary_location = MINI_BROWSER
        options.add_argument("--automation")
        options.page_load_strategy = "none"
        options.accept_insecure_certs = ignore_https_errors
        options.timeouts = {"script": _PATIENCE * 1000}
        service = WebKitGTKService(DRIVER, env={**os.environ, "DISPLAY": self._display})
        with catch_warnings(action="ignore", category=DeprecationWarning):  # Selenium's own
            return Context(WebKitGTK(options=options, service=service))


class Context:
    """A cookie jar with tabs."""

    def __init__(self, driver: WebKitGTK) -> None:
        self.driver = driver
        self._is_used = False

    def new_page(self) -> Page:
        """Open a tab; the first one is there from the beginning."""
        if self._is_used:
            self.driver.switch_to.new_window("tab")
        self._is_used = True
        return Page(self, self.driver.current_window_handle)

    def set_default_timeout(self, timeout: float) -> None:
        """Do nothing: what waits here has a time of its own."""

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()


class Page:
    """A tab."""

    def __init__(self, context: Context, handle: str) -> None:
        self.context = context
        self._handle = handle

    @property
    def url(self) -> str:
        """Its address."""
        with self._in_front() as driver:
            return str(driver.current_url)

    def goto(self, url: str, *, wait_until: str = "load") -> None:
        """Go to an address."""
        with self._in_front() as driver:
            driver.get(url)
        self._wait(wait_until)

    def reload(self, *, wait_until: str = "load") -> None:
        """Load the page again."""
        with self._in_front() as driver:
            driver.refresh()
        self._wait(wait_until)

    def go_back(self) -> None:
        """Go back to the page before."""
        with self._in_front() as driver:
            driver.back()

    def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Evaluate an expression, or call a function; give what it gives in the end."""
        with self._in_front() as driver:
            outcome = driver.execute_async_script(_EVALUATE % expression, arg)
        if "error" in outcome:
            raise _error(outcome["error"])
        return outcome.get("value")

    def wait_for_timeout(self, milliseconds: float) -> None:
        """Wait."""
        time.sleep(milliseconds / 1000)

    def on(self, event: str, listener: Callable[..., object]) -> None:
        """Do nothing: WebDriver reports no events."""

    def close(self) -> None:
        """Close it."""
        with self._in_front() as driver:
            driver.close()

    def _wait(self, until: str) -> None:
        while until == "load" and self.evaluate("document.readyState") != "complete":
            self.wait_for_timeout(20)

    @contextmanager
    def _in_front(self) -> Iterator[WebKitGTK]:
        from selenium.common import WebDriverException

        driver = self.context.driver
        try:
            driver.switch_to.window(self._handle)
            yield driver
        except WebDriverException as error:
            raise _error(str(error)) from None


def _error(text: str) -> Error:
    from playwright.sync_api import Error

    return Error(text)
