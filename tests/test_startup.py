"""How a process describes itself in the audit of the keys."""

from __future__ import annotations

import os
import pwd
import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from jwt_auth import signals, startup
from jwt_auth.startup import this_process

pytestmark = pytest.mark.smoke


@pytest.fixture
def started_as(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the process be started as something else: kind and command line."""

    def start(kind: str | None, *argv: str) -> None:
        monkeypatch.setattr(startup, "_started_as", kind)
        monkeypatch.setattr(sys, "argv", list(argv))

    return start


@pytest.mark.parametrize(
    ("kind", "argv", "command"),
    [
        ("server", ["gunicorn", "site.wsgi"], "server"),
        ("command", ["manage.py", "migrate"], "migrate"),
        ("command", ["manage.py"], "manage.py"),
        ("script", ["/srv/site/nightly.py", "--all"], "nightly.py"),
        ("script", ["/usr/lib/python3/celery/__main__.py"], "celery"),
        ("script", [""], "python"),
        (None, [], "python"),
    ],
)
def test_process_is_called_by_what_it_runs(
    started_as: Any, kind: str, argv: list[str], command: str
) -> None:
    """A server is a server under whatever name."""
    started_as(kind, *argv)
    assert this_process().command == command


def test_command_within_another_program_is_named(started_as: Any) -> None:
    """A task queue that rotates keys is not the one who did it, the command is."""
    started_as("server", "gunicorn")
    seen = []

    def receive(*, process: startup.Process, **kwargs: Any) -> None:
        seen.append(process.command)

    signals.key_event.connect(receive)
    try:
        call_command("list_keys", stdout=StringIO())
    finally:
        signals.key_event.disconnect(receive)
    assert seen == ["list_keys"]


def test_user_is_the_kernels_and_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a process can write anything into $USER."""
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert this_process().system_user == pwd.getpwuid(os.geteuid()).pw_name
    assert this_process().pid == os.getpid()


def test_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_001)
    assert this_process().system_user == "uid 4000000001"
