"""A Redis Cluster behind a django-redis cache, whose own factory makes clients of one server only.

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

The node there names all others when the process starts; later any of them will do.
``REDIS_CLIENT_KWARGS`` goes to :class:`redis.cluster.RedisCluster`: ``startup_nodes`` for more than
one address to start from, ``address_remap`` for nodes behind a translation.
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

#: Seconds for a node that does not answer, where the cache's OPTIONS say nothing.
_TIMEOUT: Final = 1.0


@dataclass(slots=True)
class _Cluster:
    """One address: the client, once there is one, and how often making it has failed."""

    lock: Any = field(default_factory=Lock)
    client: RedisCluster | None = None
    failures: int = 0


class ClusterConnectionFactory(ConnectionFactory):  # type: ignore[misc]  # comes without types
    """Makes one client for each address and process, which knows the cluster's nodes and slots."""

    #: Of the process, as Django makes a cache anew for each thread.
    _clusters: ClassVar[dict[str, _Cluster]] = {}

    def connect(self, url: str) -> RedisCluster:
        """Give the client; threads share it. One of them makes it, and where that fails, all that
        have waited for it fail with it.

        Raises:
            Exception: whatever redis-py does of a cluster that can't be reached.
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
        del options["parser_class"]  # a cluster's nodes have their own
        return RedisCluster.from_url(**options)

    def disconnect(self, connection: Any) -> None:
        connection.disconnect_connection_pools()


def _forget() -> None:
    """Have a forked child make its own clients: it has nobody to release the locks in and around
    its parent's, one of which the thread that forks may have in a cache.
    """
    ClusterConnectionFactory._clusters = {}
    for alias in caches:
        with suppress(AttributeError):  # none has been made
            del caches[alias]


after_fork_in_child(_forget)
