"""The gateways of docs/how-to/gateway.md, each started with the file that the page shows."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage, HTTPSConnection
from pathlib import Path
from socket import create_connection

from tests.live.certificate import HOST, make_certificate
from tests.live.site import ROOT
from tests.live.waiting import wait_until
from tests.programs import need
from tests.revocation.redis.servers import free_port

PAGES = ROOT / "docs/how-to/gateway"

#: The address of the clients. The gateways connect from another one.
CLIENT = "127.0.0.9"

#: What an operator has in nginx.conf already. A root's workers could not read the tests' folder.
_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
{user}
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/gateway.conf;
}}
"""

#: So that Caddy neither asks anybody for a certificate nor opens a second port, and so that its own
#: port may be in use at another address.
_CADDY = """
{{
    admin off
    auto_https off
    default_bind 127.0.0.1
}}
import {folder}/gateway.conf
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client gets."""

    status: int
    headers: HTTPMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway."""

    port: int
    folder: Path
    certificate: Path | None = None

    def send(
        self,
        *headers: tuple[str, str],
        method: str = "GET",
        path: str = "/orders/5?page=2",
        body: bytes = b"",
    ) -> Answer:
        """Send exactly these headers, in any spelling and number, and then the body."""
        connection = self._connect()
        try:
            has_host = any(name == "Host" for name, _ in headers)
            connection.putrequest(method, path, skip_host=has_host, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            response.read()
            return Answer(status=response.status, headers=response.headers)
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        if self.certificate is None:
            return HTTPConnection(HOST, self.port, timeout=45, source_address=(CLIENT, 0))
        context = ssl.create_default_context(cafile=self.certificate)
        return HTTPSConnection(
            HOST, self.port, timeout=45, source_address=(CLIENT, 0), context=context
        )


@contextmanager
def nginx(
    folder: Path, *, auth: int, service: int, cached_for: str | None = None, wait: str = "5s"
) -> Iterator[Gateway]:
    """Run nginx, with the page's cache if there is a time for it."""
    certificate, key = make_certificate(folder)
    gateway = Gateway(port=free_port(), folder=folder, certificate=certificate)
    text = (PAGES / "nginx.conf").read_text()
    changes = {
        **_ports(auth, service),
        "listen 443 ssl;": f"listen {HOST}:{gateway.port} ssl;",
        "/etc/ssl/api.example.com.pem": str(certificate),
        "/etc/ssl/api.example.com.key": str(key),
        "proxy_read_timeout 5s": f"proxy_read_timeout {wait}",
    }
    if cached_for is not None:
        path = (PAGES / "nginx-cache-path.conf").read_text()
        location = (PAGES / "nginx-cache-location.conf").read_text()
        text = path + text.replace("internal;\n", f"internal;\n{location}")
        changes |= {
            "/run/nginx-verify": str(folder / "cache"),
            "204 401 5s": f"204 401 {cached_for}",
        }
    user = "user root;" if os.geteuid() == 0 else ""
    main = _write(folder, text, changes, _NGINX.format(folder=folder, user=user))
    with _running([need("nginx"), "-e", "stderr", "-c", str(main)], gateway):
        yield gateway


@contextmanager
def caddy(folder: Path, *, auth: int, service: int, wait: str = "5s") -> Iterator[Gateway]:
    """Run Caddy, without TLS."""
    gateway = Gateway(port=free_port(), folder=folder)
    changes = {
        **_ports(auth, service),
        "api.example.com {": f"http://{HOST}:{gateway.port} {{",
        "response_header_timeout 5s": f"response_header_timeout {wait}",
    }
    text = (PAGES / "Caddyfile").read_text()
    main = _write(folder, text, changes, _CADDY.format(folder=folder))
    command = [need("caddy"), "run", "--adapter", "caddyfile", "--config", str(main)]
    with _running(command, gateway):
        yield gateway


@contextmanager
def envoy(
    folder: Path, *, auth: int, service: int, page: str = "envoy.yaml", wait: str = "5s"
) -> Iterator[Gateway]:
    """Run Envoy with one of the page's two files, without TLS."""
    gateway = Gateway(port=free_port(), folder=folder)
    changes = {
        "address: 127.0.0.1, port_value: 8000": f"address: {HOST}, port_value: {auth}",
        "address: 127.0.0.1, port_value: 9000": f"address: {HOST}, port_value: {service}",
        "address: 0.0.0.0, port_value: 8080": f"address: {HOST}, port_value: {gateway.port}",
        "timeout: 5s": f"timeout: {wait}",
    }
    text = (PAGES / page).read_text().replace("http://api.example.com/", f"http://{HOST}/")
    _write(folder, text, changes, "")
    configuration = (folder / "gateway.conf").rename(folder / "gateway.yaml")
    command = [need("envoy"), "--config-path", str(configuration)]
    command += ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    with _running(command, gateway):
        yield gateway


def _ports(auth: int, service: int) -> dict[str, str]:
    return {"127.0.0.1:8000": f"{HOST}:{auth}", "127.0.0.1:9000": f"{HOST}:{service}"}


def _write(folder: Path, text: str, changes: Mapping[str, str], main: str) -> Path:
    """Write the page's file with the addresses of the test, and the file that includes it."""
    for shown, here in changes.items():
        assert shown in text, shown
        text = text.replace(shown, here)
    (folder / "gateway.conf").write_text(text)
    (folder / "main.conf").write_text(main)
    return folder / "main.conf"


@contextmanager
def _running(command: list[str], gateway: Gateway) -> Iterator[None]:
    log = gateway.folder / "gateway.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=gateway.folder,
            env={**os.environ, "HOME": str(gateway.folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_up() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            create_connection((HOST, gateway.port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True

    try:
        wait_until(is_up, "the gateway listens")
        yield
    finally:
        process.terminate()
        process.wait()
