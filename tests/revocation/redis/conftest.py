"""A Redis server for tests, empty before each test, and the settings that use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis import circuit_breaker as circuit_module
from jwt_auth.revocation.redis import connection as connection_module
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from tests.revocation.redis.scene import Clock, probers
from tests.revocation.redis.servers import PATIENT, RedisServer, running

REDIS = "jwt_auth.revocation.redis.RedisRevocation"


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
def revocation(server: RedisServer, settings: Settings) -> dict[str, Any]:
    """The setting JWT_AUTH_REVOCATION, in force."""
    settings.CACHES = {**settings.CACHES, "revocation": cache_of(server)}
    settings.JWT_AUTH_REVOCATION = {
        "BACKEND": REDIS,
        # Each test gets a new backend: another test's may have seen its server fail.
        "OPTIONS": {"CACHE": "revocation", "PREFIX": f"test-{next(_NUMBERS)}", "TIMEOUT": PATIENT},
    }
    value: dict[str, Any] = settings.JWT_AUTH_REVOCATION
    return value


@pytest.fixture
def backend(revocation: dict[str, Any]) -> RedisRevocation:
    """The backend that the settings name."""
    found = get_backend()
    assert isinstance(found, RedisRevocation)
    return found


def cache_of(server: RedisServer) -> dict[str, Any]:
    """The entry of CACHES for a server."""
    return {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}


_NUMBERS = iter(range(10**9))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that connections see."""
    clock = Clock()
    monkeypatch.setattr(connection_module, "monotonic", clock)
    return clock
