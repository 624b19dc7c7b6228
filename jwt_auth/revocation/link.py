"""The wire to Redis: one connection for each thread, which knows the server process that it
reached.

Straight on redis-py's connection, without its pool and retries: a request pays one round trip, and
a server that hangs costs one time-out. The ``run_id`` is learned when the connection opens. It
tells a server from the one that was there before a restart or a failover, whose keys may have come
back from an old snapshot.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, Final

from django_redis import get_redis_connection
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisError
from redis.retry import Retry

#: Characters of the 40 of a ``run_id`` that are kept: enough to tell two server processes apart.
_RUN_LENGTH: Final = 16

#: Keys that a scan asks for at once.
_SCAN_COUNT: Final = 500


class _Wire:
    """An open connection and the server process at its other end."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.has_answered = False
        connection.connect()
        info = self.call("INFO", "server")
        self.run = _field(info, b"run_id")[:_RUN_LENGTH]
        self.version = _field(info, b"redis_version").decode()
        self.has_answered = False

    def call(self, *command: Any) -> Any:
        connection = self._connection
        # Packed here and sent without a health check: either would open the connection anew by
        # itself, to whichever server is there now.
        for part in connection.pack_command(*command):
            connection._sock.sendall(part)
        answer = connection.read_response(disable_decoding=True)
        self.has_answered = True
        return answer

    def close(self) -> None:
        self._connection.disconnect()


class Link:
    """The way to the Redis of one django-redis cache: standalone, Sentinel or Cluster."""

    def __init__(self, cache: str, *, timeout: float) -> None:
        self._cache = cache
        self._options = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
        }
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        # A forked child must not write into its parent's sockets.
        self._local = threading.local()

    def call(self, name: str, key: str, *arguments: Any) -> tuple[Any, bytes]:
        """Run one command on the server of ``key``: its answer, and the run of that server.

        Raises:
            RedisError: it could not be reached in time, or refused.
        """
        try:
            return self._call(key, name, key, *arguments)
        except (exceptions.MovedError, exceptions.AskError):
            # The cluster has moved the slot: learn where to, once.
            self._client().nodes_manager.initialize()
            return self._call(key, name, key, *arguments)

    def run_script(self, script: str, key: str, *arguments: Any) -> tuple[Any, bytes]:
        """Run a script on one key; its ``ARGV[1]`` is the run of the server, ``ARGV[2]`` the first
        argument.
        """
        return self._call(key, "EVAL", script, 1, key, _Run, *arguments)

    def ping(self, key: str) -> None:
        self._call(key, "PING")

    def scan(self, pattern: str) -> Iterator[str]:
        """All keys that match, of all nodes."""
        client = self._client()
        for key in client.scan_iter(match=pattern, count=_SCAN_COUNT):
            yield key if isinstance(key, str) else key.decode()

    def server_version(self, key: str) -> str:
        self.ping(key)
        wires: dict[str, _Wire] = self._local.wires
        return next(iter(wires.values())).version

    def config(self, name: str) -> str | None:
        """One value of the server's configuration; ``None`` where it may not be asked for."""
        try:
            return self._client().config_get(name).get(name)  # type: ignore[no-any-return]
        except RedisError:
            return None

    def _client(self) -> Any:
        return get_redis_connection(self._cache)

    def _call(self, key: str, *command: Any) -> tuple[Any, bytes]:
        client = self._client()
        node = client.get_node_from_key(key).name if self._is_cluster(client) else ""
        for attempt in (1, 2):
            wire = self._wire(client, node, key)
            try:
                arguments = [wire.run if argument is _Run else argument for argument in command]
                return wire.call(*arguments), wire.run
            except (OSError, RedisError) as error:
                if _is_answer(error):
                    raise  # the server has answered: the wire is good
                self._drop(node, wire)
                # A server that closed an idle connection has said nothing about itself yet.
                if attempt == 1 and wire.has_answered and not _is_timeout(error):
                    continue
                raise _as_redis_error(error) from None
        raise AssertionError("unreachable")

    def _wire(self, client: Any, node: str, key: str) -> _Wire:
        wires: dict[str, _Wire] | None = getattr(self._local, "wires", None)
        if wires is None:
            wires = self._local.wires = {}
        wire = wires.get(node)
        if wire is None:
            try:
                wire = wires[node] = _Wire(self._connect(client, key))
            except OSError as error:
                raise _as_redis_error(error) from None
        return wire

    @staticmethod
    def _is_cluster(client: Any) -> bool:
        return isinstance(client, RedisCluster)

    def _connect(self, client: Any, key: str) -> Any:
        if self._is_cluster(client):
            client = client.get_redis_connection(client.get_node_from_key(key))
        pool = client.connection_pool
        return pool.connection_class(**{**pool.connection_kwargs, **self._options})

    def _drop(self, node: str, wire: _Wire) -> None:
        self._local.wires.pop(node, None)
        wire.close()


class _Run:
    """Stands in a command for the run of the server that it is sent to."""


def _field(info: bytes, name: bytes) -> bytes:
    for line in info.splitlines():
        found, _, value = line.partition(b":")
        if found == name:
            return value
    raise RedisError("The server does not say which process it is.")


def _is_answer(error: Exception) -> bool:
    """Whether the server has refused a command, and the wire is good."""
    broken = (exceptions.ConnectionError, exceptions.TimeoutError)
    return isinstance(error, RedisError) and not isinstance(error, broken)


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError | exceptions.TimeoutError)


def _as_redis_error(error: Exception) -> RedisError:
    if isinstance(error, RedisError):
        return error
    return exceptions.ConnectionError(type(error).__name__)
