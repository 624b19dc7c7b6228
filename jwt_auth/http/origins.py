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


def is_cross_site(request: HttpRequest) -> bool:
    if request.headers.get("Sec-Fetch-Site") in _OWN:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    return origin != f"{request.scheme}://{request.get_host()}" and not _is_trusted(origin)


def _is_trusted(origin: str) -> bool:
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return any(
        trusted.scheme == parts.scheme and is_same_domain(parts.netloc, trusted.netloc.lstrip("*"))
        for trusted in map(urlsplit, settings.CSRF_TRUSTED_ORIGINS)
        if trusted.netloc.startswith("*")
    )
