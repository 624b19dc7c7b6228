"""Count attempts in windows of time, in the default cache, so that all processes count together.

The counters are atomic increments, so every request of a burst is counted. A window begins with its
first attempt. While the cache is unavailable, no attempt is counted, and the log says so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.core.cache import cache
from django.utils.crypto import salted_hmac

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.users import current_tenant

logger: Final = logging.getLogger("jwt_auth")

#: Seconds of the periods that a rate may name, by their first letter, as REST framework reads them.
_PERIODS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One counted attempt."""

    #: The key of the counter, for :func:`take_back`.
    counter: str
    #: Seconds until the window ends, if the attempt exceeds the rate.
    retry_after: int | None


def count(scope: str, ident: str, *, now: float) -> Attempt | None:
    """Count one attempt of ``ident``; ``now`` is in seconds since the epoch.

    ``None`` means that it isn't counted, because the rate of ``scope`` is off or the cache is
    unavailable. An attempt over the rate sends ``attempt_throttled``.
    """
    rate = conf.throttle_rates.get(scope)
    if rate is None:
        return None
    limit, period = parse_rate(rate)
    key = _key(scope, ident)  # outside of the try: an error in JWT_AUTH_TENANT isn't the cache's
    try:
        started = _window(key, period=period, now=now)
        counter = f"{key}:{started}"
        cache.add(counter, 0, timeout=period)
        attempts = _incremented(counter)
    except Exception as error:  # noqa: BLE001  a cache's client may raise anything
        # A login must not answer 500 because the cache is unavailable.
        _log_failure(type(error).__name__)
        return None
    if attempts is None:
        _log_failure("it returned no count")
        return None
    if attempts <= limit:
        return Attempt(counter=counter, retry_after=None)
    signals.attempt_throttled.send_robust(sender=Attempt, scope=scope, ident=_digest(ident))
    return Attempt(counter=counter, retry_after=max(1, math.ceil(started + period - now)))


def take_back(counters: Sequence[str]) -> None:
    """Don't count these attempts after all."""
    for counter in counters:
        try:
            cache.decr(counter)
        except ValueError:
            continue  # the window has ended
        except Exception as error:  # noqa: BLE001  as in count()
            _log_failure(type(error).__name__)
            return


def parse_rate(rate: str) -> tuple[int, int]:
    """Parse a rate such as ``"5/min"`` into a number of attempts and a period in seconds.

    Raises:
        ValueError, KeyError: not a rate.
    """
    number, _, period = rate.partition("/")
    limit = int(number)
    if limit < 1:
        raise ValueError("A rate is a positive number, a slash and a period.")
    return limit, _PERIODS[period[:1]]


def _incremented(counter: str) -> int | None:
    """Return the new count; ``None`` from a cache that ignores errors, as django-redis can."""
    try:
        return cache.incr(counter)
    except ValueError:
        return 0  # the counter expired after add(): this is like a first attempt


def _window(key: str, *, period: int, now: float) -> float:
    """When the window began: at its first attempt, in this process or in another one."""
    started = cache.get(key)
    if started is None:
        cache.add(key, now, timeout=period)
        started = cache.get(key, now)
    return float(started)


def _key(scope: str, ident: str) -> str:
    # Separate for each tenant: user 1 of one tenant is not user 1 of another.
    return f"jwt_auth:throttle:{scope}:{_digest(f'{current_tenant()} {ident}')}"


def _digest(ident: str) -> str:
    # A user name may be an email address, and may have any length. With a key: whoever reads the
    # cache or the log could otherwise try out addresses.
    value = ident.encode("utf-8", "surrogatepass")
    return salted_hmac(__name__, value, algorithm="sha256").hexdigest()[:32]


def _log_failure(reason: str) -> None:
    # Neither the error's text nor a traceback: a client may quote a part of the cache's password.
    logger.error("The cache is not available (%s): attempts are not being throttled.", reason)
