"""Recognize requests that a browser sends for another site's page, such as login CSRF.

The browser sets ``Sec-Fetch-Site``, and scripts can't change it (W3C Fetch Metadata). If its value
is neither ``same-origin`` nor ``none``, the ``Origin`` header decides and has to be present (RFC
6454 §7). If ``Sec-Fetch-Site`` is missing, ``Origin`` decides if it is present. A client that sends
neither header isn't a browser.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.utils.http import is_same_domain

_OWN: Final = frozenset({"same-origin", "none"})
_SAFE: Final = frozenset({"GET", "HEAD"})


def is_cross_site(request: HttpRequest) -> bool:
    """Whether a browser sent this for another site's page, or doesn't say for which page."""
    site = request.headers.get("Sec-Fetch-Site")
    if site in _OWN:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return site is not None
    return origin != f"{request.scheme}://{request.get_host()}" and not is_trusted_origin(origin)


def is_link(request: HttpRequest) -> bool:
    """Whether the visitor follows a link from another site's page, which can't read the response.

    A missing ``Origin`` alone doesn't show that: browsers load images, scripts and frames of that
    page without one, too.
    """
    headers = request.headers
    return (
        request.method in _SAFE
        and "Origin" not in headers
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
    )


def is_trusted_origin(origin: str) -> bool:
    """Whether ``CSRF_TRUSTED_ORIGINS`` contains the origin, literally or by a wildcard."""
    return any(origin_matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def origin_matches(origin: str, trusted: str) -> bool:
    """Whether one entry of ``CSRF_TRUSTED_ORIGINS`` matches the origin."""
    if origin == trusted:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    pattern = urlsplit(trusted)
    return (
        pattern.netloc.startswith("*")
        and pattern.scheme == parts.scheme
        and is_same_domain(parts.netloc, pattern.netloc.lstrip("*"))
    )
