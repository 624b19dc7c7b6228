"""The lifetimes and intervals: each within its limits, then those that depend on each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.core.checks import CheckMessage

from jwt_auth.check_messages import setting_error, setting_line, warning
from jwt_auth.conf import (
    CLOCK_DIFFERENCE,
    JWKS_MAX_AGE,
    MAX_ACCESS_TOKEN_LIFETIME,
    MAX_KEY_PUBLISH_AHEAD,
    MAX_LIFETIME,
    MAX_ONE_TIME_TOKEN_LIFETIME,
    MIN_REFRESH_TOKEN_LIFETIME,
    conf,
)

_ZERO, _SECOND, _MINUTE, _HOUR, _DAY = (
    timedelta(0),
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)

#: Id, setting, the least and the most.
_LIMITS: Final = (
    ("E004", "ACCESS_TOKEN_LIFETIME", _MINUTE, MAX_ACCESS_TOKEN_LIFETIME),
    ("E005", "REFRESH_TOKEN_LIFETIME", MIN_REFRESH_TOKEN_LIFETIME, MAX_LIFETIME),
    ("E006", "SESSION_LIFETIME", MIN_REFRESH_TOKEN_LIFETIME, MAX_LIFETIME),
    ("E007", "CLOCK_LEEWAY", _ZERO, _MINUTE),
    ("E008", "REFRESH_RETRY_WINDOW", _ZERO, 300 * _SECOND),
    ("E009", "REFRESH_REUSE_LEEWAY", _ZERO, _MINUTE),
    ("E017", "KEY_ROTATION_INTERVAL", _HOUR, 3650 * _DAY),
    ("E018", "KEY_PUBLISH_AHEAD", _ZERO, MAX_KEY_PUBLISH_AHEAD),
    ("E019", "KEY_RELOAD_INTERVAL", _SECOND, _DAY),
    ("E105", "PASSWORD_RESET_LIFETIME", _MINUTE, MAX_ONE_TIME_TOKEN_LIFETIME),
    ("E106", "EMAIL_CONFIRMATION_LIFETIME", _MINUTE, MAX_ONE_TIME_TOKEN_LIFETIME),
    ("E082", "JWKS_MAX_STALENESS", 10 * _MINUTE, 30 * _DAY),
)


def check_durations() -> Iterator[CheckMessage]:
    for number, setting, least, most in _LIMITS:
        value = getattr(conf, setting.lower())
        if not isinstance(value, timedelta):
            yield setting_error(number, setting, "must be a datetime.timedelta.")
        elif not least <= value <= most:
            yield setting_error(
                number, setting, f"must be between {least} and {most}, but is {value}."
            )


def check_durations_together() -> Iterator[CheckMessage]:
    if conf.session_lifetime < conf.refresh_token_lifetime:
        yield setting_error(
            "E031", "SESSION_LIFETIME", "must not be shorter than JWT_AUTH_REFRESH_TOKEN_LIFETIME."
        )
    if conf.jwks_url is None:
        yield from _check_publish_ahead()
    else:
        yield from _check_staleness()
    if conf.access_token_lifetime > 30 * _MINUTE:
        yield warning(
            "W001",
            "JWT_AUTH_ACCESS_TOKEN_LIFETIME is longer than 30 minutes: a stolen token can be used "
            "for that long.",
            setting_line("ACCESS_TOKEN_LIFETIME"),
        )
    if conf.refresh_token_lifetime > 30 * _DAY:
        yield warning(
            "W002",
            "JWT_AUTH_REFRESH_TOKEN_LIFETIME is longer than 30 days: a stolen refresh token of an "
            "idle session can be used for that long.",
            setting_line("REFRESH_TOKEN_LIFETIME"),
        )


def _check_publish_ahead() -> Iterator[CheckMessage]:
    needed = JWKS_MAX_AGE + conf.key_reload_interval
    safe = needed + CLOCK_DIFFERENCE
    if conf.key_publish_ahead < needed:
        yield setting_error(
            "E033",
            "KEY_PUBLISH_AHEAD",
            f"must be at least {needed}, the JWK Set's max-age plus "
            "JWT_AUTH_KEY_RELOAD_INTERVAL. Otherwise a key signs before every verifier has it.",
            _in_seconds(needed),
        )
    elif conf.key_publish_ahead < safe:
        yield warning(
            "W055",
            "JWT_AUTH_KEY_PUBLISH_AHEAD allows for no difference between clocks: a node that is a "
            "minute ahead signs with a key that a verifier may not have yet.",
            setting_line("KEY_PUBLISH_AHEAD", _in_seconds(safe)),
        )


def _check_staleness() -> Iterator[CheckMessage]:
    needed = 2 * conf.key_reload_interval
    if conf.jwks_max_staleness < needed:
        yield setting_error(
            "E083",
            "JWKS_MAX_STALENESS",
            f"must be at least {needed}, twice JWT_AUTH_KEY_RELOAD_INTERVAL. Otherwise the keys"
            " are too old to be used before they are loaded again.",
            _in_seconds(needed),
        )


def _in_seconds(duration: timedelta) -> str:
    return f"timedelta(seconds={int(duration.total_seconds())})"
