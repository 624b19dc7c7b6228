"""The cookies' attributes: each by itself, then what browsers refuse together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django.core.checks import CheckMessage

from jwt_auth.checks import messages
from jwt_auth.conf import conf

#: A cookie's name is a token (RFC 6265 §4.1.1).
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_PATH: Final = re.compile(r"/[^;\x00-\x20\x7f]*")
_COOKIE_DOMAIN: Final = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def check_cookie_types() -> Iterator[CheckMessage]:
    if not isinstance(conf.refresh_cookie_secure, bool):
        yield messages.error("E013", "REFRESH_COOKIE_SECURE", "must be True or False.", "True")
    if conf.refresh_cookie_samesite not in ("Strict", "Lax", "None"):  # a list can't be in a set
        yield messages.error(
            "E014", "REFRESH_COOKIE_SAMESITE", 'must be "Strict", "Lax" or "None".', '"Strict"'
        )
    if not _is_none_or(_COOKIE_PATH, conf.refresh_cookie_path):
        yield messages.error(
            "E011", "REFRESH_COOKIE_PATH", "must be a path, or None.", '"/api/auth/"'
        )
    if not _is_none_or(_COOKIE_DOMAIN, conf.refresh_cookie_domain):
        yield messages.error(
            "E012", "REFRESH_COOKIE_DOMAIN", "must be a host name, or None.", "None"
        )


def check_cookies_together() -> Iterator[CheckMessage]:
    if any(check_cookie_types()):
        return
    name = conf.refresh_cookie_name
    if not isinstance(name, str) or not _COOKIE_NAME.fullmatch(name):
        reason = "must be a cookie's name."
    elif name.startswith("__Secure-") and not conf.refresh_cookie_secure:
        reason = (
            "starts with __Secure-, which browsers refuse without JWT_AUTH_REFRESH_COOKIE_SECURE."
        )
    elif name.startswith("__Host-") and not (
        conf.refresh_cookie_secure
        and conf.refresh_cookie_path == "/"
        and conf.refresh_cookie_domain is None
    ):
        reason = (
            "starts with __Host-, which browsers refuse without Secure, the path / and no domain."
        )
    else:
        reason = ""
    if reason:
        yield messages.error("E010", "REFRESH_COOKIE_NAME", reason, '"__Secure-refresh_token"')
    if conf.refresh_cookie_samesite == "None":
        if not conf.refresh_cookie_secure:
            yield messages.error(
                "E014",
                "REFRESH_COOKIE_SAMESITE",
                'is "None", which browsers refuse without JWT_AUTH_REFRESH_COOKIE_SECURE.',
                '"Strict"',
            )
        yield messages.warning(
            "W003",
            'JWT_AUTH_REFRESH_COOKIE_SAMESITE is "None": pages of other sites send the cookie, '
            "too, and only the origin check stands between them and it.",
            'Write JWT_AUTH_REFRESH_COOKIE_SAMESITE = "Strict"',
        )


def _is_none_or(pattern: re.Pattern[str], value: object) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)
