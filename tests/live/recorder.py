"""A service that keeps what it receives: headers as they were spelled, bodies and trailers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it has reached the service."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    trailers: bytes

    def values(self, name: str) -> list[str]:
        """Give all values of a header, whatever the case of its name."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    def claimed(self) -> dict[str, list[str]]:
        """Give all values that WSGI or CGI would take for those of an X-Auth header."""
        claimed: dict[str, list[str]] = {}
        for name, value in self.headers:
            plain = name.upper().replace("-", "_")
            if plain.startswith("X_AUTH"):
                claimed.setdefault(plain, []).append(value)
        return claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The running service."""

    port: int
    received: list[Received] = field(default_factory=list)


@contextmanager
def serve(status: int = 200, headers: Mapping[str, str] | None = None) -> Iterator[Service]:
    """Run a service that answers every request with this status, in threads of this process."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body, trailers = _read_body(self)
            service.received.append(
                Received(
                    line=self.requestline,
                    headers=self.headers.items(),
                    body=body,
                    trailers=trailers,
                )
            )
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer  # noqa: N815  # the base class calls them so

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        service = Service(port=server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def _read_body(request: BaseHTTPRequestHandler) -> tuple[bytes, bytes]:
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0)), b""
    body, trailers = b"", b""
    while size := int(request.rfile.readline(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    while (line := request.rfile.readline()).strip():
        trailers += line
    return body, trailers
