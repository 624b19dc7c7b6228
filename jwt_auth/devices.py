"""Name the device of a session, such as "Firefox on Windows", for people to read.

A client can send any user agent, so a name helps to recognize a session and proves nothing. The
names come from ua-parser (the extra ``devices``); without it, there are none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from django.utils.translation import gettext as _

#: How many user agents are kept with their names. A stored user agent has 256 characters at most,
#: so they take less than 1 MB.
_KEPT: Final = 1024

#: How much is kept of a name, which may come from the user agent itself.
_LENGTH: Final = 40

#: How ua-parser marks the browsers of phones and the web views of apps. The system says the same.
_VARIANT: Final = re.compile(r"^Mobile (?=Safari)|( (Mobile|iOS|WebView|UI/WKWebView))+$")

#: Today's spellings of the systems' makers.
_SPELLINGS: Final = {"Mac OS X": "macOS", "Chrome OS": "ChromeOS"}

#: The name that an app gives itself, in front of its version (RFC 9110 §10.1.5) or alone.
_PRODUCT: Final = re.compile(
    r"(?!Mozilla/|Dalvik/)(?P<name>\w[\w .+-]{0,38}\w(?=/)|\w[\w.+-]{0,38}\w$)", re.ASCII
)

#: What ua-parser takes every app on a phone for whose name it doesn't know.
_ANY_APP: Final = frozenset({"Android", "Mobile Safari UI/WKWebView"})


def device_name(user_agent: str) -> str:
    """Name the browser or app and the system, in the active language; empty if neither is known."""
    browser, system = parse_device(user_agent)
    if browser and system:
        return _("{browser} on {system}").format(browser=browser, system=system)
    return browser or system


@lru_cache(maxsize=_KEPT)
def parse_device(user_agent: str) -> tuple[str, str]:
    """Name the browser or app, and the system, without their versions; an unknown name is empty."""
    found = _parse(user_agent) if user_agent else None
    if found is None:
        return "", ""
    browser = system = ""
    product = _PRODUCT.match(user_agent)
    if found.user_agent is not None:
        browser = _VARIANT.sub("", found.user_agent.family)[:_LENGTH]
    if product is not None and (found.user_agent is None or found.user_agent.family in _ANY_APP):
        browser = product["name"]
    if found.os is not None:
        # A device of Apple's is better known by its own name.
        system = next((name for name in ("iPhone", "iPad") if name in user_agent), found.os.family)
        system = _SPELLINGS.get(system, system)
    # An app that doesn't name itself has the system's name.
    return "" if browser == system else browser, system


def _parse(user_agent: str) -> Any:
    """Let ua-parser look for the browser and the system; ``None`` if it isn't installed.

    It is loaded here because that takes 0.2 s, and most processes never need a name. Its patterns
    for the models of phones aren't tried: there are more than a thousand.
    """
    try:
        ua_parser = import_module("ua_parser")
        parser, domain = ua_parser.parser, ua_parser.Domain
    except (ImportError, AttributeError):  # the latter: a release before 1.0, for another package
        return None
    return parser(user_agent, domain.USER_AGENT | domain.OS)
