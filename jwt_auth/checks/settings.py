"""The checks of values: their order, and those too small for a separate module."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage

from jwt_auth.check_messages import error, setting_error, setting_line, warning
from jwt_auth.checks.backends import (
    check_cache_location,
    check_databases,
    check_device_names,
    check_key_store,
    check_local_user,
    check_revocation,
    check_signer,
    check_verify_only_revocation,
)
from jwt_auth.checks.callables import check_callables
from jwt_auth.checks.cookies import check_cookie_types, check_cookies_together
from jwt_auth.checks.cross_origin import check_cross_origin
from jwt_auth.checks.durations import check_durations, check_durations_together
from jwt_auth.checks.mail import check_mail_dispatcher
from jwt_auth.checks.mail_links import check_mail_links
from jwt_auth.conf import ALGORITHMS, DEFAULTS, NAMES, PREFIX, conf
from jwt_auth.counting import parse_rate
from jwt_auth.fetching import find_fault
from jwt_auth.startup import this_process

#: What the hint shows as the address of a key set.
_KEY_SET: Final = "https://auth.example.com/.well-known/jwks.json"


def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    """Find every problem in one run, so that a project can mend them all before the next start."""
    found: list[CheckMessage] = []
    for first, *others in _CHECKS:
        problems = list(first())
        for check in others if not problems else ():
            problems += check()
        # The throttles and the revocation backend may share a cache, and its problems.
        found += [each for each in problems if each not in found]
    return found


def _check_names() -> Iterator[CheckMessage]:
    for name in sorted(set(dir(settings)) - NAMES):
        if name.startswith(PREFIX):
            near = get_close_matches(name, NAMES, n=1, cutoff=0)[0]
            yield error(
                "E026",
                f"{name} is not a setting of jwt_auth.",
                f"Did you mean {near}? Otherwise remove the line.",
            )


def _check_texts() -> Iterator[CheckMessage]:
    if not _is_text(conf.issuer):
        yield setting_error(
            "E001",
            "ISSUER",
            "must be a string that names the issuer of the tokens, usually this site's address.",
            '"https://api.example.com"',
        )
    audience = conf.audience
    texts = audience if isinstance(audience, list | tuple) else [audience]
    if not texts or not all(map(_is_text, texts)):
        yield setting_error(
            "E002",
            "AUDIENCE",
            "must be a string, or a list of strings, that names the API that accepts the tokens.",
            '"example-api"',
        )
    if conf.algorithm not in ALGORITHMS:
        yield setting_error("E003", "ALGORITHM", f"must be one of {', '.join(ALGORITHMS)}.")
    if not _is_text(conf.client_id):
        yield setting_error("E027", "CLIENT_ID", "must be a string that is not empty.")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _check_numbers() -> Iterator[CheckMessage]:
    limit = conf.max_sessions_per_user
    if limit is not None and (type(limit) is not int or limit < 1):
        yield setting_error(
            "E024", "MAX_SESSIONS_PER_USER", "must be a whole number from 1 on, or None."
        )
    if type(conf.deny_feed) is not bool:
        yield setting_error("E098", "DENY_FEED", "must be True or False.")


def _check_throttles() -> Iterator[CheckMessage]:
    defaults = DEFAULTS["THROTTLE_RATES"]
    example = '{"login_account": "5/min"}'
    given = getattr(settings, "JWT_AUTH_THROTTLE_RATES", {})
    if not isinstance(given, dict) or not given.keys() <= defaults.keys():
        yield setting_error(
            "E025",
            "THROTTLE_RATES",
            f"must be a dict with names from this list only: {', '.join(defaults)}.",
            example,
        )
        return
    for scope, rate in given.items():
        if rate is None:
            yield warning(
                "W004",
                f"JWT_AUTH_THROTTLE_RATES turns the throttle {scope} off: an attacker can try "
                "there as often as the server answers.",
                setting_line("THROTTLE_RATES", f'{{"{scope}": "{defaults[scope]}"}}'),
            )
            continue
        try:
            parse_rate(rate)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            yield setting_error(
                "E036", "THROTTLE_RATES", f'must give {scope} a rate such as "5/min".', example
            )


def _check_jwks_url() -> Iterator[CheckMessage]:
    if conf.jwks_url is None:
        return
    if fault := find_fault(conf.jwks_url):
        yield setting_error("E080", "JWKS_URL", f"{fault}.", f'"{_KEY_SET}"')
        return
    if this_process().command == "test":
        return  # with keys in memory, tests sign the tokens that the service verifies
    for setting in ("KEY_STORE", "KEY_SIGNER"):
        # An error: a service that issues tokens must not stop doing so because of one line.
        if getattr(settings, PREFIX + setting, None) is not None:
            yield error(
                "E081",
                f"JWT_AUTH_JWKS_URL and JWT_AUTH_{setting} are both set, but a service either"
                " verifies with the issuer's public keys or has private keys.",
                f"Write {PREFIX}{setting} = None here, or {PREFIX}JWKS_URL = None at the issuer",
            )


#: In each group, the others run only if the first has found nothing: they rely on its types.
_CHECKS: Final = (
    (_check_names,),
    (_check_texts,),
    (check_durations, check_durations_together),
    (check_cookie_types, check_cookies_together, check_cross_origin),
    (check_key_store,),
    (check_revocation, check_verify_only_revocation),
    (check_cache_location,),
    (check_signer,),
    (check_callables, check_local_user, check_device_names),
    (check_databases,),
    (check_mail_dispatcher,),
    (_check_numbers,),
    (_check_throttles,),
    (check_mail_links,),
    (_check_jwks_url,),
)
