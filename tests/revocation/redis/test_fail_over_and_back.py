"""A server that was the primary, has missed a revocation, and is the primary again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from redis.exceptions import ReadOnlyError

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.redis.circuit_breaker import State
from jwt_auth.revocation.redis.client import RedisClient
from tests.chaos.proxy import Proxy
from tests.flows.scene import log_in, refusal_of
from tests.revocation.redis.scene import (
    Clock,
    cache_at,
    end,
    hash_of_user,
    known,
    state_of,
    use_redis,
)
from tests.revocation.redis.servers import NOBODY, RedisServer, demoted, running

pytestmark = pytest.mark.redis


class Site:
    """Two servers behind one address; one of them is the primary."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = (
            RedisServer(folder / name, "--save", "", "--replica-serve-stale-data", "yes")
            for name in ("first", "second")
        )
        self.proxy = Proxy(self.first.port)
        self.second.run("REPLICAOF", *NOBODY)

    def promote(self, server: RedisServer) -> None:
        """Let the other server lag behind, and this one have the address."""
        other = self.second if server is self.first else self.first
        other.run("REPLICAOF", *NOBODY)
        server.run("REPLICAOF", "NO", "ONE")
        self.proxy.switch(server.port)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """The servers, ended after the test."""
    site = Site(tmp_path)
    with running(site.first, site.second):
        yield site
        site.proxy.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("nobody_probes")
def test_fail_over_and_back_forgets_no_revocation(
    site: Site, user: AbstractBaseUser, settings: Settings
) -> None:
    """The process is the same as when the hash was completed, and the hash complete."""
    backend = use_redis(settings, cache_at(site.proxy.url))
    revoked, valid = known(log_in(user)), known(log_in(user))
    site.promote(site.second)
    end(revoked)
    site.promote(site.first)
    assert hash_of_user(site.first)[f"s:{revoked.family.pk}".encode()] == b"0"
    assert (refusal_of(revoked), refusal_of(valid)) == (Refusal.SESSION_ENDED, None)
    assert state_of(backend.circuit) is State.CLOSED


def _ask(redis_client: RedisClient) -> tuple[int, bytes]:
    """Return the connection's ID and the run."""
    number, run = redis_client.call("CLIENT", b"ID")
    return int(number), run


def test_open_connection_learns_of_a_promotion(
    redis_client: RedisClient, server: RedisServer, clock: Clock
) -> None:
    """Demoted and promoted again between two requests: another run, on the same connection."""
    before = _ask(redis_client)
    with demoted(server):
        pass
    clock.now += 1
    after = _ask(redis_client)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_server_is_asked_who_it_is_once_a_second(
    redis_client: RedisClient, server: RedisServer, clock: Clock
) -> None:
    """Whatever the number of requests."""
    _ask(redis_client)
    with server.client() as client:
        before: Any = client.info("commandstats")
        for _ in range(5):
            clock.now += 0.5
            _ask(redis_client)
        after: Any = client.info("commandstats")
    asked = after["cmdstat_info"]["calls"] - before["cmdstat_info"]["calls"]
    assert asked == 2 + 1  # and the command that counts them


def test_primary_that_became_a_replica_is_left(
    redis_client: RedisClient, server: RedisServer, clock: Clock
) -> None:
    """Within a second, even by requests that only read: it would answer them for ever."""
    _ask(redis_client)
    with demoted(server):
        clock.now += 1
        with pytest.raises(ReadOnlyError):
            _ask(redis_client)
    _ask(redis_client)
