"""Names of devices, by ua-parser itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.utils import translation

from jwt_auth.devices import device_name, parse_device

pytestmark = pytest.mark.smoke

APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko) "
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) " + APPLE
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) " + APPLE
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " + APPLE
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 7"


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    parse_device.cache_clear()
    yield
    parse_device.cache_clear()


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{WINDOWS}; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (f"{WINDOWS}) {CHROME} Safari/537.36 Edg/140.0.0.0", "Edge on Windows"),
        (f"{MAC}Version/18.6 Safari/605.1.15", "Safari on macOS"),
        (f"{IPHONE}Version/17.5 Mobile/15E148 Safari/604.1", "Safari on iPhone"),
        (f"{IPAD}CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iPad"),
        (f"{IPHONE}FxiOS/140.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone"),
        (f"{IPHONE}Mobile/15E148", "Safari on iPhone"),
        (f"{PIXEL}) {CHROME} Mobile Safari/537.36", "Chrome on Android"),
        (f"{PIXEL}; wv) {CHROME} Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + CHROME, "Chrome on ChromeOS"),
        ("Mozilla/5.0 (X11; Linux x86_64) " + CHROME, "Chrome on Linux"),
        ("MyApp/42 CFNetwork/1496.0.7 Darwin/23.5.0", "MyApp on iOS"),
        ("MyApp/1.2 (com.example.app; build:3; iOS 17.5.0) Alamofire/5.9.1", "MyApp on iOS"),
        ("MyApp/1.2 (iPhone; iOS 17.5; Scale/3.00)", "MyApp on iPhone"),
        ("My App/1.2 (iPad; iOS 17.5; Scale/2.00)", "My App on iPad"),
        ("com.example.app/3 (Linux; U; Android 14; Pixel 7)", "com.example.app on Android"),
        ("my-app/1.2", "my-app"),
        ("1Password/8", "1Password"),
        ("node", "node"),
        ("Dalvik/2.1.0 (Linux; U; Android 14; Pixel 7 Build/UP1A)", "Android"),
        ("okhttp/4.12.0", "okhttp"),
        ("Dart/3.4 (dart:io)", "Dart"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.32.3", "Python Requests"),
        ("Mozilla/5.0", ""),
        ("Mozilla/5.0 (nobody knows)", ""),
        ("Old phone", ""),
        ("<script>alert(1)</script>", ""),
        ("{browser} on {system}", ""),
        ("", ""),
    ],
)
def test_device_has_a_name_that_a_person_knows(user_agent: str, name: str) -> None:
    """The browser or app, without its version, and the system, if they are known."""
    assert device_name(user_agent) == name


def test_update_keeps_the_name() -> None:
    """Of the browser or of the system."""
    for version, system in [(140, "10.0"), (141, "10.0"), (141, "6.1")]:
        agent = (
            f"Mozilla/5.0 (Windows NT {system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        )
        assert device_name(agent) == "Firefox on Windows"


def test_name_from_the_user_agent_itself_is_cut() -> None:
    """A client may have any name."""
    assert device_name("x" * 200 + "/1 CFNetwork/1496.0.7 Darwin/23.5.0") == "x" * 40 + " on iOS"


def test_two_words_are_joined_in_the_language_of_the_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names are kept for all languages, because only the joining differs."""
    phrases = {"{browser} on {system}": "{system} — {browser}"}
    agent = f"{IPHONE}Version/17.5 Mobile/15E148 Safari/604.1"
    assert device_name(agent) == "Safari on iPhone"
    monkeypatch.setattr("jwt_auth.devices._", lambda text: phrases[text])
    with translation.override("de"):
        assert device_name(agent) == "iPhone — Safari"


@pytest.mark.parametrize("found", [None, ModuleType("ua_parser")], ids=["missing", "old"])
def test_without_the_package_there_are_no_names(
    monkeypatch: pytest.MonkeyPatch, found: ModuleType | None
) -> None:
    """Nor with a release before 1.0, which another package of the project may need."""
    monkeypatch.setitem(sys.modules, "ua_parser", found)
    assert device_name("curl/8.5.0") == ""


def test_memory_is_bounded() -> None:
    """However many user agents clients make up."""
    for number in range(1100):
        parse_device(f"{number} client")
    assert parse_device.cache_info().currsize == 1024
