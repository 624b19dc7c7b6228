"""Connections that break, hang, are interrupted or reach another server than before."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings
from redis import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis import client as module
from jwt_auth.revocation.redis import denials as denials_module
from jwt_auth.revocation.redis.circuit_breaker import State
from jwt_auth.revocation.redis.client import RedisClient
from tests.flows.scene import log_in, refusal_of
from tests.keys.reloading import holds_in_child
from tests.revocation.redis.scene import (
    Clock,
    cache_at,
    commands_of,
    cut_off,
    end,
    fill,
    hash_of_user,
    known,
    state_of,
    trust_at_once,
)
from tests.revocation.redis.servers import PATIENT, RedisServer, demoted, running, stopped, wait_for

pytestmark = pytest.mark.redis

_KEY = b"key"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """Every connection that is opened during the test."""
    opened: list[Connection] = []
    connect: Any = Connection.connect  # without types

    def note(connection: Connection) -> None:
        opened.append(connection)
        connect(connection)

    monkeypatch.setattr(Connection, "connect", note)
    return opened


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that no other test uses."""
    server = RedisServer(tmp_path / "redis", "--save", "")
    with running(server):
        yield server


@pytest.fixture
def make_client(settings: Settings) -> Callable[..., RedisClient]:
    """Make a client of the server at a URL."""

    def make(url: str, timeout: float = PATIENT) -> RedisClient:
        settings.CACHES = {**settings.CACHES, "made": cache_at(url)}
        return RedisClient("made", timeout=timeout)

    return make


def _say(redis_client: RedisClient, text: str) -> bytes:
    answer, _ = redis_client.call("ECHO", text.encode())
    return bytes(answer)


def _say_until_answered(redis_client: RedisClient, text: str) -> bytes:
    """Try again after a time-out, which a pause of the machine can cause."""
    while True:
        with suppress(RedisTimeoutError):
            return _say(redis_client, text)


class _TimeLimit(BaseException):
    """Raised by a worker's time limit, at any point of the code."""


