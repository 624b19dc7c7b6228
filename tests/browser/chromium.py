"""Which browser the tests drive, and how it is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, BrowserType

CHROMIUM: Final = "/usr/bin/chromium"

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


def start(chromium: BrowserType, *more: str) -> Browser:
    """Start a browser without a profile."""
    return chromium.launch(
        executable_path=CHROMIUM, args=[*ARGUMENTS, *more], timeout=START_TIMEOUT
    )


def start_with_profile(chromium: BrowserType, profile: Path, *more: str) -> BrowserContext:
    """Start a browser that keeps cookies and storage in a folder, as a person's does."""
    return chromium.launch_persistent_context(
        profile,
        executable_path=CHROMIUM,
        args=[*ARGUMENTS, *more],
        timeout=START_TIMEOUT,
        ignore_https_errors=True,
    )
