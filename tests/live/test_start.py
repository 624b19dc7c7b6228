"""A key ring that can't be used stops the server at its start, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.site import START_TIMEOUT, Site, copy_keys

pytestmark = [pytest.mark.live, pytest.mark.example]


def remove(ring: Path) -> None:
    """Lose the ring."""
    ring.unlink()


def expose_folder(ring: Path) -> None:
    """Let everybody list the folder."""
    ring.parent.chmod(0o755)


def expose_ring(ring: Path) -> None:
    """Let the group read the keys."""
    ring.chmod(0o640)


def tear(ring: Path) -> None:
    """Cut the ring off in its middle."""
    ring.write_text(ring.read_text()[:200])


@pytest.mark.parametrize(
    ("spoil", "command"),
    [
        (remove, "generate_keys"),
        (expose_folder, "chmod 700"),
        (expose_ring, "chmod 600"),
        (tear, "generate_keys"),
    ],
)
def test_unusable_key_ring_stops_gunicorn_naming_path_and_command(
    site: Site, tmp_path: Path, spoil: Callable[[Path], None], command: str
) -> None:
    """Gunicorn does not come up; its standard error names the ring's path and what to run."""
    folder = tmp_path / "keys"
    spoilt = copy_keys(replace(site, workers=1), folder)
    spoil(folder / "ring.json")
    with spoilt.start() as server:
        assert server.process.wait(START_TIMEOUT) != 0
    said = server.read_log()
    assert "jwt_auth.E030" in said
    assert str(folder) in said
    assert command in said
    assert '"d"' not in said


def test_server_starts_again_once_the_command_was_run(site: Site, tmp_path: Path) -> None:
    """Doing what the message says is enough: the site is up with a new ring."""
    spoilt = copy_keys(replace(site, workers=1), tmp_path / "keys")
    remove(tmp_path / "keys" / "ring.json")
    spoilt.manage("generate_keys")
    with spoilt.serve() as server:
        assert server.process.poll() is None
