"""Whether the cache and the server behind it can carry revocations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  the framework's own name
from django_redis.cache import RedisCache
from django_redis.client import ShardClient
from redis.exceptions import RedisError
from redis.sentinel import SentinelConnectionPool

from jwt_auth.cache_locations import check_locations, has_tls, locations_of
from jwt_auth.revocation.redis.client import RedisClient

#: The oldest major version of Redis.
_OLDEST: Final = 6

_LINE: Final = (
    'Write CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", '
    '"LOCATION": "redis://127.0.0.1:6379/0"}}'
)


def check_cache(alias: str) -> Iterator[CheckMessage]:
    """A cache of one process, of files or of nothing would forget a revocation or never tell it."""
    if alias not in settings.CACHES:
        yield _cache_error(
            f"JWT_AUTH_REVOCATION names the cache {alias!r}, which CACHES does not have."
        )
        return
    yield from check_locations(alias)
    backend = settings.CACHES[alias]["BACKEND"]
    try:
        cache = caches[alias]
    except InvalidCacheBackendError:
        cache = None
    if not isinstance(cache, RedisCache):
        yield _cache_error(
            f"JWT_AUTH_REVOCATION needs a django-redis cache; {alias!r} is {backend}, which other "
            "processes can't see or which answers in another protocol."
        )
        return
    if isinstance(cache.client, ShardClient):
        yield _cache_error(
            f"JWT_AUTH_REVOCATION can't use the cache {alias!r}: its ShardClient has no server "
            "that answers for all of a user's keys."
        )
        return
    is_sentinel = issubclass(
        getattr(cache.client.connection_factory, "pool_cls", object), SentinelConnectionPool
    )
    if is_sentinel and any(has_tls(url) for url in locations_of(alias)):
        yield Error(
            f"The cache {alias!r} asks Sentinel, and its LOCATION begins with rediss://, which "
            "opens no connection.",
            hint='Write "LOCATION": "redis://…" and, in its OPTIONS, "CONNECTION_POOL_KWARGS": '
            '{"ssl": True} and, where the sentinels speak TLS, "SENTINEL_KWARGS": {"ssl": True}.',
            id="jwt_auth.E063",
        )


def check_server(client: RedisClient, key: bytes) -> Iterator[CheckMessage]:
    """Say before the traffic does what the server is not fit for."""
    try:
        version = client.server_version(key)
    except RedisError as error:
        yield Warning(
            f"Redis can't be reached ({error}): the database answers meanwhile.",
            hint="Check LOCATION, the password and the network of the cache.",
            id="jwt_auth.W021",
        )
        return
    if int(version.partition(".")[0]) < _OLDEST:
        yield Error(
            f"Redis {version} is too old; 6.0 is the oldest that is supported.",
            hint="Upgrade the server.",
            id="jwt_auth.E029",
        )
    policy = client.config("maxmemory-policy", key)
    if policy is not None and policy != "noeviction":
        yield Warning(
            f"Redis evicts keys (maxmemory-policy {policy}). Nothing revoked gets in by it, but "
            "each evicted hash costs SQL.",
            hint="Run `redis-cli CONFIG SET maxmemory-policy noeviction` and give it the memory.",
            id="jwt_auth.W020",
        )


def _cache_error(message: str) -> Error:
    return Error(message, hint=_LINE, id="jwt_auth.E028")
