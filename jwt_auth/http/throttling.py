"""Counters that slow a guesser down: per account and per address apart, and refreshes per session.

Rates are REST framework's (``"5/min"``), the counters atomic increments in the default cache, so
that a burst of simultaneous requests is counted whole. A window begins with its first attempt. With
a cache that is down nobody is locked out, and the log says so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from django.core.cache import cache
from rest_framework.exceptions import Throttled
from rest_framework.throttling import SimpleRateThrottle

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.http.addresses import network_of
from jwt_auth.http.username_spellings import count_names
from jwt_auth.models import Client
from jwt_auth.tokens.refresh import RefreshToken
from jwt_auth.users import current_tenant

logger: Final = logging.getLogger("jwt_auth")


def count_login(username: str, client: Client, *, now: float) -> list[str]:
    """Count a guess at a password, by the account's name and by where the guess came from.

    Gives the account's counters, for :func:`take_back`.

    Raises:
        Throttled: too many of either.
    """
    if client.ip_address is not None:
        count("login_address", network_of(client.ip_address), now=now)
    counters = [count("login_account", name, now=now) for name in count_names(username)]
    return [counter for counter in counters if counter is not None]


def take_back(counters: Sequence[str]) -> None:
    """Take an attempt back whose password was right. The address keeps its count.

    The attempts before stay counted: they may be a guesser's, whom no log-in of the account's owner
    may give more.
    """
    for counter in counters:
        try:
            cache.decr(counter)
        except ValueError:
            continue  # the window has ended
        except Exception as error:  # noqa: BLE001  as in count()
            _log_failure(type(error).__name__)
            return


def count_refresh(token: RefreshToken, *, now: float) -> None:
    """Count a refresh by its session, which only a genuine token can name.

    Raises:
        Throttled: the session was refreshed too often.
    """
    count("refresh", str(token.family_id), now=now)


def count(scope: str, ident: str, *, now: float) -> str | None:
    """Count one attempt of ``ident``, ``now`` in seconds since the epoch.

    Gives the key of the counter; ``None`` where none counts.

    Raises:
        Throttled: more than the rate of ``scope`` allows, with the seconds until the window ends.
    """
    rate = conf.throttle_rates.get(scope)
    if rate is None:
        return None
    limit, period = parse_rate(rate)
    key = _key(scope, ident)  # an error of JWT_AUTH_TENANT is none of the cache
    try:
        started = _window(key, period=period, now=now)
        counter = f"{key}:{started}"
        cache.add(counter, 0, timeout=period)
        attempts = _incremented(counter)
    except Exception as error:  # noqa: BLE001  a cache's client may raise anything
        # A log-in must not answer 500 because a counter is away.
        _log_failure(type(error).__name__)
        return None
    if attempts is None:
        _log_failure("it gave no count")
        return None
    if attempts > limit:
        signals.attempt_throttled.send_robust(sender=Throttled, scope=scope, ident=_digest(ident))
        raise Throttled(wait=max(1, math.ceil(started + period - now)))
    return counter


def _incremented(counter: str) -> int | None:
    """The new count. A cache that swallows its errors, as django-redis can, gives ``None``."""
    try:
        return cache.incr(counter)
    except ValueError:
        return 0  # it expired between the two steps: as good as a first attempt


def _log_failure(reason: str) -> None:
    # Not the error's text, nor a traceback: a client may quote a part of the cache's password.
    logger.error("The cache is not available (%s): attempts are not being throttled.", reason)


def _window(key: str, *, period: int, now: float) -> float:
    """When the window began: at its first attempt, in whichever process that was."""
    started = cache.get(key)
    if started is None:
        cache.add(key, now, timeout=period)
        started = cache.get(key, now)
    return float(started)


def parse_rate(rate: str) -> tuple[int, int]:
    """Attempts and the seconds that they are for, from ``"5/min"``.

    Raises:
        ValueError, KeyError: not a rate.
    """
    limit, period = _RateParser().parse_rate(rate)
    if limit is None or period is None or limit < 1:
        raise ValueError("A rate is a positive number, a slash and a period.")
    return limit, period


class _RateParser(SimpleRateThrottle):
    rate = "1/day"  # else the constructor asks for REST framework's own rates


def _key(scope: str, ident: str) -> str:
    # Of each tenant by itself: user 1 of one is not user 1 of another.
    return f"jwt_auth:throttle:{scope}:{_digest(f'{current_tenant()} {ident}')}"


def _digest(ident: str) -> str:
    # A user name may be an address that the cache has no business to hold, and may be of any
    # length.
    return sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:32]
