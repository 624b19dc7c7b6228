"""Which browser the tests drive, and how it is started: TEST_ENGINE names the engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.browser import webkit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, BrowserType, Playwright

#: Debian's. Playwright drives a Firefox of its own, and by WebDriver BiDi anybody's.
EXECUTABLES: Final = {
    "chromium": "/usr/bin/chromium",
    "firefox": "/usr/bin/firefox-esr",
    "webkit": webkit.MINI_BROWSER,
}
#: What has to be installed for each.
PACKAGES: Final = {
    "chromium": "chromium",
    "firefox": "firefox-esr",
    "webkit": "webkit2gtk-driver xvfb",
}
CHROMIUM: Final = EXECUTABLES["chromium"]

ENGINE: Final = os.environ.get("TEST_ENGINE", "chromium")
EXECUTABLE: Final = EXECUTABLES[ENGINE]

#: Milliseconds. Only a failure takes them.
START_TIMEOUT: Final = 180_000

# The last --disable-features on a command line is the only one that counts: so first those that
# Playwright names itself, as far as they are about what is tested here.
_LEFT_OUT: Final = (
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
    # Each window's address bar has two pages of its own, which nobody sees here: more than half of
    # all that a test costs.
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
)

#: --no-sandbox: root, as in a container, can't have one. QUIC would go around a cut network.
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--disable-features={','.join(_LEFT_OUT)}",
)


_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "chromium": {"args": ARGUMENTS},
    "firefox": {"channel": "moz-firefox"},
}


def type_of(playwright: Playwright) -> BrowserType:
    """Choose what starts the engine."""
    browser_type: BrowserType = getattr(playwright, ENGINE)
    return browser_type


def start(browser_type: BrowserType, *more: str) -> Browser:
    """Start a browser without a profile."""
    return browser_type.launch(**_options(browser_type, more))


def start_with_profile(browser_type: BrowserType, profile: Path, *more: str) -> BrowserContext:
    """Start a browser that keeps cookies and storage in a folder, as a person's does."""
    options = _options(browser_type, more)
    return browser_type.launch_persistent_context(profile, ignore_https_errors=True, **options)


def _options(browser_type: BrowserType, more: tuple[str, ...]) -> dict[str, Any]:
    options = _OPTIONS[browser_type.name]
    return {
        **options,
        "args": [*options.get("args", ()), *more],
        "executable_path": EXECUTABLES[browser_type.name],
        "timeout": START_TIMEOUT,
    }


def process_ids(mark: str = "") -> list[int]:
    """List the processes of the browsers that this process has started, parents first.

    Only of those with the mark, the path of a profile for example, in their command lines.
    """
    from psutil import Error, Process

    def family_of(process: Process) -> list[Process]:
        try:
            if process.name() == Path(EXECUTABLE).name and mark in " ".join(process.cmdline()):
                return [process, *process.children(recursive=True)]
        except Error:  # it has just ended
            pass
        return []

    everything = Process().children(recursive=True)
    theirs = {each for process in everything for each in family_of(process)}
    return [each.pid for each in everything if each in theirs]
