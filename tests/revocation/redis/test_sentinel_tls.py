"""Sentinels and a Redis with TLS and passwords, with the documented settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import run_checks
from pytest_django import Settings

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.flows.scene import log_in, refusal_of
from tests.live.certificate import make_certificate
from tests.revocation.redis.scene import end, known, state_of, use_redis
from tests.revocation.redis.servers import RedisServer, free_port, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]

_DOCS = Path(__file__).parents[3] / "docs/how-to/redis.md"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that isn't trusted by default, and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def sentinel(
    certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    """The port with TLS of a sentinel that knows one primary; each asks for its password."""
    folder = tmp_path_factory.mktemp("tls")
    ports = free_port(), free_port()
    primary, sentinel = folder / "primary", folder / "sentinel"
    sentinel.mkdir()
    (sentinel / "sentinel.conf").write_text(
        f"sentinel monitor mymaster 127.0.0.1 {ports[0]} 1\n"
        "sentinel auth-pass mymaster PASSWORD-OF-REDIS\n"
    )
    servers = [
        RedisServer(primary, "--save", "", *_tls(ports[0], certificate)),
        RedisServer(sentinel, *_tls(ports[1], certificate), mode="sentinel"),
    ]
    with running(*servers):
        for server, password in zip(
            servers, ("PASSWORD-OF-REDIS", "PASSWORD-OF-SENTINEL"), strict=True
        ):
            server.run("ACL", "SETUSER", "default", "resetpass", f">{password}")
        yield ports[1]


def _tls(port: int, certificate: tuple[Path, Path]) -> list[str]:
    file, key = map(str, certificate)
    return [
        *("--tls-port", str(port), "--tls-cert-file", file, "--tls-key-file", key),
        *("--tls-ca-cert-file", file, "--tls-auth-clients", "no", "--tls-replication", "yes"),
    ]


def _documented(sentinel: int, ca: str) -> Any:
    """The cache as documented, with this machine's addresses."""
    (text,) = re.findall(
        r"(?s)over TLS.*?```python\nCACHES\[.revocation.\] = (.*?)\n```", _DOCS.read_text()
    )
    cache = eval(text)
    assert all(port == 26379 for _, port in cache["OPTIONS"]["SENTINELS"])
    cache["OPTIONS"]["SENTINELS"] = [("127.0.0.1", sentinel)]
    for name in ("CONNECTION_POOL_KWARGS", "SENTINEL_KWARGS"):
        assert cache["OPTIONS"][name]["ssl_ca_certs"]
        cache["OPTIONS"][name]["ssl_ca_certs"] = ca
    return cache


@pytest.fixture
def cache(sentinel: int, certificate: tuple[Path, Path]) -> Any:
    """The documented cache."""
    cache = _documented(sentinel, str(certificate[0]))
    # django-redis keeps one pool for each location and process.
    cache["LOCATION"] = cache["LOCATION"].replace("/0", f"/{next(_NUMBERS)}")
    return cache


_NUMBERS = iter(range(16))


def _problems() -> list[str]:
    found = run_checks(include_deployment_checks=True)
    ids = {"jwt_auth.E062", "jwt_auth.E063", "jwt_auth.W020", "jwt_auth.W021"}
    return [str(message) for message in found if message.id in ids]


def test_documented_lines_work(user: AbstractBaseUser, cache: Any, settings: Settings) -> None:
    """Redis answers, by the primary that the sentinel has named."""
    backend = use_redis(settings, cache)
    ended, live = known(log_in(user)), known(log_in(user))
    end(ended)
    assert (refusal_of(ended), refusal_of(live)) == (Refusal.SESSION_ENDED, None)
    assert state_of(backend.circuit) is State.CLOSED
    assert _problems() == []


def test_primary_that_no_sentinel_knows_is_told(cache: Any, settings: Settings) -> None:
    """W021: LOCATION names another service than the sentinels."""
    use_redis(settings, {**cache, "LOCATION": "redis://somebody-else/0"})
    (message,) = _problems()
    assert "W021" in message
    assert "MasterNotFoundError" in message


@pytest.mark.parametrize("whose", ["SENTINEL_KWARGS", "CONNECTION_POOL_KWARGS"])
def test_certificate_that_is_not_trusted_is_named(
    whose: str, cache: Any, settings: Settings
) -> None:
    """W021 says why the sentinel or the server can't be reached, and shows no password."""
    del cache["OPTIONS"][whose]["ssl_ca_certs"]
    use_redis(settings, cache)
    (message,) = _problems()
    assert "W021" in message
    assert "certificate verify failed" in message
    assert "PASSWORD" not in message
