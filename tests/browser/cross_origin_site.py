"""An API on one host and front ends on others, over HTTPS, for a real browser.

All names lead to one server on this machine: ``--host-resolver-rules`` has Chromium look nowhere
else. ``app.site.test`` and ``api.site.test`` are one site, ``front.other.test`` is another one.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from tests.browser.devices import wait_until
from tests.browser.engines import start_with_profile
from tests.live.certificate import HOST, make_certificate

API, APP, SIBLING, OTHER = "api.site.test", "app.site.test", "blog.site.test", "front.other.test"

#: Every name is this machine.
RESOLVER = f"--host-resolver-rules=MAP * {HOST}"

# Runs in the page, as its own script would; what CORS hides is null.
_FETCH = """
async ([url, init]) => {
  try {
    const answer = await fetch(url, init);
    const text = await answer.text();
    let body = null;
    try { body = JSON.parse(text); } catch { }
    return { status: answer.status, type: answer.type, body };
  } catch (error) {
    return { status: null, type: String(error.name), body: null };
  }
}
"""


# Headless Chromium blocks third-party cookies unless a profile says otherwise.
_KEEPS_THIRD_PARTY_COOKIES = {
    "profile": {"block_third_party_cookies": False, "cookie_controls_mode": 0}
}


class _Server(ThreadedWSGIServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser breaks a connection off to ask about the certificate."""


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the standard library has it
        """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request that the API got, and what it answered; browsers hide both from other origins."""

    method: str
    path: str
    cookie: str
    status: int


@dataclass(frozen=True, slots=True)
class Hosts:
    """The addresses of one running server, and what has come in at the API."""

    port: int
    exchanges: list[Exchange] = field(default_factory=list)

    def origin(self, host: str) -> str:
        """Give what a browser calls the origin of a host's pages."""
        return f"https://{host}:{self.port}"

    def url(self, path: str) -> str:
        """Give an address of the API."""
        return self.origin(API) + path

    def wait_for(self, number: int, page: Any) -> list[Exchange]:
        """Wait until so many requests have been answered, and list them."""
        wait_until(lambda: len(self.exchanges) >= number, f"only {self.exchanges}", page)
        return list(self.exchanges)


@contextmanager
def serve(folder: Path) -> Iterator[Hosts]:
    """Serve Django on the API's host and an empty page on each other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(folder))
    server = _Server((HOST, 0), _Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    hosts = Hosts(server.server_port)
    server.set_app(_by_host(WSGIHandler(), hosts.exchanges))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hosts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def keeping_third_party_cookies(browser_type: Any, profile: Path) -> Iterator[Any]:
    """Start a browser that sends cookies to other sites, as Chrome does by default."""
    (profile / "Default").mkdir(parents=True)
    preferences = profile / "Default" / "Preferences"
    preferences.write_text(json.dumps(_KEEPS_THIRD_PARTY_COOKIES))
    context = start_with_profile(browser_type, profile, RESOLVER)
    yield context
    context.close()


def fetch(page: Any, url: str, method: str = "GET", **init: Any) -> Any:
    """Have a page fetch with its cookies; give the status and the body that its script sees."""
    init = {"method": method, "credentials": "include", **init}
    if "json" in init:
        init["body"] = json.dumps(init.pop("json"))
        init["headers"] = {"Content-Type": "application/json", **init.get("headers", {})}
    return page.evaluate(_FETCH, [url, init])


def _by_host(django: WSGIHandler, exchanges: list[Exchange]) -> Callable[..., Iterable[bytes]]:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["wsgi.url_scheme"] = "https"
        if environ["HTTP_HOST"].partition(":")[0] == API:
            response = django(environ, start_response)
            # Preflights and favicons are the browser's own.
            if environ["REQUEST_METHOD"] != "OPTIONS" and environ["PATH_INFO"].startswith("/api/"):
                exchanges.append(
                    Exchange(
                        method=environ["REQUEST_METHOD"],
                        path=environ["PATH_INFO"],
                        cookie=environ.get("HTTP_COOKIE", ""),
                        status=response.status_code,
                    )
                )
            return response
        start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", "15")])
        return [b"<!doctype html>"]

    return application
