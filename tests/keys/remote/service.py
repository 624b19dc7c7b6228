"""A service on a free port of this machine that can be slow, broken, overloaded or away."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: Message
    body: bytes
    #: The number of the connection that it came on.
    connection: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, and the way in which it is sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    #: The connection ends after so many bytes of the body.
    cut: int | None = None
    #: Seconds between any two bytes: a blank is sent for each byte of the body.
    drip: float = 0

    @classmethod
    def json(cls, content: object, status: int = 200, **headers: str) -> Self:
        return cls(
            status=status,
            body=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"} | headers,
        )


Respond = Callable[[Request], Answer]


class Service:
    """Answers each request by ``respond``, unless the test wants it otherwise."""

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None) -> None:
        self.respond = respond
        self.requests: list[Request] = []
        #: Answers that come before any other, each once.
        self.next: deque[Answer] = deque()
        #: The answer to every request, once ``next`` is empty.
        self.always: Answer | None = None
        #: Connections end without a word.
        self.away = False
        #: Set when a request has come, and when a few bytes of an answer have dripped.
        self.asked, self.dripped = threading.Event(), threading.Event()
        self._open = threading.Event()
        self._open.set()
        self._server = _Server(self)
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]

    @contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._open.set()
            self._server.shutdown()
            self._server.socket.close()
            thread.join(60)

    @contextmanager
    def being_away(self) -> Iterator[None]:
        self.away = True
        try:
            yield
        finally:
            self.away = False

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Have every request wait until the test lets it go."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def release(self) -> None:
        """Let the held requests go on."""
        self._open.set()

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        self.asked.set()
        # Chosen now: a client that goes away while it is held takes no later one's answer.
        chosen = self.next.popleft() if self.next else self.always
        self._open.wait(60)
        return chosen or self.respond(request)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Eight writers at once, each with another connection.
    request_queue_size = 64

    def __init__(self, service: Service) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service
        self.numbers = count(1)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients go away in the middle, and untrusted certificates are refused."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    # Headers and body in one segment: two would wait for each other's acknowledgement.
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.number = next(self.server.numbers)

    def handle_one_request(self) -> None:
        service = self.server.service
        self.raw_requestline = self.rfile.readline(65537)
        if service.away or not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            method=self.command,
            path=self.path,
            headers=self.headers,
            body=body,
            connection=self.number,
        )
        self._send(service.answer(request))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.drip:
            self._drip(answer)
        self.wfile.write(answer.body[: answer.cut])
        self.wfile.flush()
        if answer.cut is not None:
            self.close_connection = True

    def _drip(self, answer: Answer) -> None:
        """Send blanks, which may stand before any JSON, for as long as it is the answer."""
        service = self.server.service
        for sent in range(len(answer.body)):
            self.wfile.write(b" ")
            self.wfile.flush()
            if sent > 3:
                service.dripped.set()
            time.sleep(answer.drip)
            if service.always is not answer:
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
