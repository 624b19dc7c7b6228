"""Denials that Redis didn't get are written before a process ends, or reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings
from redis import Connection

from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.management import denials
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis import backend as backend_module
from jwt_auth.revocation.redis import denials as denials_module
from jwt_auth.revocation.redis.circuit_breaker import State
from jwt_auth.tokens.claims import AccessToken
from tests.conftest import MakeUser
from tests.flows.scene import log_in
from tests.revocation.redis.scene import (
    REDIS,
    admits,
    cache_at,
    cut_off,
    hash_of_user,
    keys_of,
    state_of,
    token_of,
    trust_at_once,
    use_redis,
)
from tests.revocation.redis.servers import PATIENT, RedisServer, stopped, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]

Command = Callable[[AccessToken], list[str]]


@pytest.fixture
def command_backend(
    server: RedisServer, other: RedisRevocation, settings: Settings, nobody_probes: None
) -> RedisRevocation:
    """The command's backend: it doesn't wait for a hanging Redis, and has no thread that probes."""
    options = settings.JWT_AUTH_REVOCATION["OPTIONS"]
    return use_redis(settings, cache_at(server.url), **{**options, "TIMEOUT": 0.1})


@pytest.fixture
def keys(tmp_path: Path, settings: Settings) -> None:
    """Keys that may be replaced."""
    settings.JWT_AUTH_KEY_STORE = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(tmp_path / "keys")},
    }
    call_command("generate_keys", verbosity=0)


@pytest.fixture
def token(keys: None, other: RedisRevocation, make_user: MakeUser) -> AccessToken:
    """A token of a session that Redis knows."""
    token = token_of(log_in(make_user("alice")))
    assert admits(other, token)
    return token


@contextmanager
def _stopped(server: RedisServer, until: Callable[[], bool]) -> Iterator[None]:
    """Stop the server until a condition holds."""

    def resume() -> None:
        wait_for(until)
        os.kill(server.pid, signal.SIGCONT)

    with stopped(server), ThreadPoolExecutor(1) as thread:
        thread.submit(resume)
        yield


_REVOKE: dict[str, Command] = {
    "user": lambda token: ["revoke_tokens", "--user", "alice"],
    "session": lambda token: ["revoke_tokens", "--session", str(token.session_id)],
    "jti": lambda token: ["revoke_tokens", "--jti", token.jti],
    "all": lambda token: ["revoke_tokens", "--all"],
    "key": lambda token: [
        *("rotate_keys", "--yes", "--compromised", get_key_store().load().keys[0].kid)
    ],
}
#: They end everything, so only the second step of the revocation tells Redis.
_OF_ALL = {"all", "key"}


@pytest.mark.parametrize("what", _REVOKE)
def test_revocation_is_written_before_the_command_ends(
    what: str,
    server: RedisServer,
    token: AccessToken,
    command_backend: RedisRevocation,
    other: RedisRevocation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Redis hangs until the command has kept the denial."""
    monkeypatch.setattr(denials, "PATIENCE", PATIENT)
    with _stopped(server, lambda: bool(command_backend.denials.kept)):
        call_command(*_REVOKE[what](token))
    assert not command_backend.denials.kept
    assert not admits(other, token)


