"""Throttle login attempts, per account and per address, refreshes, per session, wrong secrets of
service clients, per address, and mails, per recipient and per address.

Rates have REST framework's form (``"5/min"``). The counters are atomic increments in the default
cache, so every request of a burst is counted. A window begins with its first attempt. While the
cache is unavailable, no attempt is refused, and the log says so.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Final
from unicodedata import normalize

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
    """Count a login attempt, by the account's name and by the client's address.

    Returns the account's counters, for :func:`take_back`.

    Raises:
        Throttled: too many attempts for the account or from the address.
    """
    if client.ip_address is not None:
        count("login_address", network_of(client.ip_address), now=now)
    counters = [count("login_account", name, now=now) for name in count_names(username)]
    return [counter for counter in counters if counter is not None]


def take_back(counters: Sequence[str]) -> None:
    """Don't count an attempt whose password was right. The counter of the address keeps it.

    Earlier attempts stay counted. They may be an attacker's, who must not get more attempts because
    the account's owner has logged in.
    """
    for counter in counters:
        try:
            cache.decr(counter)
        except ValueError:
            continue  # the window has ended
        except Exception as error:  # noqa: BLE001  as in count()
            _log_failure(type(error).__name__)
            return


def count_password_reset(address: str, client: Client, *, now: float) -> None:
    """Count a request for a password reset, by the typed address and by the client's network.

    Whether a user has the address makes no difference, so a refusal doesn't tell it.

    Raises:
        Throttled: too many requests for the address or from the network.
    """
    if client.ip_address is not None:
        count("password_reset_address", network_of(client.ip_address), now=now)
    # As Django compares addresses when it looks for the users of one: no spelling that finds the
    # same users gets separate attempts.
    count("password_reset", normalize("NFKC", address).casefold(), now=now)


def count_refresh(token: RefreshToken, *, now: float) -> None:
    """Count a refresh by its session, which only a genuine token can name.

    Raises:
        Throttled: the session was refreshed too often.
    """
    count("refresh", str(token.family_id), now=now)


@contextmanager
def count_unless_right(scope: str, client: Client, *, now: float) -> Iterator[None]:
    """Count an attempt by the client's address, unless the block ends without an error.

    Raises:
        Throttled: too many attempts from the address.
    """
    address = client.ip_address
    counter = None if address is None else count(scope, network_of(address), now=now)
    yield
    take_back([] if counter is None else [counter])


def count(scope: str, ident: str, *, now: float) -> str | None:
    """Count one attempt of ``ident``; ``now`` is in seconds since the epoch.

    Returns the key of the counter, or ``None`` if the attempt isn't counted.

    Raises:
        Throttled: more than the rate of ``scope`` allows, with the seconds until the window ends.
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
    if attempts > limit:
        signals.attempt_throttled.send_robust(sender=Throttled, scope=scope, ident=_digest(ident))
        raise Throttled(wait=max(1, math.ceil(started + period - now)))
    return counter


def _incremented(counter: str) -> int | None:
    """Return the new count; ``None`` from a cache that ignores errors, as django-redis can."""
    try:
        return cache.incr(counter)
    except ValueError:
        return 0  # the counter expired after add(): this is like a first attempt


def _log_failure(reason: str) -> None:
    # Neither the error's text nor a traceback: a client may quote a part of the cache's password.
    logger.error("The cache is not available (%s): attempts are not being throttled.", reason)


def _window(key: str, *, period: int, now: float) -> float:
    """When the window began: at its first attempt, in this process or in another one."""
    started = cache.get(key)
    if started is None:
        cache.add(key, now, timeout=period)
        started = cache.get(key, now)
    return float(started)


def parse_rate(rate: str) -> tuple[int, int]:
    """Parse a rate such as ``"5/min"`` into a number of attempts and a period in seconds.

    Raises:
        ValueError, KeyError: not a rate.
    """
    limit, period = _RateParser().parse_rate(rate)
    if limit is None or period is None or limit < 1:
        raise ValueError("A rate is a positive number, a slash and a period.")
    return limit, period


class _RateParser(SimpleRateThrottle):
    rate = "1/day"  # without it, the constructor would look up REST framework's own rates


def _key(scope: str, ident: str) -> str:
    # Separate for each tenant: user 1 of one tenant is not user 1 of another.
    return f"jwt_auth:throttle:{scope}:{_digest(f'{current_tenant()} {ident}')}"


def _digest(ident: str) -> str:
    # A user name may be an email address, which should not be in a cache, and may have any length.
    return sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:32]
