"""Whether each setting has a value that can be worked with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from jwt_auth.conf import (
    ALGORITHMS,
    JWKS_MAX_AGE,
    MAX_ACCESS_TOKEN_LIFETIME,
    NAMES,
    THROTTLE_RATES,
    conf,
)
from jwt_auth.exceptions import KeyFailure
from jwt_auth.http.throttling import parse_rate
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.stateless import NoRevocation

#: A cookie's name is a token (RFC 6265 §4.1.1).
_COOKIE_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_COOKIE_PATH: Final = re.compile(r"/[^;\x00-\x20\x7f]*")
_COOKIE_DOMAIN: Final = re.compile(r"\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Duration:
    id: str
    setting: str
    at_least: timedelta
    at_most: timedelta
    example: str


_SECOND, _MINUTE, _HOUR, _DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
_ZERO: Final = timedelta(0)

_DURATIONS: Final = (
    _Duration(
        id="E004",
        setting="ACCESS_TOKEN_LIFETIME",
        at_least=_MINUTE,
        at_most=MAX_ACCESS_TOKEN_LIFETIME,
        example="timedelta(minutes=15)",
    ),
    _Duration(
        id="E005",
        setting="REFRESH_TOKEN_LIFETIME",
        at_least=_HOUR,
        at_most=365 * _DAY,
        example="timedelta(days=7)",
    ),
    _Duration(
        id="E006",
        setting="SESSION_LIFETIME",
        at_least=_HOUR,
        at_most=365 * _DAY,
        example="timedelta(days=30)",
    ),
    _Duration(
        id="E007", setting="CLOCK_LEEWAY", at_least=_ZERO, at_most=_MINUTE, example="timedelta(0)"
    ),
    _Duration(
        id="E008",
        setting="REFRESH_RETRY_WINDOW",
        at_least=_ZERO,
        at_most=300 * _SECOND,
        example="timedelta(seconds=60)",
    ),
    _Duration(
        id="E009",
        setting="REFRESH_REUSE_LEEWAY",
        at_least=_ZERO,
        at_most=_MINUTE,
        example="timedelta(0)",
    ),
    _Duration(
        id="E017",
        setting="KEY_ROTATION_INTERVAL",
        at_least=_HOUR,
        at_most=3650 * _DAY,
        example="timedelta(days=90)",
    ),
    _Duration(
        id="E018",
        setting="KEY_PUBLISH_AHEAD",
        at_least=_ZERO,
        at_most=30 * _DAY,
        example="timedelta(minutes=10)",
    ),
    _Duration(
        id="E019",
        setting="KEY_RELOAD_INTERVAL",
        at_least=_SECOND,
        at_most=_DAY,
        example="timedelta(seconds=60)",
    ),
)


def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Every problem at once, so that nobody has to start twice to see the second one."""
    messages: list[CheckMessage] = []
    for check in _CHECKS:
        messages += check()
    return messages


def _error(number: str, setting: str, reason: str, line: str) -> Error:
    return Error(
        f"JWT_AUTH_{setting} {reason}",
        hint=f"Write JWT_AUTH_{setting} = {line}",
        id=f"jwt_auth.{number}",
    )


def _warning(number: str, message: str, hint: str) -> Warning:
    return Warning(message, hint=hint, id=f"jwt_auth.{number}")


def _check_names() -> Iterator[CheckMessage]:
    for name in sorted(set(dir(settings)) - NAMES):
        if name.startswith("JWT_AUTH_"):
            near = get_close_matches(name, NAMES, n=1, cutoff=0)[0]
            yield Error(
                f"{name} is not a setting of jwt_auth.",
                hint=f"Did you mean {near}? Else remove the line.",
                id="jwt_auth.E026",
            )


def _check_texts() -> Iterator[CheckMessage]:
    if not isinstance(conf.issuer, str) or not conf.issuer:
        yield _error(
            "E001",
            "ISSUER",
            "must be a string that names who issues the tokens, most often this site's address.",
            '"https://api.example.com"',
        )
    audience = conf.audience
    texts = audience if isinstance(audience, list | tuple) else [audience]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        yield _error(
            "E002",
            "AUDIENCE",
            "must be a string, or a list of strings, that names the API that the tokens are for.",
            '"example-api"',
        )
    if conf.algorithm not in ALGORITHMS:
        yield _error("E003", "ALGORITHM", f"must be one of {', '.join(ALGORITHMS)}.", '"ES256"')
    if not isinstance(conf.client_id, str) or not conf.client_id:
        yield _error("E027", "CLIENT_ID", "must be a string.", '"web"')


