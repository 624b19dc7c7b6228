"""What a request presents: a bearer token from the header, a refresh token from the cookie or the
body.
"""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest

from jwt_auth.conf import conf

SCHEME: Final = "bearer"

#: Longest refresh cookie or retry key that is looked at, in characters.
_MAX_LENGTH: Final = 512


def find_bearer_token(request: HttpRequest) -> str | None:
    """The access token of the one ``Authorization: Bearer`` header (RFC 6750 §2.1); ``None`` where
    there is none.

    Never from a query, a form or a body: those end up in logs and histories. Whatever follows the
    word Bearer is the token: two of them, or two headers joined with a comma, are no good one.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != SCHEME:
        return None
    return str(rest.strip(" "))


def find_refresh_cookie(request: HttpRequest) -> str | None:
    """The refresh token of the cookie; ``None`` where there is not exactly one."""
    return _find_cookie(request, conf.refresh_cookie_name)


def find_retry_key(request: HttpRequest) -> str | None:
    """The ``Idempotency-Key`` of a refresh; ``None`` where there is none that could be told from
    noise.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY", "").strip()
    return key if 0 < len(key) <= _MAX_LENGTH else None


def _find_cookie(request: HttpRequest, name: str) -> str | None:
    # The raw header, not request.COOKIES: Django strips U+2000, U+00A0 and the like from names, so
    # that "<U+2000>__Secure-refresh_token", which a sibling subdomain may set, would read as the
    # real one; and of two cookies of one name it would silently take the last.
    values = [
        value
        for part in request.META.get("HTTP_COOKIE", "").split(";")
        for found, separator, value in [part.strip(" \t").partition("=")]
        if separator and found == name
    ]
    if len(values) != 1 or len(values[0]) > _MAX_LENGTH:
        return None
    return str(values[0])
