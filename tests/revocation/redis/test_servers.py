"""What the other tests rely on: a server of their own is nobody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.site import ROOT
from tests.revocation.redis import servers
from tests.revocation.redis.servers import RedisServer, free_port, running

pytestmark = pytest.mark.redis

#: Another process that looks from the same number on.
_FIND = """
import os
os.getpid = lambda: {pid}
from tests.revocation.redis.servers import free_port
print(free_port())
"""


def test_port_of_stopped_server_is_not_taken(tmp_path: Path) -> None:
    """Neither by this process nor by one that runs the tests of another database."""
    server = RedisServer(tmp_path, "--save", "")
    server.stop()
    found = subprocess.run(
        [sys.executable, "-c", _FIND.format(pid=server.port - 16000)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert server.port not in {free_port(), int(found.stdout)}


def test_server_of_somebody_else_is_not_taken_for_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that finds its port taken ends, and another one answers there."""
    server = RedisServer(tmp_path / "first", "--save", "")
    with running(server):
        monkeypatch.setattr(servers, "free_port", lambda: server.port)
        with pytest.raises(AssertionError, match="in use"):
            RedisServer(tmp_path / "second", "--save", "")
