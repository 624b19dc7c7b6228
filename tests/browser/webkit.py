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
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from warnings import catch_warnings

if TYPE_CHECKING:
    from playwright.sync_api import Error
    from selenium.webdriver import WebKitGTK

DRIVER: Final = "/usr/bin/WebKitWebDriver"
MINI_BROWSER: Final = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser"

#: Seconds. Only a failure takes them.
_PATIENCE = 120

_keys = count()

#: Seconds that a page is waited for which may never come; a person wouldn't, either.
_IMPATIENCE = 10

# As Playwright does it: an expression, or a function that is called; the outcome is awaited. By
# polling, since WebKit's driver waits for ever for an asynchronous script whose page is left.
_START = """
const [key, arg] = arguments;
const given = (%s);
const value = typeof given === "function" ? given(arg) : given;
if (typeof value?.then !== "function") return { value };
window.outcomes ??= {};
outcomes[key] = { pending: true };
value.then(
  (value) => { outcomes[key] = { value }; },
  (error) => { outcomes[key] = { error: String(error) }; },
);
return outcomes[key];
"""
_OUTCOME = "return window.outcomes?.[arguments[0]] ?? { error: 'The page has been left.' };"


@contextmanager
def display() -> Iterator[str]:
    """Start a display; give its name."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    # Otherwise it starts again when its last client has left, and refuses a browser that comes
    # meanwhile. The driver would wait for that browser for ever.
    command += ["-noreset"]
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
        from selenium.webdriver.remote.remote_connection import RemoteConnection

        options = WebKitGTKOptions()
        options.binary_location = MINI_BROWSER
        options.add_argument("--automation")
        # The driver then has each command wait for a page that is loading. A script that is sent to
        # one on its way out is never answered; "eager" waits for ever for what has happened.
        options.page_load_strategy = "normal"
        options.accept_insecure_certs = ignore_https_errors
        service = WebKitGTKService(DRIVER, env={**os.environ, "DISPLAY": self._display})
        with catch_warnings(action="ignore", category=DeprecationWarning):  # Selenium's own
            driver = WebKitGTK(options=options, service=service)
        assert isinstance(driver.command_executor, RemoteConnection)
        driver.command_executor.client_config.timeout = _PATIENCE
        return Context(driver)


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
        self._go(lambda driver: driver.get(url), wait_until)

    def reload(self, *, wait_until: str = "load") -> None:
        """Load the page again."""
        self._go(lambda driver: driver.refresh(), wait_until)

    def evaluate(self, expression: str, arg: Any = None) -> Any:
        """Evaluate an expression, or call a function; give what it gives in the end."""
        key, deadline = str(next(_keys)), time.monotonic() + _PATIENCE
        with self._in_front() as driver:
            outcome = driver.execute_script(_START % expression, key, arg)
            while outcome.get("pending"):
                assert time.monotonic() < deadline, expression
                time.sleep(0.01)
                outcome = driver.execute_script(_OUTCOME, key)
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

    def _go(self, go: Callable[[WebKitGTK], None], wait_until: str) -> None:
        with self._in_front() as driver:
            driver.set_page_load_timeout(_PATIENCE if wait_until == "load" else _IMPATIENCE)
            try:
                go(driver)
            finally:
                driver.set_page_load_timeout(_PATIENCE)

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
