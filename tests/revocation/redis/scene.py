"""The vocabulary of the tests of RedisRevocation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread
from typing import Any
from unittest import mock

from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from redis import Connection, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.models import Reason
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from jwt_auth.tokens import access
from jwt_auth.tokens.claims import AccessToken
from tests.flows.scene import BROWSER, refusal_of
from tests.revocation.redis.servers import PATIENT, RedisServer

REDIS = "jwt_auth.revocation.redis.RedisRevocation"

_NUMBERS = iter(range(10**9))


def cache_at(location: Any, **options: Any) -> dict[str, Any]:
    """An entry of CACHES."""
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": location}
    return {**cache, "OPTIONS": options} if options else cache


def use_redis(settings: Settings, cache: dict[str, Any], **options: Any) -> RedisRevocation:
    """Put the backend into force with this cache, named "revocation", and these options.

    Each test gets a new backend: another test's may have seen its server fail.
    """
    settings.CACHES = {**settings.CACHES, "revocation": cache}
    own = {"CACHE": "revocation", "PREFIX": f"test-{next(_NUMBERS)}", "TIMEOUT": PATIENT}
    settings.JWT_AUTH_REVOCATION = {"BACKEND": REDIS, "OPTIONS": {**own, **options}}
    backend = get_backend()
    assert isinstance(backend, RedisRevocation)
    return backend


def token_of(issued: Issued) -> AccessToken:
    return access.verify(issued.access_token.text, now=datetime.now(UTC))


def known(issued: Issued) -> Issued:
    """Make Redis know the session."""
    assert refusal_of(issued) is None
    return issued


def end(issued: Issued) -> None:
    now = datetime.now(UTC)
    flows.end_session(issued.family.pk, reason=Reason.LOGOUT, client=BROWSER, now=now)


def log_out_everywhere(user: AbstractBaseUser) -> None:
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))


def admits(node: RedisRevocation, token: AccessToken) -> bool:
    try:
        node.get_user(token)
    except AccessTokenRefused:
        return False
    return True


def keys_of(server: RedisServer) -> list[bytes]:
    return sorted(server.run("KEYS", "*"))


def hash_of_user(server: RedisServer) -> dict[bytes, bytes]:
    """The hash of the only user."""
    with server.client() as client:
        (key,) = client.scan_iter(_type="HASH")
        found: Any = client.hgetall(key)
        return dict(found)


def fill(server: RedisServer) -> None:
    """Have the server refuse all writes."""
    server.run("CONFIG SET", "maxmemory", "1")


def state_of(circuit: Circuit) -> State:
    """Read the state again: mypy assumes that an attribute keeps the value it was compared with."""
    return circuit.state


def probers() -> list[Thread]:
    """The threads of this process that probe a Redis."""
    return [thread for thread in threading.enumerate() if thread.name == "jwt_auth-redis"]


def trust_at_once(circuit: Circuit) -> None:
    """Let the circuit close with the second probe that succeeds, without waiting for the TTL."""
    circuit._distrust = 0


@contextmanager
def cut_off(
    after: int = 0, *, by: type[BaseException] = RedisConnectionError
) -> Iterator[list[str]]:
    """Let that many commands of this process reach Redis, and record the others."""
    lost: list[str] = []
    left = after
    pack: Any = Connection.pack_command  # without types

    def send(connection: Connection, *command: Any) -> Any:
        nonlocal left
        if command[0] != "INFO":  # each connection begins with one
            if left <= 0:
                lost.append(command[0])
                raise by("cut")
            left -= 1
        return pack(connection, *command)

    with mock.patch.object(Connection, "pack_command", send):
        yield lost


@contextmanager
def commands_of(server: RedisServer) -> Iterator[list[str]]:
    """Record the names of the commands that the server runs meanwhile."""
    names: list[str] = []
    with server.client() as client:
        before = _count(client)
        yield names
        for name, calls in _count(client).items():
            names += [name] * (calls - before.get(name, 0))


def _count(client: Redis) -> dict[str, int]:
    stats: Any = client.info("commandstats")
    own = {"info", "client|setinfo", "hello", "config|get"}
    return {
        name: row["calls"]
        for command, row in stats.items()
        if (name := command.removeprefix("cmdstat_")) not in own
    }


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
