"""Connect a django-redis cache to a Redis Cluster; its default factory only makes clients of one
server.

.. code-block:: python

    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": "redis://10.0.0.1:6379",
            "OPTIONS": {
                "CONNECTION_FACTORY": "jwt_auth.revocation.cluster.ClusterConnectionFactory",
            },
        }
    }

When the process starts, that node names all other nodes. Later, any of them can do so.
``REDIS_CLIENT_KWARGS`` goes to :class:`redis.cluster.RedisCluster`: ``startup_nodes`` for more than
one address to start from, ``address_remap`` for nodes behind an address translation.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, ClassVar, Final

from django.core.cache import caches
from django_redis.pool import ConnectionFactory
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError

from jwt_auth.forks import after_fork_in_child

#: Seconds to wait for a node, unless the cache's OPTIONS set a time-out.
_TIMEOUT: Final = 1.0


@dataclass(slots=True)
class _Cluster:
    """The client of one address, once it exists, and how often making it has failed."""

    lock: Any = field(default_factory=Lock)
    client: RedisCluster | None = None
    failures: int = 0


class ClusterConnectionFactory(ConnectionFactory):  # type: ignore[misc]  # comes without types
    """Makes one client for each address in a process. It knows the cluster's nodes and slots."""

    #: Shared by the threads of the process, because Django makes a cache object for each thread.
    _clusters: ClassVar[dict[str, _Cluster]] = {}

    def connect(self, url: str) -> RedisCluster:
        """Return the client, which all threads share.

        One thread makes it. If that fails, all threads that have waited for it fail, too.

        Raises:
            Exception: redis-py's error, if the cluster can't be reached.
        """
        cluster = self._clusters.setdefault(url, _Cluster())
        failures = cluster.failures
        with cluster.lock:
            if cluster.client is None:
                if cluster.failures != failures:
                    raise RedisConnectionError("Another thread could not reach the cluster.")
                try:
                    cluster.client = self._make(url)
                except Exception:
                    cluster.failures += 1
                    raise
            return cluster.client

    def _make(self, url: str) -> RedisCluster:
        options: dict[str, Any] = {
            "socket_timeout": _TIMEOUT,
            "socket_connect_timeout": _TIMEOUT,
            **self.make_connection_params(url),
            **self.pool_cls_kwargs,
            **self.redis_client_cls_kwargs,
        }
        del options["parser_class"]  # RedisCluster sets the parser of each node
        return RedisCluster.from_url(**options)

    def disconnect(self, connection: Any) -> None:
        connection.disconnect_connection_pools()


def _forget() -> None:
    """Have a forked child make its own clients.

    In the child, no thread releases the locks in and around its parent's clients. The cache objects
    of the thread that forks hold one of those clients, so they are deleted, too.
    """
    ClusterConnectionFactory._clusters = {}
    for alias in caches:
        with suppress(AttributeError):  # this alias has no cache object yet
            del caches[alias]


after_fork_in_child(_forget)