def test_interrupted_read_gives_no_answer_to_the_next(
    redis_client: RedisClient, opened: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the answer that is still to come would be taken for another user's hash."""
    _say(redis_client, "first")
    monkeypatch.setattr(opened[-1], "read_response", Mock(side_effect=_TimeLimit))
    with pytest.raises(_TimeLimit):
        _say(redis_client, "of somebody else")
    assert _say(redis_client, "mine") == b"mine"


def test_garbage_gives_no_answer_to_the_next(
    redis_client: RedisClient, opened: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an answer that makes no sense, the connection isn't used again."""
    _say(redis_client, "first")
    monkeypatch.setattr(opened[-1], "read_response", Mock(side_effect=InvalidResponse))
    assert _say(redis_client, "mine") == b"mine"  # asked a second time, elsewhere
    assert len(opened) == 2


def test_connection_is_kept(redis_client: RedisClient, opened: list[Connection]) -> None:
    """For all commands. A refusal is an answer, too."""
    _say(redis_client, "first")
    redis_client.call("SADD", _KEY, "value")
    with pytest.raises(RedisError, match="WRONGTYPE"):
        redis_client.call("LPUSH", _KEY, "value")
    assert _say(redis_client, "mine") == b"mine"
    assert len(opened) == 1


def test_closed_idle_connection_is_opened_again(
    redis_client: RedisClient, server: RedisServer
) -> None:
    """A server that closes idle connections hasn't failed."""
    _say(redis_client, "first")
    server.run("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")
    assert _say(redis_client, "mine") == b"mine"


def test_server_that_is_gone_is_an_error(
    own_server: RedisServer, make_client: Callable[..., RedisClient]
) -> None:
    """An error of redis-py's own kind, whatever the system's was."""
    redis_client = make_client(own_server.url)
    _say(redis_client, "first")
    own_server.stop()
    for _ in range(2):
        with pytest.raises(RedisConnectionError):
            _say(redis_client, "second")


def test_frozen_server_costs_one_time_out(
    own_server: RedisServer,
    make_client: Callable[..., RedisClient],
    opened: list[Connection],
    clock: Clock,  # stands still: the connection has just been used
) -> None:
    """The command isn't sent a second time, and its late answer is never read."""
    redis_client = make_client(own_server.url, timeout=0.2)
    _say_until_answered(redis_client, "first")
    before = len(opened)
    assert opened[-1].socket_timeout == 0.2
    with stopped(own_server), pytest.raises(RedisTimeoutError):
        _say(redis_client, "second")
    assert len(opened) == before
    assert _say_until_answered(redis_client, "third") == b"third"


def test_restarted_server_has_another_run(
    own_server: RedisServer, make_client: Callable[..., RedisClient]
) -> None:
    """Each answer comes with the run of its server."""
    redis_client = make_client(own_server.url)
    runs = [redis_client.call("ECHO", b"")[1] for _ in range(2)]
    own_server.stop()
    own_server.start()
    runs += [redis_client.run_script("return ARGV[1]", b"")[0] for _ in range(2)]
    assert runs[0] == runs[1] != runs[2] == runs[3]


def test_restarted_server_that_keeps_its_replication_id_has_another_run(
    own_server: RedisServer,
    make_client: Callable[..., RedisClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process alone tells: only Redis itself is known to change that ID at each start."""
    read: Any = Connection.read_response

    def read_the_same_id(connection: Connection, **options: Any) -> Any:
        answer = read(connection, **options)
        is_text = isinstance(answer, bytes)
        return re.sub(rb"master_replid:\w+", b"master_replid:1", answer) if is_text else answer

    monkeypatch.setattr(Connection, "read_response", read_the_same_id)
    redis_client = make_client(own_server.url)
    _, before = redis_client.call("ECHO", b"")
    own_server.stop()
    own_server.start()
    _, after = redis_client.call("ECHO", b"")
    assert before != after


def test_demoted_server_is_left(redis_client: RedisClient, server: RedisServer) -> None:
    """A connection to a server that is now a replica isn't used again, and fails the probe."""
    _say(redis_client, "first")
    with demoted(server):
        with pytest.raises(ReadOnlyError):
            redis_client.call("SET", _KEY, "value")
        with pytest.raises(ReadOnlyError):
            redis_client.put(_KEY)
    redis_client.put(_KEY)


def test_silent_proxy_is_an_error(make_client: Callable[..., RedisClient]) -> None:
    """A server without an identity can't be trusted with a run."""
    with pytest.raises(RedisError, match="identify its process"):
        make_client(_proxy()).call("PING", b"")


def _proxy() -> str:
    """Answer everything with an empty text, until the connection ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            while connection.recv(4096):
                connection.sendall(b"$0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    return f"redis://127.0.0.1:{port}"


def test_command_is_not_tried_for_ever(
    redis_client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes of a cluster may each name the other."""
    lose = Mock(side_effect=module._Lost)
    monkeypatch.setattr(redis_client, "_try", lose)
    with pytest.raises(RedisConnectionError):
        _say(redis_client, "first")
    assert lose.call_count == 4


def test_scan_finds_all_keys(redis_client: RedisClient, server: RedisServer) -> None:
    """In as many steps as needed."""
    names = [f"a:{number}" for number in range(1_200)] + ["b:1"]
    server.run("MSET", *(text for name in names for text in (name, "1")))
    assert len(set(redis_client.scan(b"a:*", {}))) == 1_200


def test_unknown_setting_has_no_value(redis_client: RedisClient) -> None:
    """A server may not know the setting."""
    assert redis_client.config("no-such-setting", _KEY) is None


def test_forked_child_has_its_own_connection(redis_client: RedisClient) -> None:
    """Gunicorn with preload: parent and child never read each other's answers."""

    def number() -> int:
        return int(redis_client.call("CLIENT", b"ID")[0])

    of_parent = number()
    assert holds_in_child(lambda: number() != of_parent)
    assert number() == of_parent


def test_connections_are_kept_across_threads(
    redis_client: RedisClient, opened: list[Connection]
) -> None:
    """Under ASGI each request has a thread: eight at a time need eight connections at most.

    Each answer reaches the thread that asked.
    """
    with ThreadPoolExecutor(8) as lanes:
        answered = list(lanes.map(_answer_requests, [redis_client] * 8))
    assert answered == [True] * 8
    assert len(opened) <= 8


def _answer_requests(redis_client: RedisClient) -> bool:
    for text in map(str, range(25)):
        with ThreadPoolExecutor(1) as request:
            answer = request.submit(_say, redis_client, text).result()
        if answer != text.encode():
            return False
    return True


def test_connection_that_nobody_uses_is_closed(
    redis_client: RedisClient, server: RedisServer, clock: Clock
) -> None:
    """The connections of a burst are closed again."""
    numbers = _in_a_burst(redis_client, server, 3)
    for now in range(0, 100, 20):
        clock.now = float(now)
        redis_client.call("PING", b"")
    with server.client() as client:
        open_ = {int(row["id"]) for row in client.client_list()}
    assert len(open_ & set(numbers)) == 1


def _in_a_burst(redis_client: RedisClient, server: RedisServer, size: int) -> list[int]:
    """Use that many connections at once, and return their IDs."""
    with ThreadPoolExecutor(size) as threads, server.client() as client:
        for _ in range(size):
            threads.submit(redis_client.call, "BLPOP", _KEY, 0)

        def waiting() -> list[int]:
            return [int(row["id"]) for row in client.client_list() if row["cmd"] == "blpop"]

        wait_for(lambda: len(waiting()) == size)
        numbers = waiting()
        client.lpush(_KEY, *map(str, range(size)))
    return numbers


# ---- The backend on such a connection


@pytest.fixture
def silent(backend: RedisRevocation, nobody_probes: None) -> RedisRevocation:
    """The backend, which trusts Redis again with the second tick()."""
    trust_at_once(backend.circuit)
    return backend


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_request_is_answered_wherever_redis_fails(
    after: int, user: AbstractBaseUser, silent: RedisRevocation
) -> None:
    """At the question, at the lease, at the write: the database has the answer."""
    issued = log_in(user)
    with cut_off(after) as lost:
        assert refusal_of(issued) is None
    assert len(lost) == 1
    assert state_of(silent.circuit) is State.OPEN


def test_failure_of_one_thread_renews_all_connections(silent: RedisRevocation) -> None:
    """A server that was demoted may continue to answer the others."""
    before, _ = silent.client.call("CLIENT", b"ID")
    thread = threading.Thread(target=silent.deny, args=[Denial(user_id=1)])
    with cut_off():
        thread.start()
        thread.join()
    assert silent.client.call("CLIENT", b"ID")[0] != before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [0, 1])
def test_revocation_is_kept_wherever_redis_fails(
    after: int, user: AbstractBaseUser, silent: RedisRevocation, server: RedisServer
) -> None:
    """They are written first when Redis is back, once, before any process trusts a hash."""
    issued = known(log_in(user))
    with cut_off(after):
        end(issued)
        silent.circuit.tick()
        assert state_of(silent.circuit) is State.OPEN
    with commands_of(server) as commands:
        silent.circuit.tick()
    assert commands.count("eval") == 1
    assert hash_of_user(server)[f"s:{issued.family.pk}".encode()] == b"1"
    with commands_of(server) as commands:
        silent.circuit.tick()
    assert "eval" not in commands
    assert state_of(silent.circuit) is State.CLOSED
    assert refusal_of(issued) is Refusal.SESSION_ENDED


def test_half_written_rest_is_kept(silent: RedisRevocation, server: RedisServer) -> None:
    """If Redis fails again meanwhile, exactly the unwritten denials are kept."""
    silent.circuit.state, silent.circuit.is_given_up = State.OPEN, True
    for denial in (
        Denial(user_id=None, jtis=["a"]),
        Denial(user_id=1, jtis=["b"]),
        Denial(user_id=1, jtis=["c"]),
    ):
        silent.confirm(denial)
    with cut_off(after=3):  # PING, SCAN, one denial
        silent.circuit.tick()
    assert {b"t:b", b"t:c"} & hash_of_user(server).keys() == {b"t:b"}
    with commands_of(server) as commands:
        silent.circuit.tick()
    assert {b"t:b", b"t:c"} <= hash_of_user(server).keys()
    assert (commands.count("scan"), commands.count("eval")) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_too_many_to_keep_drop_every_hash(
    user: AbstractBaseUser,
    silent: RedisRevocation,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory doesn't grow during an outage, and no denial is lost."""
    issued = known(log_in(user))
    monkeypatch.setattr(denials_module, "_KEPT", 5)
    silent.circuit.state, silent.circuit.is_given_up = State.OPEN, True
    end(issued)
    for number in range(20):
        silent.confirm(Denial(user_id=number, jtis=["a"]))
    with commands_of(server) as commands:
        for _ in range(2):
            silent.circuit.tick()
    assert commands.count("eval") <= 5
    assert state_of(silent.circuit) is State.CLOSED
    assert refusal_of(issued) is Refusal.SESSION_ENDED


@pytest.mark.django_db(transaction=True)
def test_full_server_takes_what_is_revoked(
    user: AbstractBaseUser, silent: RedisRevocation, server: RedisServer
) -> None:
    """Also of a whole user, although a mark of another revocation has to stay."""
    known(log_in(user))
    first, second = (Denial(user_id=user.pk, whole_user=True) for _ in range(2))
    silent.deny(first)
    silent.deny(second)
    fill(server)
    silent.confirm(first)
    assert hash_of_user(server)[b"d"] == f"{second.id} ".encode()
    assert state_of(silent.circuit) is State.CLOSED


def test_forked_child_leaves_what_was_kept_to_its_parent(silent: RedisRevocation) -> None:
    """The child doesn't wait for a lock that no thread releases."""
    silent._keep([Denial(user_id=1, jtis=["a"])])

    def keep() -> bool:
        nothing = not silent.denials.kept
        silent._keep([Denial(user_id=1, jtis=["b"])])
        return nothing and len(silent.denials.kept) == 1

    with silent.denials._lock:
        assert holds_in_child(keep)
    assert [denial.jtis for denial in silent.denials.kept] == [["a"]]


def test_lost_answer_of_first_command_is_an_error(
    redis_client: RedisClient, opened: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new connection that breaks immediately isn't opened a third time."""
    _say(redis_client, "first")
    monkeypatch.setattr(Connection, "read_response", Mock(side_effect=ConnectionResetError))
    with pytest.raises(RedisConnectionError):
        _say(redis_client, "second")
    assert len(opened) == 2
