"""Redis servers for tests, on free ports; the code that starts a server also ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.programs import need

#: Seconds. A pause of the machine is not a failure.
_PATIENCE = 120.0

#: The time-out of clients that need an answer. With a shorter one, the database might answer
#: instead of Redis.
PATIENT = 60.0


def free_port() -> int:
    """Let the system choose a port, and keep it from other processes while this one lives.

    A server that is stopped for a while must find its port again. As long as a socket is bound to
    the port, the system gives it to no other socket that asks for a free one and to no outgoing
    connection. Only a server that asks for this very port with SO_REUSEADDR shares it, as Redis
    does.
    """
    while True:
        port = claim(0)
        # A node of a cluster also listens at its port plus 10,000.
        with contextlib.suppress(OSError, OverflowError):
            claim(port + 10_000)
            return port


_CLAIMS: list[socket.socket] = []


def claim(port: int) -> int:
    """Bind a socket to the port, or to any with 0, and return the port; OSError if it is taken."""
    claimed = socket.socket()
    _CLAIMS.append(claimed)
    claimed.bind(("127.0.0.1", port))
    # After bind(): with the option set before it, two processes could claim one port.
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found: int = claimed.getsockname()[1]
    if sys.platform != "linux":
        claimed.close()  # only Linux lets a server listen where another socket is bound
    return found


class RedisServer:
    """A server process; what it saves is in its folder."""

    def __init__(self, folder: Path, *arguments: str, mode: str = "redis") -> None:
        self.port = free_port()
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self._arguments = arguments
        self._mode = mode
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """The LOCATION for a cache."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [need("redis-server")]
        if self._mode == "sentinel":
            command += [str(self.folder / "sentinel.conf"), "--sentinel"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self._arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            wait_for(self._answers)
        except BaseException:
            self.stop()  # the caller can't: it has no server to end yet
            raise

    def stop(self) -> None:
        """Kill it, so that it can't save anything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self, **options: Any) -> Redis:
        options.setdefault("socket_timeout", PATIENT)
        return Redis(host="127.0.0.1", port=self.port, **options)

    def run(self, *command: Any) -> Any:
        """Run a command on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(RedisError), self.client() as client:
            return bool(client.info("server")["process_id"] == self.pid)
        return False


@contextlib.contextmanager
def running(*servers: RedisServer) -> Iterator[None]:
    """End the servers in any case."""
    try:
        yield
    finally:
        for server in servers:
            server.stop()


#: An address without a server: a replica of it lags behind for ever.
NOBODY = ("127.0.0.1", 1)


@contextlib.contextmanager
def demoted(server: RedisServer) -> Iterator[None]:
    """Let the server be a replica for a while."""
    server.run("REPLICAOF", *NOBODY)
    try:
        yield
    finally:
        server.run("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def stopped(server: RedisServer) -> Iterator[None]:
    """Let the server hang: it accepts connections and doesn't answer."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def wait_for(condition: Callable[[], bool], patience: float = _PATIENCE) -> None:
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
