"""Each test process has its own server: the other tests depend on this."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.revocation.redis import servers
from tests.revocation.redis.servers import RedisServer, claim, free_port, running

pytestmark = pytest.mark.redis


@pytest.mark.parametrize("offset", [0, 10_000], ids=["clients", "cluster"])
def test_port_of_stopped_server_stays_its_own(offset: int, tmp_path: Path) -> None:
    """The system considers it bound, so no other process gets it. The server can still use it."""
    server = RedisServer(tmp_path, "--save", "")
    server.stop()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port + offset))
    server.start()
    with running(server), server.client() as client:
        assert client.ping()


def test_port_is_not_claimed_twice() -> None:
    """A node of a cluster needs a second port, which another test process may have."""
    with pytest.raises(OSError, match="in use"):
        claim(free_port())


def test_server_of_somebody_else_is_not_taken_for_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that finds its port taken ends, and another one answers there."""
    server = RedisServer(tmp_path / "first", "--save", "")
    with running(server):
        monkeypatch.setattr(servers, "free_port", lambda: server.port)
        with pytest.raises(AssertionError, match="in use"):
            RedisServer(tmp_path / "second", "--save", "")
