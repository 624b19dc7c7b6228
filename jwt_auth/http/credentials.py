"""Find the tokens and the retry key that a request presents in its headers and cookies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.http import HttpRequest

from jwt_auth.conf import conf

SCHEME: Final = "bearer"

#: The longest refresh cookie or retry key that is accepted, in characters.
_MAX_LENGTH: Final = 512

#: The longest cookie, name and value, that browsers keep (RFC 6265bis §5.6).
MAX_COOKIE: Final = 4096

#: The most refresh cookies that are read if a request has several.
_MAX_COOKIES: Final = 8

#: The value of a deleted cookie, from clients that keep it, such as Django's test client.
_EMPTY: Final = frozenset({"", '""'})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An access token.

    ``is_ambient`` means that it came in a cookie, which the browser attaches by itself, even to a
    request from another site's page.
    """

    value: str = field(repr=False)
    is_ambient: bool


def find_access_token(request: HttpRequest) -> Credential | None:
    """Find the access token in the header, or in the access cookie if the project has one.

    The cookie is only read if there is no ``Authorization`` header at all: a client that sends the
    header has chosen its identity with it.
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
    """Find the access token in the ``Authorization: Bearer`` header (RFC 6750 §2.1).

    It is never read from a query, a form or a body, because those end up in logs and histories. The
    whole text after the word Bearer is the token. So two tokens, or two headers joined with a
    comma, are an invalid token.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != SCHEME:
        return None
    return str(rest.strip(" "))


def find_refresh_cookies(request: HttpRequest) -> list[str]:
    """Find the refresh tokens in all cookies with the configured name.

    There is more than one if an attacker has planted a cookie, as a sibling subdomain can do.
    """
    tokens = _find_cookies(request, conf.refresh_cookie_name)[:_MAX_COOKIES]
    return [] if len(tokens) == 1 and len(tokens[0]) > _MAX_LENGTH else tokens


def find_retry_key(request: HttpRequest) -> str | None:
    """Find the ``Idempotency-Key`` of a request; ``None`` if it is missing, empty or too long."""
    key = request.META.get("HTTP_IDEMPOTENCY_KEY", "").strip()
    return key if 0 < len(key) <= _MAX_LENGTH else None


def _find_cookies(request: HttpRequest, name: str) -> list[str]:
    # From the raw header, not from request.COOKIES. Django strips U+2000, U+00A0 and similar
    # characters from names, so "<U+2000>__Secure-refresh_token", which a sibling subdomain may set,
    # would be taken for the real cookie. And of two cookies with one name, Django takes the last.
    return [
        str(value)
        for part in request.META.get("HTTP_COOKIE", "").split(";")
        for found, separator, value in [part.strip(" \t").partition("=")]
        if separator and found == name
    ]
