"""Requests that a browser sends for another site's page are refused before anything is done (login
CSRF and its like).

``Sec-Fetch-Site`` is set by the browser and by no script (W3C Fetch Metadata); where it is missing
or names another site, the ``Origin`` header decides (RFC 6454 §7). A client that is no browser
sends neither.
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
    if request.headers.get("Sec-Fetch-Site") in _OWN:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return origin != f"{request.scheme}://{request.get_host()}" and not is_trusted_origin(origin)


def is_cross_site_read(request: HttpRequest) -> bool:
    """Whether another site's page loads this as an image, a script or the like.

    Browsers send no ``Origin`` with those. A link to here is none of them: the visitor leaves the
    other page by it.
    """
    headers = request.headers
    if "Origin" in headers or headers.get("Sec-Fetch-Site") in {None, *_OWN}:
        return False
    is_link = headers.get("Sec-Fetch-Mode") == "navigate" and request.method in _SAFE
    return not (is_link and headers.get("Sec-Fetch-Dest") == "document")


def is_trusted_origin(origin: str) -> bool:
    """Whether ``CSRF_TRUSTED_ORIGINS`` names it, by itself or with a wildcard."""
    return any(origin_matches(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def origin_matches(origin: str, trusted: str) -> bool:
    """Whether one entry of ``CSRF_TRUSTED_ORIGINS`` means this origin."""
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
