"""The way to Redis: which server has a key, and a connection to it that knows which server it is.

Connections are kept across requests and threads: under ASGI, each request has a thread of its own.
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
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from jwt_auth.forks import after_fork_in_child
from jwt_auth.revocation.redis.connection import Connection, IdleConnections
from jwt_auth.revocation.redis.outages import as_redis_error, is_timeout, outage

#: Keys that a scan asks for at once.
_SCAN_COUNT: Final = 500

#: Milliseconds that the key of a probe lives.
_PROBE_TTL: Final = 1000

#: A command is tried again after a lost connection, and where the slot has moved or is moving.
_SECOND_TRIES: Final = 3

#: Servers that have failed, by name, and by what. Within one round they are not asked again.
Away: TypeAlias = dict[str, RedisError]

#: What redis-py keeps in its pools for notifications that lengthen time-outs and reconnect.
_NOTIFICATIONS: Final = ("maint", "orig_", "oss_")


@dataclass(frozen=True, slots=True)
class _Server:
    """The one that a key is asked of; its name tells the nodes of a cluster apart."""

    name: str
    pool: Any


class RedisClient:
    """The way to the Redis of one django-redis cache: standalone, Sentinel or Cluster."""

    def __init__(self, cache: str, *, timeout: float) -> None:
        self._cache = cache
        self._options = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": Retry(NoBackoff(), 0),
            # No pushed messages between the answers.
            "protocol": 2,
        }
        self.renew()
        after_fork_in_child(self.renew)  # it must not write into its parent's sockets

    def renew(self) -> None:
        """Open all connections anew, to whichever servers are there then."""
        self._idle: dict[str, IdleConnections] = {}

    def call(self, name: str, key: bytes, *arguments: Any) -> tuple[Any, bytes]:
        """Run one command on the server of ``key``: its answer, and the run of that server.

        Raises:
            RedisError: it could not be reached in time, or refused.
        """
        return self._call(lambda: self._server_of(key), name, key, *arguments)

    def run_script(
        self, script: str, key: bytes, *arguments: Any, away: Away | None = None
    ) -> tuple[Any, bytes]:
        """Run a script on one key; its ``ARGV[1]`` is the run of the server, ``ARGV[2]`` the first
        argument. It may run twice, where the first answer was lost.

        A server in ``away`` is not asked but counts as failed; one that fails now is added.
        """
        command = ("EVAL", script, 1, key, _Run, *arguments)
        return self._call(lambda: self._server_of(key), *command, away=away)

    def ping(self) -> Away:
        """Ask every server for a sign of life; gives those that give none.

        Raises:
            RedisError: not even their addresses are known.
        """
        away: Away = {}
        try:
            self._learn_topology()
        except RedisError as error:
            away[""] = error  # those known from before may answer all the same
        for server in self._servers():
            with suppress(RedisError):
                self._ask(server, "PING", away=away)
        return away

    def put(self, key: bytes) -> None:
        """Have a server take a key, for a moment: it may be full, or a replica.

        Raises:
            RedisError: it does not.
        """
        self.call("SET", key, "1", "PX", _PROBE_TTL)

    def scan(self, pattern: bytes, away: Away) -> Iterator[bytes]:
        """All keys that match, of all servers but those in ``away``, to which one that fails
        meanwhile is added.

        Raises:
            RedisError: not even their addresses are known.
        """
        servers, slots = self._survey(away)
        yield from self._scan(servers, pattern, away)
        servers, slots_now = self._survey(away)
        # Meanwhile a key may have been carried to a server that had been looked through.
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

    def server_version(self, key: bytes) -> str:
        connection = self._open(self._server_of(key), IdleConnections())
        connection.close()
        return connection.version

    def config(self, name: str, key: bytes) -> str | None:
        """One value of the server's configuration; ``None`` where it may not be asked for."""
        try:
            answer, _ = self._call(lambda: self._server_of(key), "CONFIG", "GET", name)
        except RedisError:
            return None
        return answer[1].decode() if answer else None

    # ---- Which server

    @outage()
    def _server_of(self, key: bytes) -> _Server:
        client = self._client()
        if not isinstance(client, RedisCluster):
            return _Server("", client.connection_pool)
        cluster: Any = client  # redis-py has types for some of its methods
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
        """All servers, and the slots that each says it has; in brackets, one that is on its way."""
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
                        # It may be about to get its first slot.
                        host, _, port = address.partition("@")[0].rpartition(":")
                        newcomer = self._server_at(host, int(port))
                        servers.setdefault(newcomer.name, newcomer)
        return list(servers.values()), slots

    @outage()
    def _server_at(self, host: str, port: int) -> _Server:
        client: Any = self._client()
        host, port = client.nodes_manager.remap_host_port(host, port)
        make_node: Any = ClusterNode  # without types
        # One without a slot of its own is not listed by CLUSTER SLOTS.
        return _as_server(client, client.get_node(host, port) or make_node(host, port))

    @outage()
    def _learn_topology(self) -> None:
        client = self._client()
        if isinstance(client, RedisCluster):
            client.nodes_manager.initialize()

    def _client(self) -> Any:
        return get_redis_connection(self._cache)  # a cluster is asked for its nodes right away

    # ---- One command

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
                # A server that closed an idle connection has said nothing about itself yet.
                server, is_asking = find(), False
            except exceptions.MovedError:  # an AskError, too
                self._learn_topology()
                server, is_asking = find(), False
            except exceptions.AskError as error:
                # The key's slot is being moved there. Only this once: others may still be here.
                host = error.host or server.name.rpartition(":")[0]
                server, is_asking = self._server_at(host, error.port), True
        return self._try(server, command, is_asking, away)

    def _try(
        self, server: _Server, command: tuple[Any, ...], is_asking: bool, away: Away
    ) -> tuple[Any, bytes]:
        if server.name in away:
            raise away[server.name]
        # Where it is put afterwards, too: renew() forgets it, and all that go back there.
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
                idle.close()  # the others are likely to be gone with it
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
        options = {
            name: value
            for name, value in pool.connection_kwargs.items()
            if not name.startswith(_NOTIFICATIONS)
        }
        if isinstance(pool, SentinelConnectionPool):
            options["connection_pool"] = _Sentinels(pool, self._options)
        return pool.connection_class(**{**options, **self._options})


