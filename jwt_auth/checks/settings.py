"""Whether each setting has a value that can be worked with."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error

from jwt_auth.checks import messages
from jwt_auth.checks.backends import (
    check_backends,
    check_callables,
    check_databases,
    check_signer,
)
from jwt_auth.checks.cookies import check_cookie_types, check_cookies_together
from jwt_auth.checks.cross_origin import check_cross_origin
from jwt_auth.checks.durations import check_durations, check_durations_together
from jwt_auth.conf import (
    ALGORITHMS,
    NAMES,
    THROTTLE_RATES,
    conf,
)
from jwt_auth.http.throttling import parse_rate


def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Every problem at once, so that nobody has to start twice to see the second one."""
    found: list[CheckMessage] = []
    for check in _CHECKS:
        found += check()
    return found


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
        yield messages.error(
            "E001",
            "ISSUER",
            "must be a string that names who issues the tokens, most often this site's address.",
            '"https://api.example.com"',
        )
    audience = conf.audience
    texts = audience if isinstance(audience, list | tuple) else [audience]
    if not texts or not all(isinstance(text, str) and text for text in texts):
        yield messages.error(
            "E002",
            "AUDIENCE",
            "must be a string, or a list of strings, that names the API that the tokens are for.",
            '"example-api"',
        )
    if conf.algorithm not in ALGORITHMS:
        yield messages.error(
            "E003", "ALGORITHM", f"must be one of {', '.join(ALGORITHMS)}.", '"ES256"'
        )
    if not isinstance(conf.client_id, str) or not conf.client_id:
        yield messages.error("E027", "CLIENT_ID", "must be a string.", '"web"')


def _check_numbers() -> Iterator[CheckMessage]:
    limit = conf.max_sessions_per_user
    if limit is not None and (type(limit) is not int or limit < 1):
        yield messages.error("E024", "MAX_SESSIONS_PER_USER", "must be 1 or more, or None.", "None")


def _check_throttles() -> Iterator[CheckMessage]:
    example = '{"login_account": "5/min"}'
    own = getattr(settings, "JWT_AUTH_THROTTLE_RATES", {})
    if not isinstance(own, dict) or not own.keys() <= THROTTLE_RATES.keys():
        names = ", ".join(THROTTLE_RATES)
        yield messages.error(
            "E025", "THROTTLE_RATES", f"must be a dict with some of the names {names}.", example
        )
        return
    for scope, rate in own.items():
        if rate is None:
            yield messages.warning(
                "W004",
                f"JWT_AUTH_THROTTLE_RATES turns {scope} off: nothing slows a guesser down there.",
                f'Write JWT_AUTH_THROTTLE_RATES = {{"{scope}": "{THROTTLE_RATES[scope]}"}}',
            )
            continue
        try:
            parse_rate(rate)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            yield messages.error(
                "E036", "THROTTLE_RATES", f'must give {scope} a rate such as "5/min".', example
            )


#: Settings of what is planned: to take one in silence would be to promise it.
_PLANNED: Final = (("E023", "JWKS_URL"),)


def _check_planned() -> Iterator[CheckMessage]:
    for number, setting in _PLANNED:
        if getattr(conf, setting.lower()) is not None:
            reason = "does nothing in this version, and must be None."
            yield messages.error(number, setting, reason, "None")


_CHECKS: Final = (
    _check_names,
    _check_texts,
    check_durations,
    check_durations_together,
    check_cookie_types,
    check_cookies_together,
    check_cross_origin,
    check_backends,
    check_signer,
    check_callables,
    check_databases,
    _check_numbers,
    _check_throttles,
    _check_planned,
)
