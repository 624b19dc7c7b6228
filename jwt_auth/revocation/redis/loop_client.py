"""Read from Redis in an event loop, as long as all goes well.

Anything else, such as an error, a time-out or a server that Sentinel or a cluster names, is left to
the client for threads (:mod:`.client`): only that one judges failures, so that there is one set of
rules for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from threading import local
from time import monotonic
from typing import Any, Final

import redis
from redis import asyncio as redis_asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from jwt_auth.revocation.redis.client import RedisClient
from jwt_auth.revocation.redis.connection import KNOWN_FOR, is_replica, read_process, read_run

#: redis-py's classes of connections, and their counterparts for an event loop.
_COUNTERPARTS: Final[dict[type, type[redis_asyncio.connection.AbstractConnection]]] = {
    redis.Connection: redis_asyncio.Connection,
    redis.SSLConnection: redis_asyncio.SSLConnection,
    redis.UnixDomainSocketConnection: redis_asyncio.UnixDomainSocketConnection,
}


class NotHere(Exception):
    """The command has to be given to the client for threads."""


class LoopClient:
    """Sends commands to the server of a client, on connections of the running event loop."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._thread = local()

    async def call(self, *command: Any) -> tuple[Any, bytes]:
        """Run one command; return its answer and the run of the server.

        Raises:
            NotHere: it can't be run here, or may not have been run.
        """
        connections = await self._connections()
        if connections.is_new:
            # The loop of async_to_sync ends with its request, and isn't worth a connection.
            connections.is_new = False
            raise NotHere
        try:
            connection = await connections.take()
        except Exception:  # noqa: BLE001  a client may raise anything
            raise NotHere from None
        try:
            return await connection.call(*command), connection.run
        except Exception:  # noqa: BLE001
            raise NotHere from None
        finally:
            await connections.put(connection)

    async def _connections(self) -> _Connections:
        """Give the connections of this loop, of which a thread runs one at a time."""
        former: _Connections | None = getattr(self._thread, "connections", None)
        loop, epoch = asyncio.get_running_loop(), self._client.epoch
        if former is not None and former.loop is loop and former.epoch is epoch:
            return former
        new = self._thread.connections = _Connections(self._client, loop, epoch)
        if former is not None and former.loop is loop:
            await former.close()
        return new


class _Connections:
    """The idle connections of one event loop, the most recently used one on top."""

    def __init__(self, client: RedisClient, loop: asyncio.AbstractEventLoop, epoch: object) -> None:
        self.loop, self.epoch = loop, epoch
        self.is_new = True
        self._client = client
        self._idle: deque[_LoopConnection] = deque()
        self._end: AsyncGenerator[None] | None = None

    async def take(self) -> _LoopConnection:
        """Take a connection that knows its server, or open one."""
        if self._idle:
            connection = self._idle.pop()
            try:
                await connection.keep_known()
            except BaseException:
                await connection.close()
                raise
            return connection
        if self._end is None:
            self._end = self._close_at_end()
            await anext(self._end)
        return await self._open()

    async def put(self, connection: _LoopConnection) -> None:
        """Put a connection back, or close it if it must not be used again.

        redis-py would open a lost connection again by itself, and then perhaps to another server.
        """
        if connection.is_open and self._client.epoch is self.epoch:
            self._idle.append(connection)
        else:
            await connection.close()

    async def _open(self) -> _LoopConnection:
        pool = self._client.find_pool()
        kind = None if pool is None else _COUNTERPARTS.get(pool.connection_class)
        if pool is None or kind is None:
            raise NotHere
        options = self._client.connection_options(pool)
        options.pop("parser_class", None)
        connection = _LoopConnection(kind(**{**options, "retry": Retry(NoBackoff(), 0)}))
        await connection.open()
        return connection

    async def _close_at_end(self) -> AsyncGenerator[None]:
        """Close the connections when the loop ends: it closes asynchronous generators then."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().close()


class _LoopConnection:
    """An open connection that knows the run of its server, as :class:`.connection.Connection`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @property
    def is_open(self) -> bool:
        """False after any interruption, such as a client that goes away: redis-py disconnects then,
        because the next command would read the answer of this one.
        """
        return bool(self._connection.is_connected)

    async def open(self) -> None:
        try:
            await self._connection.connect()
            self._process = read_process(await self.call("INFO", "server"))
            await self._learn()
        except BaseException:
            await self.close()
            raise

    async def keep_known(self) -> None:
        """Learn the server's run again, unless it is recent."""
        if monotonic() >= self.known_at + KNOWN_FOR:
            await self._learn()

    async def _learn(self) -> None:
        # The moment before the question: a change while it is being answered is learned next time.
        self.known_at = monotonic()
        info = await self.call("INFO", "replication")
        if is_replica(info):
            raise NotHere
        self.run = read_run(self._process, info)

    async def call(self, *command: Any) -> Any:
        connection = self._connection
        await connection.send_packed_command(connection.pack_command(*command), check_health=False)
        return await connection.read_response(disable_decoding=True)

    async def close(self) -> None:
        await self._connection.disconnect(nowait=True)
