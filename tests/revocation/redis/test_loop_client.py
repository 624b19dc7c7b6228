"""Requests that an event loop answers: the same verdicts, and nothing that blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from blockbuster import blockbuster_ctx
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis import loop_client as module
from jwt_auth.revocation.redis.connection import KNOWN_FOR
from tests.flows.scene import BROWSER, log_in
from tests.revocation.redis.scene import (
    Clock,
    cache_at,
    commands_of,
    cut_off,
    end,
    keys_of,
    known,
    log_out_everywhere,
    token_of,
    use_redis,
)
from tests.revocation.redis.servers import RedisServer, demoted, running, stopped, wait_for

pytestmark = [pytest.mark.redis, pytest.mark.django_db(transaction=True)]


async def _refusal_of(issued: Issued) -> Refusal | None:
    token = token_of(issued)
    try:
        await flows.aauthenticate(issued.access_token.text, client=BROWSER, now=token.issued_at)
    except AccessTokenRefused as refused:
        return refused.reason
    return None


def in_loop(work: Callable[[], Awaitable[Any]]) -> Any:
    """Do it in a loop of its own; what asks the database runs in this thread."""

    async def run() -> Any:
        return await work()

    return async_to_sync(run)()


async def _warm_up(issued: Issued) -> None:
    """Make Redis know the session, and the loop have a connection."""
    for _ in range(3):
        assert await _refusal_of(issued) is None


async def _refusal_without_sql(issued: Issued) -> Refusal | None:
    """Ask when nothing but Redis can answer."""
    await sync_to_async(lambda: connection.execute_wrappers.append(_forbid))()
    try:
        return await _refusal_of(issued)
    finally:
        await sync_to_async(lambda: connection.execute_wrappers.remove(_forbid))()


def _forbid(*args: Any) -> Any:
    raise AssertionError("the database was asked")


def _count_clients(server: RedisServer) -> int:
    """How many connections the server has, with the one that asks."""
    with server.client() as client:
        return len(client.client_list())


@pytest.fixture
def clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that all connections see, also those of loops."""
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.fixture
def issued(backend: RedisRevocation, user: AbstractBaseUser) -> Issued:
    return log_in(user)


def test_loop_asks_by_itself_from_its_second_request_on(issued: Issued) -> None:
    """The loop of one request isn't worth a connection; other threads' clients aren't needed."""

    async def work() -> list[str]:
        await _warm_up(issued)
        with cut_off() as lost:  # threads can't reach Redis now
            assert await _refusal_without_sql(issued) is None
        return lost

    assert in_loop(work) == []


def test_request_is_one_command(issued: Issued, server: RedisServer) -> None:
    """As outside of a loop."""

    async def work() -> None:
        await _warm_up(issued)
        with commands_of(server) as names:
            assert await _refusal_of(issued) is None
        assert names == ["hmget"]

    in_loop(work)


def test_nothing_blocks_the_loop(issued: Issued, user: AbstractBaseUser) -> None:
    """From the first request, which asks the database, to one that Redis answers."""

    async def work() -> None:
        with blockbuster_ctx():
            await _warm_up(issued)
            found, _ = await flows.aauthenticate(
                issued.access_token.text, client=BROWSER, now=token_of(issued).issued_at
            )
        assert found.pk == user.pk

    in_loop(work)


@pytest.mark.parametrize(
    ("revoke", "reason"),
    [
        (lambda issued, user: end(issued), Refusal.SESSION_ENDED),
        (lambda issued, user: log_out_everywhere(user), Refusal.TOKEN_VERSION),
    ],
)
def test_revocation_is_seen_at_once(
    issued: Issued,
    user: AbstractBaseUser,
    revoke: Callable[[Issued, AbstractBaseUser], None],
    reason: Refusal,
) -> None:
    """By a loop that has a connection already."""

    async def work() -> Refusal | None:
        await _warm_up(issued)
        await sync_to_async(revoke)(issued, user)
        return await _refusal_of(issued)

    assert in_loop(work) is reason


def test_request_that_is_cancelled_leaves_no_answer_behind(
    issued: Issued, backend: RedisRevocation, server: RedisServer, make_user: Any
) -> None:
    """A client that goes away must not give its answer to the next request on the connection."""
    other = known(log_in(make_user("bob")))
    ended = known(log_in(make_user("carol")))
    end(ended)

    async def work() -> list[Refusal | None]:
        await _warm_up(issued)
        with stopped(server):
            task = asyncio.create_task(_refusal_of(ended))
            # The question is sent by then; if it weren't, the test would only show less.
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return [await _refusal_of(each) for each in (issued, other, ended)]

    assert in_loop(work) == [None, None, Refusal.SESSION_ENDED]


def test_connection_that_the_server_has_closed_is_replaced(
    issued: Issued, server: RedisServer
) -> None:
    """An idle one, say. The circuit stays closed."""

    async def work() -> None:
        await _warm_up(issued)
        server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await _warm_up(issued)
        with cut_off() as lost:
            assert await _refusal_without_sql(issued) is None
        assert lost == []

    in_loop(work)


