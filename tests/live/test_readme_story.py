"""The story that the README tells with curl, followed to the letter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.live.site import COMMAND_TIMEOUT, ROOT
from tests.live.waiting import wait_until
from tests.programs import need
from tests.revocation.redis.servers import free_port

pytestmark = [pytest.mark.live, pytest.mark.example]

README = (ROOT / "README.md").read_text()
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Variables that would make the demo another one than in a fresh clone.
OTHERS = re.compile(r"DATABASE_URL|DEBUG|DJANGO_SETTINGS_MODULE|REDIS_URL|SECRET_KEY|JWT_AUTH_.*")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What the demo sees in a fresh clone; its data are in a folder of its own."""
    inherited = {name: value for name, value in os.environ.items() if not OTHERS.fullmatch(name)}
    return {**inherited, "EXAMPLE_DATA_DIR": str(tmp_path)}


@pytest.fixture
def address(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Serve the demo as `make demo` does, and give its address."""
    port = free_port()
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _is_up(demo, log, f"http://127.0.0.1:{port}"), "the demo is up")
        yield f"http://127.0.0.1:{port}"
    finally:
        demo.terminate()
        demo.wait()


def _is_up(demo: subprocess.Popen[bytes], log: Path, address: str) -> bool:
    assert demo.poll() is None, log.read_text()
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def test_story_of_the_readme_goes_as_told(
    environment: dict[str, str], address: str, tmp_path: Path
) -> None:
    """Log in, refresh, replay, rotate, log out: each answer has the status that is told."""
    need("curl")
    need("jq")
    story = README.partition("The same story with curl")[2].partition("## State")[0]
    commands = "".join(SHELL.findall(story))
    for written, here in (
        ("http://127.0.0.1:8000", address),
        (".venv/bin/python", sys.executable),
        (".demo/", f"{tmp_path}/"),
    ):
        assert written in commands
        commands = commands.replace(written, here)
    told = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", commands],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        check=True,
    ).stdout
    statuses = re.findall(r"(?:^| )(\d{3})$", told, re.MULTILINE)
    assert statuses == ["200", "200", "401", "401", "401", "200", "200", "204", "401"]
    old, new = re.findall(r"^[\w-]{43}$", told, re.MULTILINE)
    assert old != new
