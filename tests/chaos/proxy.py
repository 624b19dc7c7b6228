"""A TCP proxy that does to its connections what a bad network does."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from threading import Event, Lock, Thread

from tests.revocation.redis.servers import free_port

HOST = "127.0.0.1"

#: Linger for no time: closing sends RST, as a firewall or a lost machine does.
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"


class Proxy:
    """Passes bytes on to a port of this machine, unless told otherwise."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        #: Seconds that each piece waits, in both directions.
        self.delay = 0.0
        #: Accept and read, but never answer.
        self._is_mute = False
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        #: What comes in there goes nowhere.
        self._forgotten: set[socket.socket] = set()
        #: Let no connection through that was accepted just before.
        self._refuses = False
        self._closed = Event()
        self.listen()

    @property
    def url(self) -> str:
        """What a cache is told."""
        return f"redis://{HOST}:{self.port}/0"

    def listen(self) -> None:
        """Accept connections."""
        self._refuses = False
        self._listener = socket.create_server((HOST, self.port))
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones until told to listen."""
        self._refuses = True
        with suppress(OSError):  # wakes whoever accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections; new ones are passed on."""
        with self._lock:
            while self._open:
                _reset(self._open.pop())

    def forget(self) -> None:
        """Drop all connections without a word; new ones are passed on."""
        with self._lock:
            self._forgotten |= self._open

    def mute(self) -> None:
        """Half-open: everything is accepted, nothing is answered."""
        self._is_mute = True

    def unmute(self) -> None:
        """Cut what was never answered, and pass the rest on."""
        self._is_mute = False
        self.cut()

    def switch(self, target: int) -> None:
        """Cut all connections; new ones reach another server."""
        self._target = target
        self.cut()

    def close(self) -> None:
        """End it."""
        self._closed.set()
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection((HOST, self._target))
        except OSError:
            _reset(near)
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {near, far}
        if self._refuses:
            self.cut()
        Thread(target=self._pump, args=(near, far), daemon=True).start()
        Thread(target=self._pump, args=(far, near), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if self._is_mute or source in self._forgotten:
                    continue
                if self.delay:
                    time.sleep(self.delay)
                sink.sendall(piece)
        with self._lock:
            self._open -= {source, sink}
            self._forgotten -= {source, sink}
        _reset(source)
        _reset(sink)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)  # wakes whoever reads
    end.close()
