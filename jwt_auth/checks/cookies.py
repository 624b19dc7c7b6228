"""The cookies: each attribute, then combinations that browsers refuse."""

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

from jwt_auth.check_messages import setting_error, setting_line, warning
from jwt_auth.conf import conf

#: A cookie's name is a token (RFC 6265 §4.1.1).
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_PATH: Final = re.compile(r"/[^;\x00-\x20\x7f]*")
#: A value that a filter replaces if it hides the cookie.
_PROBE: Final = "a value"
_COOKIE_DOMAIN: Final = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def check_cookie_types() -> Iterator[CheckMessage]:
    if not isinstance(conf.refresh_cookie_secure, bool):
        yield setting_error("E013", "REFRESH_COOKIE_SECURE", "must be True or False.")
    if not isinstance(conf.refresh_cookie_partitioned, bool):
        yield setting_error("E052", "REFRESH_COOKIE_PARTITIONED", "must be True or False.")
    if conf.refresh_cookie_samesite not in ("Strict", "Lax", "None"):  # a list can't be in a set
        yield setting_error("E014", "REFRESH_COOKIE_SAMESITE", 'must be "Strict", "Lax" or "None".')
    if not _is_none_or(_COOKIE_PATH, conf.refresh_cookie_path):
        yield setting_error(
            "E011", "REFRESH_COOKIE_PATH", "must be a path that starts with /, or None."
        )
    if not _is_none_or(_COOKIE_DOMAIN, conf.refresh_cookie_domain):
        yield setting_error("E012", "REFRESH_COOKIE_DOMAIN", "must be a host name, or None.")


def check_cookies_together() -> Iterator[CheckMessage]:
    best = conf.prefixed("refresh_token", conf.refresh_cookie_path)
    reason = _find_problem(conf.refresh_cookie_name, path=conf.refresh_cookie_path)
    if reason:
        yield setting_error("E010", "REFRESH_COOKIE_NAME", reason, f'"{best}"')
    elif conf.refresh_cookie_path == "/":
        yield from _check_error_reports("REFRESH_COOKIE_NAME", best)
    if conf.access_cookie_name is not None:
        yield from _check_access_cookie()
    if conf.refresh_cookie_partitioned and conf.refresh_cookie_samesite != "None":
        yield setting_error(
            "E053",
            "REFRESH_COOKIE_PARTITIONED",
            'requires JWT_AUTH_REFRESH_COOKIE_SAMESITE = "None": browsers send no other cookie '
            "from a frame on another site.",
        )
    if conf.refresh_cookie_samesite == "None":
        if not conf.refresh_cookie_secure:
            yield setting_error(
                "E032",
                "REFRESH_COOKIE_SAMESITE",
                'is "None", which browsers accept only with JWT_AUTH_REFRESH_COOKIE_SECURE.',
            )
        yield warning(
            "W003",
            'JWT_AUTH_REFRESH_COOKIE_SAMESITE is "None": browsers send the cookie from pages of '
            "other sites as well, and only the origin check refuses those requests.",
            setting_line("REFRESH_COOKIE_SAMESITE"),
        )


def _check_access_cookie() -> Iterator[CheckMessage]:
    name: Any = conf.access_cookie_name
    best = conf.prefixed("access_token", "/")
    reason = _find_problem(name, path="/")
    if reason:
        yield setting_error("E015", "ACCESS_COOKIE_NAME", reason, f'"{best}"')
        return
    if name == conf.refresh_cookie_name:
        reason = "is also the refresh cookie's name, so each would replace the other."
        yield setting_error("E060", "ACCESS_COOKIE_NAME", reason, f'"{best}"')
    if best.startswith("__Host-") and not name.lower().startswith("__host-"):
        yield warning(
            "W060",
            f"JWT_AUTH_ACCESS_COOKIE_NAME is {name!r}: an attacker on a sibling subdomain can "
            "plant a cookie of that name with a token of the attacker's account.",
            setting_line("ACCESS_COOKIE_NAME", f'"{best}"'),
        )
    yield from _check_error_reports("ACCESS_COOKIE_NAME", best)
    if not any(map(_checks_csrf, settings.MIDDLEWARE)):
        yield warning(
            "W061",
            "JWT_AUTH_ACCESS_COOKIE_NAME is set, but no middleware gives pages a CSRF token: "
            "every request with the cookie is refused unless it is a GET.",
            'Write "django.middleware.csrf.CsrfViewMiddleware" into MIDDLEWARE',
        )


def _check_error_reports(setting: str, best: str) -> Iterator[CheckMessage]:
    """Check that Django's error mails hide a cookie that the project's views get as well."""
    name: str = getattr(conf, setting.lower())
    if get_default_exception_reporter_filter().cleanse_setting(name, _PROBE) == _PROBE:
        yield warning(
            "W070",
            f"JWT_AUTH_{setting} is {name!r}. Django's error reports don't recognize that name as "
            "a secret's, so mails to ADMINS show the token.",
            setting_line(setting, f'"{best}"') + ', or another name that contains "token"',
        )


def _find_problem(name: object, *, path: str | None) -> str:
    """Say what is wrong with a cookie's name, as the end of a sentence, or return an empty text."""
    if not isinstance(name, str) or not _COOKIE_NAME.fullmatch(name):
        return "must be a cookie's name: letters, digits and some punctuation, but no space."
    if Morsel().isReservedKey(name):
        return "is the name of a cookie attribute, which Python accepts for no cookie."
    if name in _names_of_django():
        return "is also the name of one of Django's cookies, so each would replace the other."
    # In lower case, because browsers ignore the prefix's case as well.
    prefix = name.lower()
    if prefix.startswith("__secure-") and not conf.refresh_cookie_secure:
        return "starts with __Secure-, which browsers accept only with Secure."
    is_host_only = path == "/" and conf.refresh_cookie_domain is None
    if prefix.startswith("__host-") and not (conf.refresh_cookie_secure and is_host_only):
        return "starts with __Host-, which browsers accept only with Secure, path / and no domain."
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
        return False  # Django reports it at the first request
    return isinstance(found, type) and issubclass(found, CsrfViewMiddleware)


def _is_none_or(pattern: re.Pattern[str], value: object) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)
