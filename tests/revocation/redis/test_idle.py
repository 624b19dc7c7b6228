"""A load balancer that silently drops idle connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import DjangoAssertNumQueries, Settings
from redis.exceptions import TimeoutError as RedisTimeoutError

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.chaos.proxy import Proxy
from tests.flows.scene import authenticate, log_in, refusal_of
from tests.revocation.redis.scene import (
    Clock,
    cache_at,
    commands_of,
    end,
    known,
    state_of,
    use_redis,
)
from tests.revocation.redis.servers import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]


@pytest.fixture
def balancer(server: RedisServer) -> Iterator[Proxy]:
    """A proxy between the tests and Redis."""
    balancer = Proxy(server.port)
    yield balancer
    balancer.close()


@pytest.fixture
def backend(
    balancer: Proxy, clock: Clock, settings: Settings, nobody_probes: None
) -> RedisRevocation:
    return use_redis(settings, cache_at(balancer.url))


@pytest.mark.parametrize("how", ["forget", "cut"])
def test_connection_that_was_dropped_while_idle_is_no_outage(
    how: str,
    balancer: Proxy,
    clock: Clock,
    server: RedisServer,
    user: AbstractBaseUser,
    backend: RedisRevocation,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    """A new one is opened, and Redis continues to answer requests and revocations."""
    ended, live = known(log_in(user)), known(log_in(user))
    for _ in range(2):
        _drop(balancer, how, backend, clock)
        with commands_of(server) as commands, django_assert_num_queries(0):
            authenticate(live)
        assert commands == ["hmget"]
    _drop(balancer, how, backend, clock)
    end(ended)
    assert refusal_of(ended) is Refusal.SESSION_ENDED
    assert state_of(backend.circuit) is State.CLOSED
    assert not backend.denials.kept


def test_all_that_are_idle_are_given_up_with_the_first(
    balancer: Proxy, clock: Clock, backend: RedisRevocation
) -> None:
    """The next requests don't each wait for a time-out."""
    backend.client.ping()
    idle = backend.client._idle[""]
    first = idle.take()
    backend.client.ping()
    assert first is not None
    idle.put(first)
    assert len(idle._idle) == 2
    _drop(balancer, "forget", backend, clock)
    backend.client.ping()
    assert len(idle._idle) == 1


def test_time_out_on_a_connection_in_use_is_an_outage(
    balancer: Proxy, clock: Clock, user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """The command isn't repeated: a server that hangs must not cost more."""
    issued = known(log_in(user))
    _drop(balancer, "forget", backend, clock, idle_for=0)
    with pytest.raises(RedisTimeoutError):
        backend.client.call("ECHO", b"a")
    assert refusal_of(issued) is None


def _drop(
    balancer: Proxy, how: str, backend: RedisRevocation, clock: Clock, *, idle_for: float = 30
) -> None:
    """Drop the connections that have been idle that long. They time out soon, to save time."""
    clock.now += idle_for
    getattr(balancer, how)()
    for connection in backend.client._idle[""]._idle:
        connection._connection._sock.settimeout(0.1)
