"""What a request presents: an access token in the header or a cookie, a refresh token in the cookie
or the body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.http import HttpRequest

from jwt_auth.conf import conf

SCHEME: Final = "bearer"

#: Longest refresh cookie or retry key that is looked at, in characters.
_MAX_LENGTH: Final = 512

#: The longest cookie, name and value, that browsers keep (RFC 6265bis §5.6).
MAX_COOKIE: Final = 4096

#: How many cookies of one name are looked at, where all of them count.
_MAX_COOKIES: Final = 8

#: What a client sends that keeps a deleted cookie, such as Django's for tests.
_EMPTY: Final = frozenset({"", '""'})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An access token, and whether the browser may have attached it by itself (a cookie), for
    whichever site's page.
    """

    value: str = field(repr=False)
    is_ambient: bool


def find_access_token(request: HttpRequest) -> Credential | None:
    """The access token of the header, else of the access cookie where the project has one.

    A cookie counts only where there is no ``Authorization`` header at all: whoever writes one says
    by it whom to take them for.
    """
    if "HTTP_AUTHORIZATION" in request.META:
        token = find_bearer_token(request)
        return None if token is None else Credential(value=token, is_ambient=False)
    name = conf.access_cookie_name
    if name is None:
        return None
    tokens = _find_cookies(request, name)
    if len(tokens) != 1 or tokens[0] in _EMPTY or len(tokens[0]) > MAX_COOKIE:
        return None
    return Credential(value=tokens[0], is_ambient=True)


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


def find_refresh_cookies(request: HttpRequest) -> list[str]:
    """The refresh tokens of the cookies of that name: one or none, and more where somebody has
    planted one, as a sibling subdomain can.
    """
    tokens = _find_cookies(request, conf.refresh_cookie_name)[:_MAX_COOKIES]
    return [] if len(tokens) == 1 and len(tokens[0]) > _MAX_LENGTH else tokens


def find_retry_key(request: HttpRequest) -> str | None:
    """The ``Idempotency-Key`` of a request; ``None`` where there is none that could be told from
    noise.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY", "").strip()
    return key if 0 < len(key) <= _MAX_LENGTH else None


def _find_cookies(request: HttpRequest, name: str) -> list[str]:
    # The raw header, not request.COOKIES: Django strips U+2000, U+00A0 and the like from names, so
    # that "<U+2000>__Secure-refresh_token", which a sibling subdomain may set, would read as the
    # real one; and of two cookies of one name it would silently take the last.
    return [
        str(value)
        for part in request.META.get("HTTP_COOKIE", "").split(";")
        for found, separator, value in [part.strip(" \t").partition("=")]
        if separator and found == name
    ]