def test_database_answers_while_the_server_is_stopped(
    server: RedisServer, settings: Settings, user: AbstractBaseUser
) -> None:
    """After the time-outs of one request, every other one goes to the database at once."""
    backend = use_redis(settings, cache_at(server.url), TIMEOUT=0.2)
    issued = log_in(user)

    async def work() -> None:
        await _warm_up(issued)
        with stopped(server):
            assert await _refusal_of(issued) is None
            with cut_off() as lost:
                assert await _refusal_of(issued) is None
            assert lost == []

    in_loop(work)
    assert backend.circuit.state.name != "CLOSED"


def test_database_answers_if_the_server_hangs_while_a_loop_connects(
    server: RedisServer, settings: Settings, user: AbstractBaseUser
) -> None:
    """The connection that was begun is closed again."""
    use_redis(settings, cache_at(server.url), TIMEOUT=0.2)
    issued = log_in(user)

    async def work() -> None:
        assert await _refusal_of(issued) is None  # by a thread
        with stopped(server):
            assert await _refusal_of(issued) is None

    in_loop(work)


def test_loop_that_ends_closes_its_connections(issued: Issued, server: RedisServer) -> None:
    """A server that serves for long has one loop; a test has many."""

    async def work() -> int:
        await _warm_up(issued)
        return _count_clients(server)

    inside = in_loop(work)
    wait_for(lambda: _count_clients(server) < inside)


def _end_unseen(issued: Issued) -> None:
    """End the session where Redis learns nothing of it."""
    RefreshTokenFamily.objects.filter(pk=issued.family.pk).update(revoked_at=datetime.now(UTC))


@pytest.mark.parametrize("is_replica_still", [True, False])
def test_server_that_was_demoted_is_not_believed(
    issued: Issued, server: RedisServer, clock: Clock, is_replica_still: bool
) -> None:
    """Another server may have been told of a revocation meanwhile: within a second it is noticed.

    That the server has become the primary again on the same connection doesn't help.
    """

    async def work() -> Refusal | None:
        await _warm_up(issued)
        await sync_to_async(_end_unseen)(issued)
        clock.now += KNOWN_FOR
        with demoted(server) if is_replica_still else nullcontext():
            if not is_replica_still:
                with demoted(server):
                    pass
            return await _refusal_of(issued)

    assert in_loop(work) is Refusal.SESSION_ENDED


def test_failure_elsewhere_makes_the_loop_connect_again(
    issued: Issued, backend: RedisRevocation, server: RedisServer
) -> None:
    """A thread that saw Redis fail has every connection forgotten, also those of loops."""

    async def work() -> None:
        await _warm_up(issued)
        backend.client.renew()
        with commands_of(server) as names, cut_off() as lost:
            assert await _refusal_of(issued) is None  # by a thread, which is cut off
        assert (names, lost) == ([], ["HMGET"])

    in_loop(work)


def test_connection_of_a_request_under_way_is_closed_after_it(
    issued: Issued, backend: RedisRevocation, server: RedisServer
) -> None:
    """If all connections were forgotten meanwhile, nothing would ever close it."""
    before = _count_clients(server)  # other tests have left some

    async def work() -> None:
        await _warm_up(issued)
        with stopped(server):
            task = asyncio.create_task(_refusal_of(issued))
            await asyncio.sleep(0.1)  # if the question weren't sent, the test would show less
            backend.client.renew()
        assert await task is None
        # In a thread, because the loop has to close the other one.
        await sync_to_async(wait_for)(lambda: _count_clients(server) <= before)

    in_loop(work)


def test_cluster_is_asked_by_threads(on_cluster: RedisRevocation, user: AbstractBaseUser) -> None:
    """They know where each key is. The verdicts are the same."""
    issued = log_in(user)

    async def work() -> Refusal | None:
        with blockbuster_ctx():
            await _warm_up(issued)
            await sync_to_async(end)(issued)
            return await _refusal_of(issued)

    assert in_loop(work) is Refusal.SESSION_ENDED


def test_unix_socket_is_used_in_the_loop(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, user: AbstractBaseUser
) -> None:
    """As every kind of connection that redis-py has for both."""
    path = Path(mkdtemp(dir="/tmp")) / "redis.sock"  # the path of a socket must be short
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--save", "", "--unixsocket", str(path))
    with running(server):
        use_redis(settings, cache_at(f"unix://{path}"))
        issued = log_in(user)

        async def work() -> list[str]:
            await _warm_up(issued)
            with cut_off() as lost:
                assert await _refusal_without_sql(issued) is None
            return lost

        assert in_loop(work) == []


def test_interrupted_connection_does_not_lead_to_another_server(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings, user: AbstractBaseUser
) -> None:
    """As redis-py would do by itself, and without learning which server it is."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--save", "")
    with running(server):
        use_redis(settings, cache_at(server.url))
        issued = log_in(user)

        async def work() -> Refusal | None:
            await _warm_up(issued)
            (key,) = keys_of(server)
            copy = server.run("DUMP", key)
            with stopped(server):
                task = asyncio.create_task(_refusal_of(issued))
                await asyncio.sleep(0.1)  # if the question weren't sent, the test would show less
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            server.stop()
            server.start()
            server.run("RESTORE", key, 0, copy)  # as from a snapshot
            await sync_to_async(_end_unseen)(issued)
            return await _refusal_of(issued)

        assert in_loop(work) is Refusal.SESSION_ENDED