class _Sentinels:
    """Stands in for the pool of a Sentinel connection, which asks it where the primary is.

    With time-outs: the sentinels of a django-redis cache have none unless somebody wrote them.
    """

    is_master = True
    check_connection = False

    def __init__(self, pool: SentinelConnectionPool, options: dict[str, Any]) -> None:
        self.service_name = pool.service_name
        self._manager = pool.sentinel_manager
        self._options = options

    def get_master_address(self) -> Any:
        manager = self._manager
        addresses = [
            (kwargs["host"], kwargs["port"])
            for sentinel in manager.sentinels
            for kwargs in [sentinel.connection_pool.connection_kwargs]
        ]
        make: Any = Sentinel  # without types
        bounded = make(
            addresses,
            min_other_sentinels=manager.min_other_sentinels,
            sentinel_kwargs={**manager.sentinel_kwargs, **self._options},
        )
        # As discover_master() does, whose error has only a text, with addresses, of what failed.
        failure: RedisError = MasterNotFoundError(self.service_name)
        try:
            for sentinel in bounded.sentinels:
                try:
                    state = sentinel.sentinel_masters().get(self.service_name)
                except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                    failure = error
                    continue
                if state and bounded.check_master_state(state, self.service_name):
                    return state["ip"], state["port"]
            raise failure
        finally:
            for sentinel in bounded.sentinels:
                sentinel.close()


class _Run:
    """Stands in a command for the run of the server that it is sent to."""


class _Lost(exceptions.ConnectionError):
    """A connection that had been good is gone; whether the command was run is not known."""


def _as_server(client: Any, node: Any) -> _Server:
    return _Server(node.name, client.get_redis_connection(node).connection_pool)