def _check_durations() -> Iterator[CheckMessage]:
    for duration in _DURATIONS:
        value = getattr(conf, duration.setting.lower())
        if not isinstance(value, timedelta):
            reason = "must be a datetime.timedelta."
        elif not duration.at_least <= value <= duration.at_most:
            reason = f"must be from {duration.at_least} to {duration.at_most}, and is {value}."
        else:
            continue
        yield _error(duration.id, duration.setting, reason, duration.example)


def _check_durations_together() -> Iterator[CheckMessage]:
    if any(_check_durations()):
        return
    if conf.session_lifetime < conf.refresh_token_lifetime:
        yield _error(
            "E006",
            "SESSION_LIFETIME",
            "must not be shorter than JWT_AUTH_REFRESH_TOKEN_LIFETIME.",
            "timedelta(days=30)",
        )
    needed = JWKS_MAX_AGE + conf.key_reload_interval
    if conf.key_publish_ahead < needed:
        yield _error(
            "E018",
            "KEY_PUBLISH_AHEAD",
            f"must be at least {needed}: the JWK Set's max-age and JWT_AUTH_KEY_RELOAD_INTERVAL, "
            "else a key signs before every verifier has it.",
            f"timedelta(seconds={int(needed.total_seconds())})",
        )
    if conf.access_token_lifetime > timedelta(minutes=30):
        yield _warning(
            "W001",
            "JWT_AUTH_ACCESS_TOKEN_LIFETIME is over 30 minutes: a thief has a token for so long.",
            "Write JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)",
        )
    if conf.refresh_token_lifetime > timedelta(days=30):
        yield _warning(
            "W002",
            "JWT_AUTH_REFRESH_TOKEN_LIFETIME is over 30 days.",
            "Write JWT_AUTH_REFRESH_TOKEN_LIFETIME = timedelta(days=7)",
        )


def _check_cookie_types() -> Iterator[CheckMessage]:
    if not isinstance(conf.refresh_cookie_secure, bool):
        yield _error("E013", "REFRESH_COOKIE_SECURE", "must be True or False.", "True")
    if conf.refresh_cookie_samesite not in ("Strict", "Lax", "None"):  # a list can't be in a set
        yield _error(
            "E014", "REFRESH_COOKIE_SAMESITE", 'must be "Strict", "Lax" or "None".', '"Strict"'
        )
    if not _is_none_or(_COOKIE_PATH, conf.refresh_cookie_path):
        yield _error("E011", "REFRESH_COOKIE_PATH", "must be a path, or None.", '"/api/auth/"')
    if not _is_none_or(_COOKIE_DOMAIN, conf.refresh_cookie_domain):
        yield _error("E012", "REFRESH_COOKIE_DOMAIN", "must be a host name, or None.", "None")
    if not _is_none_or(_COOKIE_NAME, conf.access_cookie_name):
        yield _error("E015", "ACCESS_COOKIE_NAME", "must be a cookie's name, or None.", "None")


def _check_cookies_together() -> Iterator[CheckMessage]:
    if any(_check_cookie_types()):
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
    elif name == conf.access_cookie_name:
        reason = "must differ from JWT_AUTH_ACCESS_COOKIE_NAME."
    else:
        reason = ""
    if reason:
        yield _error("E010", "REFRESH_COOKIE_NAME", reason, '"__Secure-refresh_token"')
    if conf.refresh_cookie_samesite == "None":
        if not conf.refresh_cookie_secure:
            yield _error(
                "E014",
                "REFRESH_COOKIE_SAMESITE",
                'is "None", which browsers refuse without JWT_AUTH_REFRESH_COOKIE_SECURE.',
                '"Strict"',
            )
        yield _warning(
            "W003",
            'JWT_AUTH_REFRESH_COOKIE_SAMESITE is "None": pages of other sites send the cookie, '
            "too, and only the origin check stands between them and it.",
            'Write JWT_AUTH_REFRESH_COOKIE_SAMESITE = "Strict"',
        )


