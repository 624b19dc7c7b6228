"""What Redis could not be told is written before a process ends, or said to be left."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from jwt_auth.flows import Issued
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.management import denials
from jwt_auth.revocation import redis as module
from jwt_auth.revocation.base import Denial, get_backend
from jwt_auth.revocation.redis import RedisRevocation
from tests.conftest import MakeUser
from tests.flows.scene import log_in
from tests.revocation.redis.conftest import REDIS
from tests.revocation.redis.scene import hash_of_user, token_of
from tests.revocation.redis.servers import PATIENT, RedisServer, running, stopped, wait_for
from tests.revocation.redis.test_failing_alone import refuses

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]

Command = Callable[[Issued], list[str]]


@pytest.fixture
def command_backend(
    revocation: dict[str, Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> RedisRevocation:
    """The command's: it doesn't wait for a Redis that hangs, and has no thread that probes."""
    options = {**revocation["OPTIONS"], "TIMEOUT": 0.1}
    settings.JWT_AUTH_REVOCATION = {**revocation, "OPTIONS": options}
    found = get_backend()
    assert isinstance(found, RedisRevocation)
    monkeypatch.setattr(found.circuit, "watch", lambda: None)
    return found


@pytest.fixture
def other(revocation: dict[str, Any]) -> RedisRevocation:
    """A web process, which has seen nothing fail."""
    return RedisRevocation(**revocation["OPTIONS"])


@pytest.fixture
def issued(other: RedisRevocation, make_user: MakeUser) -> Issued:
    """A session that Redis knows."""
    issued = log_in(make_user("alice"))
    other.get_user(token_of(issued))
    return issued


@pytest.fixture
def keys(tmp_path: Path, settings: Settings) -> str:
    """The kid of a key that is to be replaced."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(tmp_path / "keys")},
    }
    call_command("generate_keys", verbosity=0)
    return get_key_store().load().keys[0].kid


@contextmanager
def _stopped(server: RedisServer, until: Callable[[], bool]) -> Iterator[None]:
    """Stop the server until something holds."""
    with ExitStack() as stack:
        stack.enter_context(stopped(server))

        def wait_and_resume() -> None:
            wait_for(until)
            stack.close()

        resume = Thread(target=wait_and_resume)
        resume.start()
        yield
        resume.join()


_REVOKE: dict[str, Command] = {
    "user": lambda issued: ["revoke_tokens", "--user", "alice"],
    "session": lambda issued: ["revoke_tokens", "--session", str(issued.family.pk)],
    "jti": lambda issued: ["revoke_tokens", "--jti", token_of(issued).jti],
    "all": lambda issued: ["revoke_tokens", "--all"],
}


@pytest.mark.parametrize("what", _REVOKE)
def test_revocation_is_written_before_the_command_ends(
    what: str,
    server: RedisServer,
    issued: Issued,
    command_backend: RedisRevocation,
    other: RedisRevocation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis hangs until the command has kept the denial."""
    monkeypatch.setattr(denials, "PATIENCE", PATIENT)
    with _stopped(server, lambda: bool(command_backend._kept)):
        call_command(*_REVOKE[what](issued))
    assert not command_backend._kept
    assert refuses(other, issued)


def test_end_after_a_compromise_is_written_before_the_command_ends(
    server: RedisServer,
    keys: str,
    issued: Issued,
    command_backend: RedisRevocation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sessions of the compromised key's time are over for every process."""
    monkeypatch.setattr(denials, "PATIENCE", PATIENT)
    with _stopped(server, lambda: bool(command_backend._kept)):
        call_command("rotate_keys", "--compromised", keys, "--yes")
    assert not command_backend._kept
    assert hash_of_user(server).get(f"s:{issued.family.pk}".encode()) is None


@pytest.mark.parametrize("what", [*_REVOKE, "compromise"])
def test_command_that_can_not_tell_redis_fails(
    what: str,
    server: RedisServer,
    keys: str,
    issued: Issued,
    command_backend: RedisRevocation,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 1, what has been done, and how long it can take until it counts everywhere."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=7)
    monkeypatch.setattr(denials, "PATIENCE", 0.3)
    arguments = (
        ["rotate_keys", "--compromised", keys, "--yes"]
        if what == "compromise"
        else _REVOKE[what](issued)
    )
    says = r"within 0.3 seconds.*in 7 minutes"
    with stopped(server), pytest.raises(CommandError, match=says) as raised:
        call_command(*arguments)
    assert raised.value.returncode == 1
    assert capsys.readouterr().out


def test_other_process_writes_before_it_ends(tmp_path: Path) -> None:
    """A shell, a worker that is recycled, `changepassword`."""
    server = RedisServer(tmp_path / "redis", "--save", "")
    with running(server):
        _end_process(server.url, "1")
        assert hash_of_user(server)[b"t:a"] == b"1"


def test_other_process_that_can_not_write_says_so(
    backend: RedisRevocation,
    server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How many, and for how long they may go unheard. It doesn't wait for long."""
    monkeypatch.setattr(module, "_EXIT_PATIENCE", 0.2)
    monkeypatch.setattr(backend.circuit, "watch", lambda: None)
    with server.client() as client:
        client.set(backend._key(1), "not a hash")
    backend._keep([Denial(user_id=1, jtis=["a"])])
    logger = logging.getLogger("jwt_auth")
    logger.addHandler(caplog.handler)
    try:
        backend._flush_before_exit()
    finally:
        logger.removeHandler(caplog.handler)
    (said,) = caplog.messages
    assert "1 revocations" in said
    assert "60 seconds" in said
    assert len(backend._kept) == 1


_PROCESS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
from django.conf import settings
settings.CACHES = {**settings.CACHES, "revocation": {
    "BACKEND": "django_redis.cache.RedisCache", "LOCATION": sys.argv[1]}}
settings.JWT_AUTH_REVOCATION = {"BACKEND": sys.argv[2], "OPTIONS": {
    "CACHE": "revocation", "TIMEOUT": 60}}
django.setup()
from jwt_auth.revocation.base import Denial, get_backend
backend = get_backend()
backend.circuit.watch = lambda: None
backend._keep([Denial(user_id=int(sys.argv[3]), jtis=["a"])])
"""


def _end_process(url: str, user: str) -> None:
    command = [sys.executable, "-c", _PROCESS, url, REDIS, user]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
