"""Open connections to Redis, and the store of idle ones.

They use redis-py's connection directly, without its pool and retries. So a request pays one round
trip, and a server that hangs costs one time-out.

A connection knows the *run* of its server: a hash of the ``run_id``, which changes with each
restart, and of the ``master_replid``, which changes with each promotion. A key that another run has
written isn't trusted: it may come from an old snapshot, or may have missed what was written to
another server in the meantime.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from hashlib import sha256
from time import monotonic
from typing import Any, Final

from redis import exceptions

#: Length of a run in characters: enough to distinguish two servers.
_RUN_LENGTH: Final = 16

#: Seconds after which a connection asks for the server's run again. A server that was demoted may
#: continue to answer, and be promoted again, without closing a connection.
KNOWN_FOR: Final = 1.0

#: Seconds after which an idle connection is closed.
_IDLE_FOR: Final = 60.0


class Connection:
    """An open connection, and the run of its server.

    A node of a cluster may be a replica: it redirects each command to the primary of the slot.
    """

    def __init__(self, connection: Any, *, is_of_cluster: bool) -> None:
        self._connection = connection
        self._is_of_cluster = is_of_cluster
        #: Whether no command is half sent and no answer half read.
        self.is_clean = True
        try:
            connection.connect()
            info = self.call("INFO", "server")
            self._process = read_process(info)
            self.version = _field(info, b"redis_version").decode()
            self._learn()
        except BaseException:
            self.close()
            raise
        self.has_answered = False

    def keep_known(self) -> bool:
        """Learn the server's run again, unless it is recent.

        Returns false if that fails; then the connection must not be used again.
        """
        if monotonic() < self.known_at + KNOWN_FOR:
            return True
        with suppress(Exception):
            self._learn()
            return True
        return False

    def _learn(self) -> None:
        # The moment before the question: a change while it is being answered is learned next time.
        self.known_at = monotonic()
        info = self.call("INFO", "replication")
        if is_replica(info) and not self._is_of_cluster:
            raise exceptions.ReadOnlyError("The server is a replica.")
        self.run = read_run(self._process, info)

    def call(self, *command: Any) -> Any:
        connection = self._connection
        # Packed and sent here: redis-py's own methods open a lost connection again by themselves,
        # and then perhaps to another server.
        parts = connection.pack_command(*command)
        # After any interruption, such as a worker's time limit, the connection must not be used
        # again: the next command would read the answer of this one.
        self.is_clean = False
        for part in parts:
            connection._sock.sendall(part)
        try:
            answer = connection.read_response(disable_decoding=True)
        except exceptions.ReadOnlyError:
            raise  # the primary has become a replica, so the connection is of no more use
        except exceptions.ResponseError:
            self.is_clean = self.has_answered = True
            raise
        self.is_clean = self.has_answered = True
        return answer

    def close(self) -> None:
        self.is_clean = False
        self._connection.disconnect()


class IdleConnections:
    """The idle connections to one server, the most recently used one on top.

    Threads take them and put them back without a lock, because each step on a deque is atomic. A
    fork could leave a lock locked.
    """

    def __init__(self) -> None:
        self._idle: deque[Connection] = deque()

    def take(self) -> Connection | None:
        """Take a connection that works, if there is one."""
        with suppress(IndexError):
            connection = self._idle.pop()
            if connection.keep_known():
                return connection
            connection.close()
            self.close()  # the ones below have been idle even longer
        return None

    def close(self) -> None:
        """Close all idle connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def put(self, connection: Connection) -> None:
        """Put a connection back, or close it if it must not be used again."""
        if not connection.is_clean:
            connection.close()
            return
        self._idle.append(connection)
        # Close the connections that a burst of requests has left behind.
        with suppress(IndexError):
            while monotonic() > self._idle[0].known_at + _IDLE_FOR:
                self._idle.popleft().close()


def read_process(info: bytes) -> bytes:
    """Read from ``INFO server`` which process answers."""
    return _field(info, b"run_id")


def is_replica(info: bytes) -> bool:
    """Read from ``INFO replication`` whether the server is one."""
    return _field(info, b"role") != b"master"


def read_run(process: bytes, info: bytes) -> bytes:
    """Make the run of a server from its process and its ``INFO replication``."""
    return sha256(process + _field(info, b"master_replid")).hexdigest()[:_RUN_LENGTH].encode()


def _field(info: bytes, name: bytes) -> bytes:
    for line in info.splitlines():
        found, _, value = line.partition(b":")
        if found == name:
            return value
    raise exceptions.ResponseError("The server's INFO does not identify its process.")
