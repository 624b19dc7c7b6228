"""Measure the gateways of docs/how-to/gateway.md: `python -m benchmarks.gateway`.

Everything runs on this machine: the load, the gateway, the second service (an nginx that answers
"ok"), gunicorn with the example project, PostgreSQL and Redis. The load is an open loop: a request
that has to wait because the former ones are slow counts from the time at which it was due.
"""

from __future__ import annotations

import argparse
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg

from benchmarks.load import Load, Target, send
from tests.live import gateways
from tests.live.site import PASSWORD, Server, Site
from tests.live.waiting import wait_until
from tests.programs import need
from tests.revocation.redis.servers import free_port
from tests.servers import POSTGRESQL, Found, find_database

USERS = tuple(f"user{number}" for number in range(100))
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

_SERVICE = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        large_client_header_buffers 4 32k;
        location / {{ return 200 "ok"; }}
    }}
}}
"""


def main() -> int:
    """Measure each contender in turn, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway")
    parser.add_argument("--rate", type=int, default=1000, help="requests per second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="names of rows")
    arguments = parser.parse_args()
    found = find_database(POSTGRESQL)
    if not isinstance(found, Found):
        print(f"There is no PostgreSQL ({found.reason}): {found.hint}.", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = Site.create(folder, stack.enter_context(_scratch(found.url)), *USERS)
        service = stack.enter_context(_service(_make(folder, "service")))
        print(f"{arguments.rate} requests per second for {arguments.seconds} s")
        print(f"{'':24}{'held':>8}{'p50 ms':>10}{'p99 ms':>10}{'errors':>8}{'auth CPU ms':>14}")
        for name, (kind, settings, options) in CONTENDERS.items():
            if arguments.only and name not in arguments.only:
                continue
            behind = replace(site.using(**settings), has_tls=False)
            with behind.serve() as auth:
                tokens = _log_in(auth)
                with _gateway(kind, _make(folder, name), auth, service, options) as (port, tls):
                    target = Target(port=port, tls=tls, requests=[_request(t) for t in tokens])
                    send(target, rate=100, seconds=2)  # opens connections, fills caches
                    before = _cpu_seconds(auth)
                    load = send(target, rate=arguments.rate, seconds=arguments.seconds)
                    _show(name, load, _cpu_seconds(auth) - before)
    return 0


_PLAIN = {"LOG_LEVEL": "ERROR", "NUM_PROXIES": "1"}
_REDIS = {**_PLAIN, "REDIS_URL": REDIS_URL}

#: By the name of the row: the gateway, the settings of the auth service, the gateway's options.
CONTENDERS: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "no gateway": ("", _PLAIN, {}),
    "nginx": ("nginx", _PLAIN, {}),
    "nginx, Redis": ("nginx", _REDIS, {}),
    "nginx, cache 5 s": ("nginx", _PLAIN, {"cached_for": "5s"}),
    "Caddy": ("caddy", _PLAIN, {}),
    "Envoy": ("envoy", _PLAIN, {}),
    "Envoy alone, jwt_authn": ("envoy", _PLAIN, {"page": "envoy-jwt-authn.yaml"}),
}


@contextmanager
def _gateway(
    kind: str, folder: Path, auth: Server, service: int, options: dict[str, Any]
) -> Iterator[tuple[int, ssl.SSLContext | None]]:
    """Start a gateway, or none; give the port to send to, and how to speak TLS there."""
    if not kind:
        yield service, None
        return
    start: Any = getattr(gateways, kind)
    port = urlsplit(auth.address).port
    with start(folder, auth=port, service=service, **options) as gateway:
        has_tls = gateway.certificate is not None
        tls = ssl.create_default_context(cafile=gateway.certificate) if has_tls else None
        yield gateway.port, tls


@contextmanager
def _service(folder: Path) -> Iterator[int]:
    """Run the second service; give its port."""
    port = free_port()
    (folder / "nginx.conf").write_text(_SERVICE.format(folder=folder, port=port))
    process = subprocess.Popen([need("nginx"), "-e", "stderr", "-c", str(folder / "nginx.conf")])
    try:
        wait_until((folder / "nginx.pid").exists, "the second service is up")
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _scratch(server: str) -> Iterator[str]:
    """Make a database, and delete it at the end; give its URL."""
    name = f"bench_gateway_{os.getpid()}"
    url = urlsplit(server)
    postgres = url._replace(path="/postgres").geturl()
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield url._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _make(folder: Path, name: str) -> Path:
    """Make a folder for a server's files."""
    made = folder / name.replace(" ", "-").replace(",", "")
    made.mkdir()
    return made


def _log_in(auth: Server) -> list[str]:
    tokens = []
    with auth.session() as client:
        for name in USERS:
            body = {"username": name, "password": PASSWORD}
            answer = client.post("/api/auth/login/", json=body)
            tokens.append(str(answer.json()["access_token"]))
    return tokens


def _request(token: str) -> bytes:
    lines = ("GET /orders/5 HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", "", "")
    return "\r\n".join(lines).encode()


def _cpu_seconds(auth: Server) -> float:
    """Give the time that the auth service has had a processor: other load doesn't change it."""
    master = psutil.Process(auth.process.pid)
    times = [process.cpu_times() for process in (master, *master.children())]
    return sum(each.user + each.system for each in times)


def _show(name: str, load: Load, cpu_seconds: float) -> None:
    per_request = cpu_seconds / len(load.latencies) * 1000
    print(
        f"{name:24}{load.rate:8.0f}{load.percentile(50):10.1f}{load.percentile(99):10.1f}"
        f"{load.errors:8}{per_request:14.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