def _check_backends() -> Iterator[CheckMessage]:
    if conf.jwks_url is None:
        yield from _check_backend(
            "E016",
            "KEY_STORE",
            conf.key_store,
            get_key_store,
            '{"BACKEND": "jwt_auth.keys.stores.file.FileKeyStore", '
            '"OPTIONS": {"PATH": "/etc/example/keys"}}',
        )
    problems = list(
        _check_backend(
            "E020",
            "REVOCATION",
            conf.revocation,
            get_backend,
            '{"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}',
        )
    )
    yield from problems
    if problems:
        return
    yield from get_backend().check()
    if not isinstance(get_backend(), NoRevocation):
        return
    lifetime = conf.access_token_lifetime
    if isinstance(lifetime, timedelta) and lifetime > timedelta(minutes=15):
        yield _warning(
            "W005",
            "JWT_AUTH_REVOCATION lets access tokens live to their end, over 15 minutes.",
            "Write JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)",
        )


def _check_backend(
    number: str, setting: str, value: Any, build: Callable[[], object], line: str
) -> Iterator[CheckMessage]:
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("BACKEND"), str)
        or not isinstance(value.get("OPTIONS", {}), dict)
        or not value.keys() <= {"BACKEND", "OPTIONS"}
    ):
        yield _error(
            number, setting, "must be a dict with BACKEND, a dotted path, and maybe OPTIONS.", line
        )
        return
    try:
        build()
    except (ImproperlyConfigured, KeyFailure) as error:
        yield _error(number, setting, f"can't be used: {error}", line)
    except Exception as error:  # noqa: BLE001  a backend may raise anything, and quote an option
        yield _error(number, setting, f"can't be used: {type(error).__name__}.", line)


def _check_callables() -> Iterator[CheckMessage]:
    for number, setting, path in (("E021", "CLAIMS", conf.claims), ("E022", "ROLES", conf.roles)):
        if path is None:
            continue
        try:
            found = import_string(path)
        except (ImportError, AttributeError, TypeError, ValueError):
            found = None
        if not callable(found):
            yield _error(
                number,
                setting,
                "must be the dotted path of a callable that takes the user, or None.",
                '"example.accounts.claims_of"',
            )


def _check_numbers() -> Iterator[CheckMessage]:
    limit = conf.max_sessions_per_user
    if limit is not None and (type(limit) is not int or limit < 1):
        yield _error("E024", "MAX_SESSIONS_PER_USER", "must be 1 or more, or None.", "None")
    url = conf.jwks_url
    if url is None:
        return
    if not isinstance(url, str) or not _is_address(url):
        yield _error(
            "E023",
            "JWKS_URL",
            "must be the address of a JWK Set, or None.",
            '"https://auth.example.com/.well-known/jwks.json"',
        )


def _check_throttles() -> Iterator[CheckMessage]:
    example = '{"login_account": "5/min"}'
    own = getattr(settings, "JWT_AUTH_THROTTLE_RATES", {})
    if not isinstance(own, dict) or not own.keys() <= THROTTLE_RATES.keys():
        names = ", ".join(THROTTLE_RATES)
        yield _error(
            "E025", "THROTTLE_RATES", f"must be a dict with some of the names {names}.", example
        )
        return
    for scope, rate in own.items():
        if rate is None:
            yield _warning(
                "W004",
                f"JWT_AUTH_THROTTLE_RATES turns {scope} off: nothing slows a guesser down there.",
                f'Write JWT_AUTH_THROTTLE_RATES = {{"{scope}": "{THROTTLE_RATES[scope]}"}}',
            )
            continue
        try:
            parse_rate(rate)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            yield _error(
                "E025", "THROTTLE_RATES", f'must give {scope} a rate such as "5/min".', example
            )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"https", "http"} and bool(parts.hostname)


def _is_none_or(pattern: re.Pattern[str], value: object) -> bool:
    return value is None or (isinstance(value, str) and pattern.fullmatch(value) is not None)


_CHECKS: Final = (
    _check_names,
    _check_texts,
    _check_durations,
    _check_durations_together,
    _check_cookie_types,
    _check_cookies_together,
    _check_backends,
    _check_callables,
    _check_numbers,
    _check_throttles,
)
