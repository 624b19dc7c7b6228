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

from threading import Lock
from typing import Any, ClassVar, Final

from django_redis.pool import ConnectionFactory
from redis.cluster import RedisCluster

#: Seconds for a node that does not answer, where the cache's OPTIONS say nothing.
_TIMEOUT: Final = 1.0


class ClusterConnectionFactory(ConnectionFactory):  # type: ignore[misc]  # comes without types
    """Makes one client for each address and process, which knows the cluster's nodes and slots."""

    #: Of the process, as Django makes a cache anew for each thread.
    _clusters: ClassVar[dict[str, RedisCluster]] = {}
    _lock: ClassVar = Lock()

    def connect(self, url: str) -> RedisCluster:
        """Give the client; threads share it."""
        with self._lock:
            if url not in self._clusters:
                options: dict[str, Any] = {
                    "socket_timeout": _TIMEOUT,
                    "socket_connect_timeout": _TIMEOUT,
                    **self.make_connection_params(url),
                    **self.pool_cls_kwargs,
                    **self.redis_client_cls_kwargs,
                }
                del options["parser_class"]  # a cluster's nodes have their own
                self._clusters[url] = RedisCluster.from_url(**options)
            return self._clusters[url]

    def disconnect(self, connection: Any) -> None:
        connection.disconnect_connection_pools()
