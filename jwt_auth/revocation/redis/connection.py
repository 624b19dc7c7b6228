"""An open connection to Redis, and those that nobody uses at the moment.

Straight on redis-py's connection, without its pool and retries: a request pays one round trip, and
a server that hangs costs a time-out. Of the server it learns the *run*: a hash of its ``run_id``,
which is another one after each restart, and of its ``master_replid``, which is another one after
each promotion. So a server is told from the one that was there before, whose keys may have come
back from an old snapshot or have missed what was written elsewhere meanwhile.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from hashlib import sha256
from time import monotonic
from typing import Any, Final

from redis import exceptions

#: Characters of a run: enough to tell two servers apart.
_RUN_LENGTH: Final = 16

#: Seconds after which a connection asks the server anew who it is. A server that was demoted may go
#: on answering, and be promoted again, without closing a connection.
_KNOWN_FOR: Final = 1.0

#: Seconds after which a connection that nobody has used is closed.
_IDLE_FOR: Final = 60.0


class Connection:
    """An open connection, and the run of the server at its other end.

    A node of a cluster may be a replica, which says itself where the slot is.
    """

    def __init__(self, connection: Any, *, is_of_cluster: bool) -> None:
        self._connection = connection
        self._is_of_cluster = is_of_cluster
        #: Nothing half sent, no answer half read.
        self.is_clean = True
        try:
            connection.connect()
            info = self.call("INFO", "server")
            self._process = _field(info, b"run_id")
            self.version = _field(info, b"redis_version").decode()
            self._learn()
        except BaseException:
            self.close()
            raise
        self.has_answered = False

    def keep_known(self) -> bool:
        """Ask the server who it is, unless it has just said so; false where that fails, and the
        connection must not be used again.
        """
        if monotonic() < self.known_at + _KNOWN_FOR:
            return True
        with suppress(Exception):
            self._learn()
            return True
        return False

    def _learn(self) -> None:
        # The moment before the question: what changes during it is learned the next time.
        self.known_at = monotonic()
        info = self.call("INFO", "replication")
        if _field(info, b"role") != b"master" and not self._is_of_cluster:
            raise exceptions.ReadOnlyError("The server is a replica.")
        known_by = self._process + _field(info, b"master_replid")
        self.run = sha256(known_by).hexdigest()[:_RUN_LENGTH].encode()

    def call(self, *command: Any) -> Any:
        connection = self._connection
        # Packed here and sent without a health check: either would open the connection anew by
        # itself, to whichever server is there now.
        parts = connection.pack_command(*command)
        # Whatever interrupts, a worker's time limit too, leaves a connection that must not be used
        # again: its next answer would be somebody else's.
        self.is_clean = False
        for part in parts:
            connection._sock.sendall(part)
        try:
            answer = connection.read_response(disable_decoding=True)
        except exceptions.ReadOnlyError:
            raise  # a primary that has become a replica: there is another one to find
        except exceptions.ResponseError:
            self.is_clean = self.has_answered = True
            raise
        self.is_clean = self.has_answered = True
        return answer

    def close(self) -> None:
        self.is_clean = False
        self._connection.disconnect()


class IdleConnections:
    """The connections to one server that nobody uses, the last used one on top.

    Threads take them and put them back without a lock, which a fork could leave locked: each step
    on a deque is atomic.
    """

    def __init__(self) -> None:
        self._idle: deque[Connection] = deque()

    def take(self) -> Connection | None:
        """Give one that is good, if there is any."""
        with suppress(IndexError):
            connection = self._idle.pop()
            if connection.keep_known():
                return connection
            connection.close()
            self.close()  # those below have been idle for longer still
        return None

    def close(self) -> None:
        """Close all that are here."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def put(self, connection: Connection) -> None:
        """Take one back, unless it must not be used again."""
        if not connection.is_clean:
            connection.close()
            return
        self._idle.append(connection)
        # What a burst has left behind.
        with suppress(IndexError):
            while monotonic() > self._idle[0].known_at + _IDLE_FOR:
                self._idle.popleft().close()


def _field(info: bytes, name: bytes) -> bytes:
    for line in info.splitlines():
        found, _, value = line.partition(b":")
        if found == name:
            return value
    raise exceptions.ResponseError("The server does not say which process it is.")
