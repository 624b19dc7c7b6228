"""Counters that slow a guesser down: per account and per address apart, and refreshes per session.

Rates are REST framework's (``"5/min"``), the counters atomic increments in the default cache, so
that a burst of simultaneous requests is counted whole. A window begins with its first attempt. With
a cache that is down nobody is locked out, and the log says so.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from hashlib import sha256
from typing import Final

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import cache
from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist, ValidationError
from rest_framework.exceptions import Throttled
from rest_framework.throttling import SimpleRateThrottle

from jwt_auth import signals
from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.http.addresses import network_of
from jwt_auth.models import Client
from jwt_auth.tokens import refresh
from jwt_auth.users import current_tenant, key_of

logger: Final = logging.getLogger("jwt_auth")

#: How a manager says that it knows nobody of that name: it is no value for the field, there is none
#: or more than one, or it does not look by names at all.
_NOBODY: Final = (
    *(ObjectDoesNotExist, MultipleObjectsReturned),
    *(AttributeError, OverflowError, TypeError, ValidationError, ValueError),
)

#: Unicode's categories of what only changes or hides beside a letter: marks, formats, controls.
_NO_LETTERS: Final = frozenset({"Mn", "Me", "Cf", "Cc"})


def count_login(who: str | AbstractBaseUser, client: Client, *, now: float) -> str:
    """Count a guess at a password, by the account and by where it came from.

    ``who`` is the name that the guesser gave, or the user whom they are known to be. Gives the
    name that the account is counted by, for :func:`forget_login`.

    Raises:
        Throttled: too many of either.
    """
    if client.ip_address is not None:
        count("login_address", network_of(client.ip_address), now=now)
    account = _account_of_name(who) if isinstance(who, str) else _account_of(who)
    count("login_account", account, now=now)
    return account


def forget_login(account: str) -> None:
    """Forget an account's guesses: the password was right. The address keeps its count."""
    forget("login_account", account)


def count_refresh(presented: str, *, now: float) -> None:
    """Count a refresh by its session, which only a genuine token can name; any other is not
    counted.

    Raises:
        Throttled: too many.
    """
    try:
        token = refresh.parse(presented)
    except RefreshTokenRefused:
        return  # refused a moment later, without SQL
    count("refresh", str(token.family_id), now=now)


def count(scope: str, ident: str, *, now: float) -> None:
    """Count one attempt of ``ident``, ``now`` in seconds since the epoch.

    Raises:
        Throttled: more than the rate of ``scope`` allows, with the seconds until the window ends.
    """
    rate = conf.throttle_rates.get(scope)
    if rate is None:
        return
    limit, period = parse_rate(rate)
    try:
        started = _window(scope, ident, period=period, now=now)
        counter = f"{_key(scope, ident)}:{started}"
        cache.add(counter, 0, timeout=period)
        attempts = _incremented(counter)
    except Exception as error:  # noqa: BLE001
        # Any cache, any error: a log-in must not answer 500 because a counter is away.
        _log_failure(type(error).__name__)
        return
    if attempts is None:
        _log_failure("it gave no count")
    elif attempts > limit:
        signals.attempt_throttled.send_robust(sender=Throttled, scope=scope, ident=_digest(ident))
        raise Throttled(wait=max(1, math.ceil(started + period - now)))


def forget(scope: str, ident: str) -> None:
    """Start the window of ``ident`` anew: the attempts so far were its owner's."""
    if conf.throttle_rates.get(scope) is None:
        return
    try:
        cache.delete(_key(scope, ident))
    except Exception as error:  # noqa: BLE001
        _log_failure(type(error).__name__)


def _incremented(counter: str) -> int | None:
    """The new count. A cache that swallows its errors, as django-redis can, gives ``None``."""
    try:
        return cache.incr(counter)
    except ValueError:
        return 0  # it expired between the two steps: as good as a first attempt


def _log_failure(reason: str) -> None:
    # Not the error's text, nor a traceback: a client may quote a part of the cache's password.
    logger.error("The cache is not available (%s): attempts are not being throttled.", reason)


def _window(scope: str, ident: str, *, period: int, now: float) -> float:
    """When the window began: at its first attempt, in whichever process that was."""
    key = _key(scope, ident)
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


def _account_of(user: AbstractBaseUser) -> str:
    return f"PK {key_of(user)}"  # no folded name has a capital


def _account_of_name(username: str) -> str:
    """What an account is counted by, however its name is spelt.

    MariaDB finds "alice" by "älice" and by "Alice  " too, as its collation has it, and PostgreSQL
    by "alice" alone. So the database is asked, as ``ModelBackend`` asks it. What names nobody
    there, but may do so to another backend, is counted by its bare letters.
    """
    try:
        user = get_user_model()._default_manager.get_by_natural_key(username)
    except _NOBODY:
        pass
    else:
        return _account_of(user)
    letters = unicodedata.normalize("NFKD", username.strip()).casefold()
    return "".join(c for c in letters if unicodedata.category(c) not in _NO_LETTERS)
