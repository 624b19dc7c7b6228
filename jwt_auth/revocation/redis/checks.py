"""The cache and the server of the Redis backend: whether they can carry revocations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.conf import settings
from django.core.cache import InvalidCacheBackendError, caches
from django.core.checks import CheckMessage
from django_redis.cache import RedisCache
from django_redis.client import ShardClient
from redis.exceptions import RedisError
from redis.sentinel import SentinelConnectionPool

from jwt_auth.cache_locations import check_locations, has_tls, locations_of
from jwt_auth.check_messages import error, warning
from jwt_auth.revocation.redis.client import RedisClient

#: The oldest major version of Redis.
_OLDEST: Final = 6

_LINE: Final = (
    'Write CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", '
    '"LOCATION": "redis://127.0.0.1:6379/0"}}'
)


def check_cache(alias: str) -> Iterator[CheckMessage]:
    """Refuse caches that would lose a revocation or hide it from other processes."""
    if alias not in settings.CACHES:
        yield _cache_error(
            f"JWT_AUTH_REVOCATION names the cache {alias!r}, which CACHES does not define."
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
            f"JWT_AUTH_REVOCATION needs a django-redis cache, but {alias!r} is {backend}. Other "
            "processes can't see that one, or it uses another protocol."
        )
        return
    if isinstance(cache.client, ShardClient):
        yield _cache_error(
            f"JWT_AUTH_REVOCATION can't use the cache {alias!r}: its ShardClient spreads a user's "
            "keys over several servers."
        )
        return
    is_sentinel = issubclass(
        getattr(cache.client.connection_factory, "pool_cls", object), SentinelConnectionPool
    )
    if is_sentinel and any(has_tls(url) for url in locations_of(alias)):
        yield error(
            "E063",
            f"The cache {alias!r} uses Sentinel, and its LOCATION begins with rediss://, which "
            "Sentinel connections don't support.",
            'Write "LOCATION": "redis://…" and, in its OPTIONS, "CONNECTION_POOL_KWARGS": '
            '{"ssl": True} and, if the sentinels use TLS, "SENTINEL_KWARGS": {"ssl": True}.',
        )


def check_server(client: RedisClient, key: bytes, *, authority: str) -> Iterator[CheckMessage]:
    """Ask the server for what requests depend on: its version, a hash, and its settings."""
    try:
        version = client.server_version(key)
        client.call("HMGET", key, "run")  # as each request does: an ACL may forbid it
    except RedisError as unreachable:
        yield warning(
            "W021",
            f"Redis can't be reached ({unreachable}). Until it can, {authority} answers.",
            "Check LOCATION, the password, the permissions and the network of the cache.",
        )
        return
    if int(version.partition(".")[0]) < _OLDEST:
        yield error(
            "E029",
            f"Redis {version} is too old. The oldest supported version is 6.0.",
            "Upgrade the server.",
        )
    policy = client.config("maxmemory-policy", key)
    if policy is not None and policy != "noeviction":
        yield warning(
            "W020",
            f"Redis evicts keys (maxmemory-policy {policy}). No revoked token is accepted because "
            "of that, but each evicted hash costs SQL.",
            "Run `redis-cli CONFIG SET maxmemory-policy noeviction`, and give Redis enough memory.",
        )


def _cache_error(message: str) -> CheckMessage:
    return error("E028", message, _LINE)
