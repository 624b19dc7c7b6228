"""What an active user takes in Redis, by hashes that the backend itself has written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from tests.chaos.report import FIGURES, Record
from tests.flows.scene import log_in
from tests.revocation.redis.scene import end, keys_of, known
from tests.revocation.redis.servers import RedisServer, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis, pytest.mark.user_model]

#: Copies of a hash, for what the server's own tables take.
_COPIES = 5_000


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Iterator[RedisServer]:
    """A server with nothing in it, which answers revocation checks; all options are the default."""
    server = RedisServer(tmp_path_factory.mktemp("memory"), "--save", "")
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}
    name = f"memory-{server.port}"  # another backend than the last test's, of another server
    settings.CACHES = {**settings.CACHES, name: cache}
    settings.JWT_AUTH_REVOCATION = {
        "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
        "OPTIONS": {"CACHE": name, "TIMEOUT": 30},
    }
    with running(server):
        yield server


@pytest.mark.parametrize(
    ("revoked", "hash_bound", "server_bound"),
    [
        (0, 256, 384),
        (1, 320, 448),
        (20, 1536, 1792),
    ],
)
def test_hash_of_active_user_is_small(
    user: AbstractBaseUser,
    server: RedisServer,
    record_property: Record,
    revoked: int,
    hash_bound: int,
    server_bound: int,
) -> None:
    """One live session, and some that were revoked while Redis knew them."""
    known(log_in(user))
    for issued in [known(log_in(user)) for _ in range(revoked)]:
        end(issued)
    size, growth = _measure(server)
    record_property(
        FIGURES,
        f"user key {user.pk!r:.12}, 1 live and {revoked} revoked sessions: MEMORY USAGE "
        f"{size} bytes, used_memory grows by {growth} bytes",
    )
    assert size <= hash_bound
    assert growth <= server_bound


def _measure(server: RedisServer) -> tuple[int, int]:
    """The size of the one hash there is, and what each of many like it adds to the server."""
    (key,) = keys_of(server)
    client: Any
    with server.client() as client:
        size = client.memory_usage(key, samples=0)
        dumped, before = client.dump(key), client.info("memory")["used_memory"]
        with client.pipeline(transaction=False) as steps:
            for number in range(_COPIES):
                name = key.replace(b"{", b"{%05d" % number)
                steps.restore(name, 60_000, dumped)
            steps.execute()
        client.ping()
        return size, (client.info("memory")["used_memory"] - before) // _COPIES
