"""Call the application as a WSGI server does: with an environ dict, and without a network."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from django.core.handlers.wsgi import WSGIHandler

HOST = "bench.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response, and the seconds that it took."""

    headers: list[tuple[str, str]]
    body: bytes
    seconds: float


class Client:
    """Send requests through the whole WSGI handler, including middleware."""

    def __init__(self, application: WSGIHandler) -> None:
        self._application = application

    def send(self, environ: dict[str, Any]) -> Answer:
        """Send one request and measure the handler's time only.

        Raises:
            RuntimeError: the status is not 200 or 204. Refusals are fast and would falsify the
                figures.
        """
        started: list[Any] = []

        def start_response(*args: Any) -> Any:
            started.extend(args)

        begin = perf_counter()
        response: Any = self._application(environ, start_response)
        body = b"".join(response)
        response.close()
        seconds = perf_counter() - begin
        if not started[0].startswith(("200", "204")):
            raise RuntimeError(f"{environ['PATH_INFO']} answered {started[0]}: {body!r}")
        return Answer(headers=started[1], body=body, seconds=seconds)

    def total(self, environs: Iterable[dict[str, Any]]) -> float:
        """Send the requests one by one; return the seconds that they took together."""
        return sum(self.send(environ).seconds for environ in environs)


def get(path: str, token: str | None = None) -> dict[str, Any]:
    """Make the environ of a GET request."""
    extra = {} if token is None else {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    return _environ("GET", path, b"", extra)


def post(path: str, body: bytes = b"", **extra: str) -> dict[str, Any]:
    """Make the environ of a POST request with a JSON body."""
    return _environ("POST", path, body, {"CONTENT_TYPE": "application/json", **extra})


def _environ(method: str, path: str, body: bytes, extra: dict[str, str]) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": HOST,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": HOST,
        "HTTP_USER_AGENT": "bench",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **extra,
    }
