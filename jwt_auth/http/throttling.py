"""Throttle login attempts, per account and per address, refreshes, per session, wrong secrets of
service clients, per address, and mails, per recipient and per address.

While the cache is unavailable, no attempt is refused (:mod:`jwt_auth.counting`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rest_framework.exceptions import Throttled

from jwt_auth import counting
from jwt_auth.http.addresses import network_of
from jwt_auth.http.username_spellings import count_names
from jwt_auth.models import Client
from jwt_auth.tokens.refresh import RefreshToken
from jwt_auth.users import canonical_address


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
    counting.take_back(counters)


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
    count("password_reset", canonical_address(address), now=now)


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
    attempt = counting.count(scope, ident, now=now)
    if attempt is None:
        return None
    if attempt.retry_after is not None:
        raise Throttled(wait=attempt.retry_after)
    return attempt.counter
