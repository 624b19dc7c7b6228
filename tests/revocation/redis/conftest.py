"""A Redis server for tests, empty before each test, and the settings that use it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.revocation.cluster import ClusterConnectionFactory
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis import circuit_breaker as circuit_module
from jwt_auth.revocation.redis import connection as connection_module
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from jwt_auth.revocation.redis.client import RedisClient
from tests.revocation.redis.cluster import cluster_of_three
from tests.revocation.redis.scene import Clock, cache_at, probers, use_redis
from tests.revocation.redis.servers import PATIENT, RedisServer, running


@pytest.fixture(autouse=True)
def _no_probe_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the threads that probe, before the settings that they depend on are gone."""
    monkeypatch.setattr(circuit_module, "PROBE_INTERVAL", 0.05)
    watch, watched = Circuit.watch, set()

    def watch_and_note(circuit: Circuit) -> None:
        watched.add(circuit)
        watch(circuit)

    monkeypatch.setattr(Circuit, "watch", watch_and_note)
    keep, keepers = RedisRevocation._keep, set()

    def keep_and_note(backend: RedisRevocation, denials: Any) -> None:
        keepers.add(backend)
        keep(backend, denials)

    monkeypatch.setattr(RedisRevocation, "_keep", keep_and_note)
    yield
    for prober in probers():
        while prober.is_alive():
            for circuit in watched:
                circuit.state = State.CLOSED  # repeatedly: a probe that fails opens it
            prober.join(0.05)
    for backend in keepers:
        backend.denials._kept.clear()  # or the process would try to write it at its end


@pytest.fixture(scope="session")
def _shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--save", "")
    with running(server):
        yield server


@pytest.fixture
def server(_shared_server: RedisServer) -> RedisServer:
    """A server without keys, which is shared by the tests."""
    with _shared_server.client() as client:
        client.flushall()
        client.config_set("maxmemory", "0")
        client.config_set("maxmemory-policy", "noeviction")
    return _shared_server


@pytest.fixture
def backend(server: RedisServer, settings: Settings) -> RedisRevocation:
    """The backend that the settings name."""
    return use_redis(settings, cache_at(server.url))


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """A cluster: three servers that share the slots, and one without any."""
    with cluster_of_three(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def on_cluster(nodes: list[RedisServer], settings: Settings) -> RedisRevocation:
    """The backend on the cluster, configured as in the factory's docstring."""
    for node in nodes:
        node.run("FLUSHALL")
    factory = f"{ClusterConnectionFactory.__module__}.{ClusterConnectionFactory.__qualname__}"
    location = f"redis://127.0.0.1:{nodes[0].port}"
    return use_redis(settings, cache_at(location, CONNECTION_FACTORY=factory))


@pytest.fixture
def other(backend: RedisRevocation, settings: Settings) -> RedisRevocation:
    """The same backend in another process, which has seen no failure."""
    return RedisRevocation(**settings.JWT_AUTH_REVOCATION["OPTIONS"])


@pytest.fixture
def nobody_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave each tick() to the test."""
    monkeypatch.setattr(Circuit, "watch", lambda circuit: None)


@pytest.fixture
def redis_client(server: RedisServer, settings: Settings) -> Iterator[RedisClient]:
    """A client of the server."""
    settings.CACHES = {**settings.CACHES, "redis_client": cache_at(server.url)}
    redis_client = RedisClient("redis_client", timeout=PATIENT)
    yield redis_client
    redis_client.renew()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The application's log; its logger passes nothing on to the root, where pytest listens."""
    logger = logging.getLogger("jwt_auth")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that connections see."""
    clock = Clock()
    monkeypatch.setattr(connection_module, "monotonic", clock)
    return clock
