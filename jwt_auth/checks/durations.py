"""How long things last: each by itself, then what must hold between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.core.checks import CheckMessage

from jwt_auth.checks import messages
from jwt_auth.conf import (
    CLOCK_DIFFERENCE,
    JWKS_MAX_AGE,
    MAX_ACCESS_TOKEN_LIFETIME,
    MAX_KEY_PUBLISH_AHEAD,
    conf,
)


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
        at_most=MAX_KEY_PUBLISH_AHEAD,
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


def check_durations() -> Iterator[CheckMessage]:
    for duration in _DURATIONS:
        value = getattr(conf, duration.setting.lower())
        if not isinstance(value, timedelta):
            reason = "must be a datetime.timedelta."
        elif not duration.at_least <= value <= duration.at_most:
            reason = f"must be from {duration.at_least} to {duration.at_most}, and is {value}."
        else:
            continue
        yield messages.error(duration.id, duration.setting, reason, duration.example)


def check_durations_together() -> Iterator[CheckMessage]:
    if any(check_durations()):
        return
    if conf.session_lifetime < conf.refresh_token_lifetime:
        yield messages.error(
            "E031",
            "SESSION_LIFETIME",
            "must not be shorter than JWT_AUTH_REFRESH_TOKEN_LIFETIME.",
            "timedelta(days=30)",
        )
    needed = JWKS_MAX_AGE + conf.key_reload_interval
    if conf.key_publish_ahead < needed:
        yield messages.error(
            "E033",
            "KEY_PUBLISH_AHEAD",
            f"must be at least {needed}: the JWK Set's max-age and JWT_AUTH_KEY_RELOAD_INTERVAL, "
            "else a key signs before every verifier has it.",
            f"timedelta(seconds={int(needed.total_seconds())})",
        )
    elif conf.key_publish_ahead < needed + CLOCK_DIFFERENCE:
        yield messages.warning(
            "W055",
            "JWT_AUTH_KEY_PUBLISH_AHEAD leaves nothing for clocks that differ: a node that is a"
            " minute ahead signs with a key that a verifier may not have yet.",
            "Write JWT_AUTH_KEY_PUBLISH_AHEAD = "
            f"timedelta(seconds={int((needed + CLOCK_DIFFERENCE).total_seconds())})",
        )
    if conf.access_token_lifetime > timedelta(minutes=30):
        yield messages.warning(
            "W001",
            "JWT_AUTH_ACCESS_TOKEN_LIFETIME is over 30 minutes: a thief has a token for so long.",
            "Write JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=15)",
        )
    if conf.refresh_token_lifetime > timedelta(days=30):
        yield messages.warning(
            "W002",
            "JWT_AUTH_REFRESH_TOKEN_LIFETIME is over 30 days.",
            "Write JWT_AUTH_REFRESH_TOKEN_LIFETIME = timedelta(days=7)",
        )
