"""The cookies' attributes: each by itself, then what browsers refuse together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.cookies import Morsel
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string
from django.views.debug import get_default_exception_reporter_filter

from jwt_auth.checks import messages
from jwt_auth.conf import conf

#: A cookie's name is a token (RFC 6265 §4.1.1).
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_PATH: Final = re.compile(r"/[^;\x00-\x20\x7f]*")
#: A value that a filter replaces where it hides a cookie.
_PROBE: Final = "a value"
_COOKIE_DOMAIN: Final = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def check_cookie_types() -> Iterator[CheckMessage]:
    if not isinstance(conf.refresh_cookie_secure, bool):
        yield messages.error("E013", "REFRESH_COOKIE_SECURE", "must be True or False.", "True")
    if not isinstance(conf.refresh_cookie_partitioned, bool):
        yield messages.error(
            "E052", "REFRESH_COOKIE_PARTITIONED", "must be True or False.", "False"
        )
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
    reason = _find_problem(conf.refresh_cookie_name, path=conf.refresh_cookie_path)
    if reason:
        yield messages.error("E010", "REFRESH_COOKIE_NAME", reason, '"__Secure-refresh_token"')
    elif conf.refresh_cookie_path == "/":
        yield from _check_error_reports("REFRESH_COOKIE_NAME", "__Host-refresh_token")
    if conf.access_cookie_name is not None:
        yield from _check_access_cookie()
    if conf.refresh_cookie_partitioned and conf.refresh_cookie_samesite != "None":
        yield messages.error(
            "E053",
            "REFRESH_COOKIE_PARTITIONED",
            'is for JWT_AUTH_REFRESH_COOKIE_SAMESITE = "None": no other cookie is sent from '
            "another site's frame.",
            "False",
        )
    if conf.refresh_cookie_samesite == "None":
        if not conf.refresh_cookie_secure:
            yield messages.error(
                "E032",
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


def _check_access_cookie() -> Iterator[CheckMessage]:
    name: Any = conf.access_cookie_name
    best = _best_access_cookie_name()
    reason = _find_problem(name, path="/")
    if reason:
        yield messages.error("E015", "ACCESS_COOKIE_NAME", reason, f'"{best}"')
        return
    if name == conf.refresh_cookie_name:
        reason = "is the refresh cookie's name, and the two would replace each other."
        yield messages.error("E060", "ACCESS_COOKIE_NAME", reason, f'"{best}"')
    if best.startswith("__Host-") and not name.lower().startswith("__host-"):
        yield messages.warning(
            "W060",
            f"JWT_AUTH_ACCESS_COOKIE_NAME is {name!r}: a sibling subdomain can plant a cookie of "
            "that name, with a token of an account of its own.",
            f'Write JWT_AUTH_ACCESS_COOKIE_NAME = "{best}"',
        )
    yield from _check_error_reports("ACCESS_COOKIE_NAME", best)
    if not any(map(_checks_csrf, settings.MIDDLEWARE)):
        yield messages.warning(
            "W061",
            "JWT_AUTH_ACCESS_COOKIE_NAME is set, and no middleware gives pages their CSRF token: "
            "whatever a page sends with the cookie, but GET, is refused.",
            'Write "django.middleware.csrf.CsrfViewMiddleware" into MIDDLEWARE',
        )


def _check_error_reports(setting: str, best: str) -> Iterator[CheckMessage]:
    """Whether Django's error mails show a cookie that a project's own views get, too."""
    name: str = getattr(conf, setting.lower())
    if get_default_exception_reporter_filter().cleanse_setting(name, _PROBE) == _PROBE:
        yield messages.warning(
            "W070",
            f"JWT_AUTH_{setting} is {name!r}: nothing in it tells Django's error reports that the "
            "cookie is a secret, so that mails to ADMINS show the token.",
            f'Write JWT_AUTH_{setting} = "{best}", or another name with "token" in it',
        )


def _best_access_cookie_name() -> str:
    """The name with the strictest prefix that the attributes allow (RFC 6265bis §4.1.3)."""
    if not conf.refresh_cookie_secure:
        return "access_token"
    prefix = "__Host-" if conf.refresh_cookie_domain is None else "__Secure-"
    return f"{prefix}access_token"


def _find_problem(name: object, *, path: str | None) -> str:
    """What is wrong with a cookie's name, as the end of a sentence; empty where nothing is."""
    if not isinstance(name, str) or not _COOKIE_NAME.fullmatch(name):
        return "must be a cookie's name."
    if Morsel().isReservedKey(name):
        return "is the name of a cookie's attribute, which Python makes no cookie of."
    if name in _names_of_django():
        return "is the name of a cookie of Django's, and the two would replace each other."
    # In lower case: browsers don't look at the prefix's case either.
    prefix = name.lower()
    if prefix.startswith("__secure-") and not conf.refresh_cookie_secure:
        return "starts with __Secure-, which browsers refuse without Secure."
    is_host_only = path == "/" and conf.refresh_cookie_domain is None
    if prefix.startswith("__host-") and not (conf.refresh_cookie_secure and is_host_only):
        return "starts with __Host-, which needs Secure, the path / and no domain."
    return ""


def _names_of_django() -> set[str]:
    return {
        settings.SESSION_COOKIE_NAME,
        settings.CSRF_COOKIE_NAME,
        settings.LANGUAGE_COOKIE_NAME,
        "messages",
    }


def _checks_csrf(middleware: str) -> bool:
    try:
        found = import_string(middleware)
    except ImportError:
        return False  # Django says so itself, at the first request
    return isinstance(found, type) and issubclass(found, CsrfViewMiddleware)


def _is_none_or(pattern: re.Pattern[str], value: object) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)
