"""An ASGI project under uvicorn, whose event loop is in debug mode and must not be blocked."""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from jwt_auth.contrib.channels import SUBPROTOCOL, UNAUTHORIZED
from tests.live.asgi_server import serve_asgi
from tests.live.site import PASSWORD, Server, Site, bearer
from tests.neighbours.packages import optional
from tests.revocation.redis.servers import RedisServer, running

websockets = optional("websockets.asyncio.client")
exceptions = optional("websockets.exceptions")
for package in ("adrf", "channels"):  # the project of the test imports them
    optional(package)

pytestmark = [pytest.mark.live, pytest.mark.example]

RecordProperty = Callable[[str, object], None]

SOCKETS = 200

#: Seconds. Only a failure takes as long.
PATIENCE = 240


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--save", "")
    with running(server):
        yield server


@pytest.fixture(scope="module", params=["database", "Redis"])
def asgi(
    request: pytest.FixtureRequest,
    site: Site,
    redis_server: RedisServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """The project under uvicorn. Whatever it is asked, its log shows no error."""
    if request.param == "Redis":
        site = site.using(REDIS_URL=redis_server.url)
    with serve_asgi(site, tmp_path_factory.mktemp("asgi")) as server:
        yield server


def _log_in(client: requests.Session, name: str = "alice") -> str:
    answer = client.post("/api/auth/login/", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


@pytest.fixture
def client(asgi: Server) -> Iterator[requests.Session]:
    with asgi.session() as client:
        yield client


@pytest.mark.parametrize("path", ["/whoami/", "/adrf/", "/api/hello/"])
def test_views_of_every_kind_know_the_user(path: str, client: requests.Session) -> None:
    """Several times, since the first request of a token is another one than those after it."""
    token = _log_in(client)
    for _ in range(4):
        answer = client.get(path, headers=bearer(token))
        assert (answer.status_code, "alice" in answer.text) == (200, True), answer.text


def test_async_view_sees_nobody_after_a_logout(client: requests.Session) -> None:
    """At once."""
    token = _log_in(client)
    assert client.get("/whoami/", headers=bearer(token)).json()["user"] == "alice"
    assert client.post("/api/auth/logout/", headers=bearer(token)).status_code == 204
    assert client.get("/whoami/", headers=bearer(token)).json() == {"user": "", "sid": None}
    assert client.get("/adrf/", headers=bearer(token)).status_code == 401


async def _open(asgi: Server, token: str, *, as_message: bool) -> Any:
    address = f"{asgi.address.replace('http', 'ws', 1)}/ws/"
    if not as_message:
        return await websockets.connect(
            address,
            subprotocols=[SUBPROTOCOL, token],
            proxy=None,
            open_timeout=PATIENCE,
        )
    connection = await websockets.connect(address, proxy=None, open_timeout=PATIENCE)
    await connection.send(json.dumps({"access_token": token}))
    return connection


async def _is_alive(connection: Any) -> bool:
    word = secrets.token_hex(4)
    await connection.send(json.dumps(word))
    async with asyncio.timeout(PATIENCE):
        answer = json.loads(await connection.recv())
    return bool(answer == {"user": "alice", "said": word})


async def _closing(connection: Any) -> tuple[float, int | None]:
    """Wait for the end; give its time and its code."""
    async with asyncio.timeout(PATIENCE):
        try:
            while True:
                await connection.recv()
        except exceptions.ConnectionClosed:
            return time.monotonic(), connection.close_code


def test_socket_is_closed_soon_after_its_session_ends(
    asgi: Server, client: requests.Session, record_property: RecordProperty
) -> None:
    """200 at once, whose sessions end one by one; the others don't notice."""
    tokens = [_log_in(client) for _ in range(SOCKETS)]
    ended: list[float] = []

    def end(token: str) -> None:
        answer = client.post("/api/auth/logout/", headers=bearer(token), cookies={})
        assert answer.status_code == 204
        ended.append(time.monotonic())

    async def run() -> list[Any]:
        client.cookies.clear()  # of the last login: each logout ends its own session only
        sockets = [await _open(asgi, t, as_message=bool(n % 2)) for n, t in enumerate(tokens)]
        assert all([await _is_alive(each) for each in sockets])
        closings = [asyncio.create_task(_closing(each)) for each in sockets[:-1]]
        for token in tokens[:-1]:
            await asyncio.to_thread(end, token)
        closed = await asyncio.gather(*closings)
        assert await _is_alive(sockets[-1])
        await sockets[-1].close()
        return closed

    closed = asyncio.run(run())
    assert {code for _, code in closed} == {UNAUTHORIZED}
    delays = [moment - since for (moment, _), since in zip(closed, ended, strict=True)]
    record_property("sockets", len(delays))
    record_property("closed_after_median", f"{statistics.median(delays):.2f} s")
    record_property("closed_after_worst", f"{max(delays):.2f} s")


@pytest.mark.parametrize("as_message", [True, False])
def test_socket_with_a_bad_token_is_closed(asgi: Server, as_message: bool) -> None:
    """With the code that tells a page to get another token."""

    async def run() -> int | None:
        connection = await _open(asgi, "forged", as_message=as_message)
        return (await _closing(connection))[1]

    assert asyncio.run(run()) == UNAUTHORIZED
