"""Send commands to Redis: find the server of a key, and a connection that knows which server it is.

Connections are kept across requests and threads, because under ASGI each request runs in another
thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from django_redis import get_redis_connection
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from jwt_auth.forks import after_fork_in_child
from jwt_auth.revocation.redis.connection import Connection, IdleConnections
from jwt_auth.revocation.redis.outages import as_redis_error, is_timeout, outage
from jwt_auth.revocation.redis.sentinel import BoundedSentinels

#: How many keys one step of a scan asks for.
_SCAN_COUNT: Final = 500

#: The TTL of the key that a probe writes, in milliseconds.
_PROBE_TTL: Final = 1000

#: How often a command is repeated after a lost connection, or because its slot has moved.
_SECOND_TRIES: Final = 3

#: Servers that have failed, by name, with their errors. One round doesn't ask them a second time.
Away: TypeAlias = dict[str, RedisError]

#: Options of redis-py's pools for notifications, which lengthen time-outs and reconnect.
_NOTIFICATIONS: Final = ("maint", "orig_", "oss_")


@dataclass(frozen=True, slots=True)
class _Server:
    """The server of a key. The name distinguishes the nodes of a cluster."""

    name: str
    pool: Any


class RedisClient:
    """The servers of one django-redis cache: a single server, Sentinel or Cluster."""

    def __init__(self, cache: str, *, timeout: float) -> None:
        self._cache = cache
        self._options = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            # Version 3 could send pushed messages between the answers.
            "protocol": 2,
        }
        self.renew()
        after_fork_in_child(self.renew)  # it must not write into its parent's sockets

    def renew(self) -> None:
        """Forget all connections, so that the next commands open new ones."""
        self._idle: dict[str, IdleConnections] = {}
        #: Another object after each call. Connections elsewhere are forgotten when it changes.
        self.epoch = object()

    def call(self, name: str, key: bytes, *arguments: Any) -> tuple[Any, bytes]:
        """Run one command on the server of ``key``; return its answer and the run of that server.

        Raises:
            RedisError: the server could not be reached in time, or refused the command.
        """
        return self._call(lambda: self._server_of(key), name, key, *arguments)

    def run_script(
        self, script: str, key: bytes, *arguments: Any, away: Away | None = None
    ) -> tuple[Any, bytes]:
        """Run a script on one key. Its ``ARGV[1]`` is the run of the server, ``ARGV[2]`` the first
        argument. The script may run twice, if its first answer was lost.

        A server in ``away`` isn't asked and counts as failed. A server that fails now is added.
        """
        command = ("EVAL", script, 1, key, _Run, *arguments)
        return self._call(lambda: self._server_of(key), *command, away=away)

    def ping(self) -> Away:
        """Ask every server for a sign of life; return the servers that didn't answer.

        Raises:
            RedisError: not even the addresses of the servers are known.
        """
        away: Away = {}
        try:
            self._learn_topology()
        except RedisError as error:
            away[""] = error  # the servers known from before may still answer
        for server in self._servers():
            with suppress(RedisError):
                self._ask(server, "PING", away=away)
        return away

    def put(self, key: bytes) -> None:
        """Write a key for a moment, to find out whether the server is full or a replica.

        Raises:
            RedisError: the server didn't take it.
        """
        self.call("SET", key, "1", "PX", _PROBE_TTL)

    def scan(self, pattern: bytes, away: Away) -> Iterator[bytes]:
        """Find all keys that match, on all servers that aren't in ``away``.

        A server that fails is added to ``away``.

        Raises:
            RedisError: not even the addresses of the servers are known.
        """
        servers, slots = self._survey(away)
        yield from self._scan(servers, pattern, away)
        servers, slots_now = self._survey(away)
        # During the scan, a key may have moved to a server that had already been scanned.
        if slots_now != slots or any("[" in slot for slot in slots):
            yield from self._scan(servers, pattern, away)

    def _scan(self, servers: list[_Server], pattern: bytes, away: Away) -> Iterator[bytes]:
        for server in servers:
            cursor = None
            with suppress(RedisError):
                while cursor != b"0":
                    arguments = (cursor or b"0", "MATCH", pattern, "COUNT", _SCAN_COUNT)
                    cursor, keys = self._ask(server, "SCAN", *arguments, away=away)
                    yield from keys

    def find_pool(self) -> Any:
        """Find the pool of the only server; ``None`` if Sentinel or a cluster names the server."""
        client = self._client()
        if isinstance(client, RedisCluster):
            return None
        pool = client.connection_pool
        return None if isinstance(pool, SentinelConnectionPool) else pool

    def connection_options(self, pool: Any) -> dict[str, Any]:
        """Give the arguments for a connection: those of the cache, with the time-outs of ours."""
        options = {
            name: value
            for name, value in pool.connection_kwargs.items()
            if not name.startswith(_NOTIFICATIONS)
        }
        return {**options, **self._options}

    def server_version(self, key: bytes) -> str:
        connection = self._open(self._server_of(key), IdleConnections())
        connection.close()
        return connection.version

    def config(self, name: str, key: bytes) -> str | None:
        """Read one value of the server's configuration; ``None`` if it can't be read."""
        try:
            answer, _ = self._call(lambda: self._server_of(key), "CONFIG", "GET", name)
        except RedisError:
            return None
        return answer[1].decode() if answer else None

    # ---- Finding the server

    @outage()
    def _server_of(self, key: bytes) -> _Server:
        client = self._client()
        if not isinstance(client, RedisCluster):
            return _Server("", client.connection_pool)
        cluster: Any = client  # redis-py has types for only some of its methods
        return _as_server(cluster, cluster.get_node_from_key(key))

    @outage()
    def _servers(self) -> list[_Server]:
        client = self._client()
        if not isinstance(client, RedisCluster):
            return [_Server("", client.connection_pool)]
        cluster: Any = client
        return [_as_server(cluster, node) for node in cluster.get_primaries()]

    @outage()
    def _survey(self, away: Away) -> tuple[list[_Server], set[str]]:
        """List all servers, and the slots that each reports; a slot in brackets is being moved."""
        if not isinstance(self._client(), RedisCluster):
            return self._servers(), set()
        with suppress(RedisError):
            self._learn_topology()
        servers = {server.name: server for server in self._servers()}
        slots: set[str] = set()
        for server in list(servers.values()):
            with suppress(RedisError):
                listed = self._ask(server, "CLUSTER", "NODES", away=away).decode()
                for line in listed.splitlines():
                    _, address, flags, _, _, _, _, _, *of_node = line.split(" ")
                    if "myself" in flags:
                        slots |= {f"{server.name} {slot}" for slot in of_node}
                    elif not of_node and {"master", "fail"} & set(flags.split(",")) == {"master"}:
                        # A new primary, which may be about to get its first slot.
                        host, _, port = address.partition("@")[0].rpartition(":")
                        newcomer = self._server_at(host, int(port))
                        servers.setdefault(newcomer.name, newcomer)
        return list(servers.values()), slots

    @outage()
    def _server_at(self, host: str, port: int) -> _Server:
        client: Any = self._client()
        host, port = client.nodes_manager.remap_host_port(host, port)
        make_node: Any = ClusterNode  # without types
        # CLUSTER SLOTS doesn't list a node that has no slots yet.
        return _as_server(client, client.get_node(host, port) or make_node(host, port))

    @outage()
    def _learn_topology(self) -> None:
        client = self._client()
        if isinstance(client, RedisCluster):
            client.nodes_manager.initialize()

    def _client(self) -> Any:
        return get_redis_connection(self._cache)  # for a cluster, this asks for its nodes

    # ---- Running a command

    def _ask(self, server: _Server, *command: Any, away: Away) -> Any:
        answer, _ = self._call(lambda: server, *command, away=away)
        return answer

    def _call(
        self, find: Callable[[], _Server], *command: Any, away: Away | None = None
    ) -> tuple[Any, bytes]:
        away = {} if away is None else away
        server, is_asking = find(), False
        for _ in range(_SECOND_TRIES):
            try:
                return self._try(server, command, is_asking, away)
            except _Lost:
                # A server that closes an idle connection hasn't failed.
                server, is_asking = find(), False
            except exceptions.MovedError:  # an AskError, too
                self._learn_topology()
                server, is_asking = find(), False
            except exceptions.AskError as error:
                # The slot is being moved to that server, and has arrived there with this key. Other
                # keys of the slot may still be here, so only this command goes there.
                host = error.host or server.name.rpartition(":")[0]
                server, is_asking = self._server_at(host, error.port), True
        return self._try(server, command, is_asking, away)

    def _try(
        self, server: _Server, command: tuple[Any, ...], is_asking: bool, away: Away
    ) -> tuple[Any, bytes]:
        if server.name in away:
            raise away[server.name]
        # The connection goes back to the same place. If renew() has forgotten that place by then,
        # the connection is forgotten with it.
        idle = self._idle.setdefault(server.name, IdleConnections())
        try:
            connection = self._open(server, idle)
        except RedisError as error:
            away[server.name] = error
            raise
        try:
            arguments = [connection.run if argument is _Run else argument for argument in command]
            if is_asking:
                connection.call("ASKING")
            return connection.call(*arguments), connection.run
        except Exception as error:  # noqa: BLE001  as in outage()
            if connection.has_answered and not connection.is_clean and not is_timeout(error):
                idle.close()  # the other idle connections are probably lost, too
                raise _Lost(type(error).__name__) from None
            failure = as_redis_error(error)
            if not isinstance(failure, exceptions.ResponseError):
                away[server.name] = failure
            raise failure from None
        finally:
            idle.put(connection)

    @outage()
    def _open(self, server: _Server, idle: IdleConnections) -> Connection:
        return idle.take() or Connection(
            self._connection(server.pool), is_of_cluster=server.name != ""
        )

    def _connection(self, pool: Any) -> Any:
        options = self.connection_options(pool)
        if isinstance(pool, SentinelConnectionPool):
            options["connection_pool"] = BoundedSentinels(pool, self._options)
        return pool.connection_class(**options)


class _Run:
    """A placeholder in a command for the run of the server that it is sent to."""


class _Lost(exceptions.ConnectionError):
    """A connection that had worked is lost; whether the command was run isn't known."""


def _as_server(client: Any, node: Any) -> _Server:
    return _Server(node.name, client.get_redis_connection(node).connection_pool)
