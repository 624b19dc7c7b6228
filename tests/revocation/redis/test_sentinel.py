"""A real failover: three sentinels promote the replica of a primary that has failed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from redis.exceptions import ResponseError

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.flows.scene import log_in, refusal_of
from tests.revocation.contract import RevocationContract
from tests.revocation.redis.scene import cache_at, end, known, state_of, trust_at_once, use_redis
from tests.revocation.redis.servers import RedisServer, running, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]

#: Milliseconds without an answer until a server counts as down. Long, because a server that is
#: only slow must not be replaced during a test.
_DOWN_AFTER = 60_000

_CONFIG = f"""\
sentinel monitor primary 127.0.0.1 {{port}} 2
sentinel down-after-milliseconds primary {_DOWN_AFTER}
sentinel failover-timeout primary 3000
"""


class Site:
    """A primary, its replica and three sentinels."""

    def __init__(self, folder: Path) -> None:
        self.servers = [RedisServer(folder / "primary", "--save", "")]
        primary = self.servers[0]
        replica_of = ("--replicaof", "127.0.0.1", str(primary.port))
        self.servers.append(RedisServer(folder / "replica", "--save", "", *replica_of))
        self.sentinels = [_sentinel(folder / f"sentinel{n}", primary) for n in range(3)]

    def wait_until_whole(self) -> None:
        """Wait until every sentinel knows the others and the replica."""
        for sentinel in self.sentinels:
            wait_for(partial(_knows_all, sentinel))

    def give_up_after(self, milliseconds: int) -> None:
        """Set after how long a server that doesn't answer counts as down."""
        for sentinel in self.sentinels:
            sentinel.run("SENTINEL SET", "primary", "down-after-milliseconds", milliseconds)

    def primary(self) -> RedisServer:
        """The primary, as the sentinels see it."""
        with self.sentinels[0].client(decode_responses=True) as client:
            _, port = client.sentinel_get_master_addr_by_name("primary")
        return next(server for server in self.servers if server.port == port)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The servers, ended after the tests."""
    site = Site(tmp_path_factory.mktemp("sentinel"))
    with running(*site.servers, *site.sentinels):
        site.wait_until_whole()
        yield site


@pytest.fixture(autouse=True)
def backend(site: Site, settings: Settings) -> RedisRevocation:
    sentinels = [("127.0.0.1", sentinel.port) for sentinel in site.sentinels]
    return use_redis(settings, _behind(sentinels, "redis://primary/0"))


class TestContract(RevocationContract):
    @pytest.fixture(autouse=True)
    def _backend(self, backend: RedisRevocation) -> Iterator[None]:
        yield
        assert state_of(backend.circuit) is State.CLOSED  # Redis has answered, not the database


def test_failover_forgets_nothing(
    site: Site, user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """Revoked stays refused and valid accepted, before, during and after. No request fails."""
    revoked, valid = known(log_in(user)), known(log_in(user))
    end(revoked)
    before = site.primary()
    before.stop()
    try:
        _ask(revoked, valid)
        site.give_up_after(500)
        wait_for(lambda: site.primary() is not before)
        site.give_up_after(_DOWN_AFTER)
        _ask(revoked, valid)
        trust_at_once(backend.circuit)
        wait_for(lambda: backend.circuit.state is State.CLOSED)
        _ask(revoked, valid)
        end(valid)
        assert refusal_of(valid) is Refusal.SESSION_ENDED
    finally:
        before.start()


@pytest.mark.usefixtures("nobody_probes")
def test_frozen_sentinels_cost_a_time_out(user: AbstractBaseUser, settings: Settings) -> None:
    """The sentinels have no time-outs of the project's. A request must not wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        cache = _behind([deaf.getsockname()], "redis://primary-of-nobody/0")
        cache["OPTIONS"]["CONNECTION_POOL_KWARGS"] = {"socket_timeout": None}
        use_redis(settings, cache)
        del settings.JWT_AUTH_REVOCATION["OPTIONS"]["TIMEOUT"]
        known(log_in(user))
        deaf.setblocking(False)
        deaf.accept()[0].close()
        with pytest.raises(BlockingIOError):
            deaf.accept()


def _behind(sentinels: list[tuple[str, int]], location: str) -> dict[str, Any]:
    factory = "django_redis.pool.SentinelConnectionFactory"
    return cache_at(location, CONNECTION_FACTORY=factory, SENTINELS=sentinels)


def _ask(revoked: Any, valid: Any) -> None:
    for _ in range(3):
        assert (refusal_of(revoked), refusal_of(valid)) == (Refusal.SESSION_ENDED, None)


def _sentinel(folder: Path, primary: RedisServer) -> RedisServer:
    folder.mkdir()
    (folder / "sentinel.conf").write_text(_CONFIG.format(port=primary.port))
    sentinel = RedisServer(folder, mode="sentinel")
    # They find each other sooner by it. Before Redis 7, it takes the usual two seconds.
    with suppress(ResponseError):
        sentinel.run("SENTINEL", "DEBUG", "publish-period", "100")
    return sentinel


def _knows_all(sentinel: RedisServer) -> bool:
    with sentinel.client(decode_responses=True) as client:
        state: Any = client.sentinel_master("primary")
    return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
