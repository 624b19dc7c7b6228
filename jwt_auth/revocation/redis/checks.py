"""Check that the cache and its server are suitable for revocations."""

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
    """Check the cache. A revocation in a local, file-based or dummy cache would never be seen by
    other processes.
    """
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
            "processes can't see or which has another protocol."
        )
        return
    if isinstance(cache.client, ShardClient):
        yield _cache_error(
            f"JWT_AUTH_REVOCATION can't use the cache {alias!r}: its ShardClient spreads the keys "
            "of a user over several servers."
        )
        return
    is_sentinel = issubclass(
        getattr(cache.client.connection_factory, "pool_cls", object), SentinelConnectionPool
    )
    if is_sentinel and any(has_tls(url) for url in locations_of(alias)):
        yield Error(
            f"The cache {alias!r} uses Sentinel, and its LOCATION begins with rediss://, which "
            "Sentinel connections don't support.",
            hint='Write "LOCATION": "redis://…" and, in its OPTIONS, "CONNECTION_POOL_KWARGS": '
            '{"ssl": True} and, where the sentinels speak TLS, "SENTINEL_KWARGS": {"ssl": True}.',
            id="jwt_auth.E063",
        )


def check_server(client: RedisClient, key: bytes) -> Iterator[CheckMessage]:
    """Check the server before it gets any traffic."""
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
            f"Redis evicts keys (maxmemory-policy {policy}). No revoked token is accepted because "
            "of that, but each evicted hash costs SQL.",
            hint="Run `redis-cli CONFIG SET maxmemory-policy noeviction`, and give Redis enough "
            "memory.",
            id="jwt_auth.W020",
        )


def _cache_error(message: str) -> Error:
    return Error(message, hint=_LINE, id="jwt_auth.E028")
