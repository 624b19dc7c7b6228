"""Requests that a browser sends for another site's page are refused before anything is done (login
CSRF and its like).

``Sec-Fetch-Site`` is set by the browser and by no script (W3C Fetch Metadata). Where it says
anything but ``same-origin`` or ``none``, an ``Origin`` header must be there and decides (RFC 6454
§7). Without it an ``Origin`` decides that is there; a client that is no browser sends neither.
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
    """Whether a browser sent this for another site's page, or for a page that it doesn't name."""
    site = request.headers.get("Sec-Fetch-Site")
    if site in _OWN:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return site is not None
    return origin != f"{request.scheme}://{request.get_host()}" and not is_trusted_origin(origin)


def is_link(request: HttpRequest) -> bool:
    """Whether the visitor leaves another site's page for this one, which then learns nothing.

    Images, scripts and frames of that page are loaded without an ``Origin``, too.
    """
    headers = request.headers
    return (
        request.method in _SAFE
        and "Origin" not in headers
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
    )


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