@pytest.mark.parametrize("what", _REVOKE)
def test_command_that_can_not_tell_redis_fails(
    what: str,
    server: RedisServer,
    token: AccessToken,
    command_backend: RedisRevocation,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 1, the work that was done, and when it takes effect everywhere."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=7)
    monkeypatch.setattr(denials, "PATIENCE", 0.3)
    says = r"within 0.3 seconds.*in 7 minutes"
    with stopped(server), pytest.raises(CommandError, match=says) as raised:
        call_command(*_REVOKE[what](token))
    assert raised.value.returncode == 1
    assert capsys.readouterr().out


def test_other_process_writes_before_it_ends(server: RedisServer) -> None:
    """A shell, a worker that is recycled, `changepassword`."""
    command = [sys.executable, "-c", _PROCESS, server.url, REDIS]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert hash_of_user(server)[b"t:a"] == b"1"


@pytest.mark.usefixtures("nobody_probes")
def test_other_process_that_can_not_write_says_so(
    backend: RedisRevocation,
    server: RedisServer,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It logs how many, and for how long tokens may still be accepted. It doesn't wait for long."""
    monkeypatch.setattr(backend_module, "_EXIT_PATIENCE", 0.2)
    server.run("SET", backend.keys.of_user(1), "not a hash")
    backend._keep([Denial(user_id=1, jtis=["a"])])
    backend._flush_before_exit()
    (said,) = log.messages
    assert "1 revocations" in said
    assert "60 seconds" in said
    assert len(backend.denials.kept) == 1


@pytest.mark.parametrize("by", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("what", _REVOKE)
def test_revocation_that_is_interrupted_is_written_before_the_end(
    what: str,
    by: type[BaseException],
    token: AccessToken,
    command_backend: RedisRevocation,
    other: RedisRevocation,
) -> None:
    """After the commit, while Redis is being told."""
    marks = 0 if what in _OF_ALL else 1
    with cut_off(after=marks, by=by) as lost, pytest.raises(by):
        call_command(*_REVOKE[what](token))
    assert lost
    assert len(command_backend.denials.kept) == 1
    command_backend._flush_before_exit()
    assert not command_backend.denials.kept
    assert not admits(other, token)


def test_revocation_that_is_interrupted_is_written_by_a_process_that_goes_on(
    token: AccessToken, backend: RedisRevocation, other: RedisRevocation
) -> None:
    """It probes until the denial is written, even if no mark makes others ask the database."""
    trust_at_once(backend.circuit)
    with cut_off(by=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        call_command(*_REVOKE["all"](token))
    wait_for(lambda: not backend.denials.kept and state_of(backend.circuit) is State.CLOSED)
    assert not admits(other, token)


@pytest.mark.parametrize("by", [KeyboardInterrupt, SystemExit])
def test_writing_that_is_interrupted_loses_nothing(
    by: type[BaseException], server: RedisServer, command_backend: RedisRevocation
) -> None:
    """The denial that was being written is kept, and so are all later ones."""
    denials = [Denial(user_id=1, jtis=[jti]) for jti in "abc"]
    command_backend._keep(denials)
    with cut_off(after=1, by=by), pytest.raises(by):
        command_backend.flush(PATIENT)
    assert command_backend.denials.kept == denials[1:]
    assert command_backend.flush(PATIENT)
    assert {b"t:a", b"t:b", b"t:c"} <= hash_of_user(server).keys()


@pytest.mark.usefixtures("nobody_probes")
def test_end_that_is_interrupted_says_what_is_left(
    backend: RedisRevocation, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like an end that has waited in vain."""
    monkeypatch.setattr(backend_module, "_EXIT_PATIENCE", PATIENT)
    backend._keep([Denial(user_id=1, jtis=["a"])])
    with cut_off(by=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        backend._flush_before_exit()
    (said,) = log.messages
    assert "1 revocations" in said


def test_end_waits_no_longer_than_it_may_for_many_denials(
    command_backend: RedisRevocation, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Denials that are left at the end of the time stay kept."""
    command_backend._keep([Denial(user_id=1, jtis=[str(number)]) for number in range(100)])
    with monkeypatch.context() as patch:
        patch.setattr(denials_module, "monotonic", count().__next__)
        assert not command_backend.flush(10)
    written = [name for name in hash_of_user(server) if name.startswith(b"t:")]
    assert 0 < len(written) < 10
    assert len(written) + len(command_backend.denials.kept) == 100
    assert command_backend.flush(PATIENT)


def test_end_waits_no_longer_than_it_may_for_many_hashes(
    command_backend: RedisRevocation, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A denial of all users is kept until it has reached the last hash."""
    for number in range(100):
        command_backend.confirm(Denial(user_id=number, jtis=["a"]))
    for key in keys_of(server):
        server.run("PERSIST", key)
    command_backend._keep([Denial(user_id=None, jtis=["b"])])
    with monkeypatch.context() as patch:
        patch.setattr(denials_module, "monotonic", count().__next__)
        assert not command_backend.flush(10)
    reached = sum(server.run("HEXISTS", key, "t:b") for key in keys_of(server))
    assert 0 < reached < 10
    assert len(command_backend.denials.kept) == 1
    assert command_backend.flush(PATIENT)


def test_end_does_not_wait_for_another_thread_that_writes(
    command_backend: RedisRevocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that probes hangs while it writes a denial. The denial is written all the same."""
    command_backend._keep([Denial(user_id=1, jtis=["a"])])
    hanging, release, gone_on = Event(), Event(), Event()
    pack: Any = Connection.pack_command  # without types

    def hang_in_other(connection: Connection, *command: Any) -> Any:
        if current_thread() is prober and command[0] == "EVAL":
            hanging.set()
            release.wait(PATIENT)
            gone_on.set()
        return pack(connection, *command)

    prober = Thread(target=command_backend.circuit.tick)
    monkeypatch.setattr(Connection, "pack_command", hang_in_other)
    prober.start()
    try:
        assert hanging.wait(PATIENT)
        assert command_backend.flush(PATIENT)
        assert not gone_on.is_set()
    finally:
        release.set()
        prober.join()


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
backend._keep([Denial(user_id=1, jtis=["a"])])
"""
