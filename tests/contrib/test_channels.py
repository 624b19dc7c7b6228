"""WebSockets with access tokens, without a server: messages in, messages out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, InterfaceError
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.contrib import channels as module
from jwt_auth.contrib.channels import (
    SUBPROTOCOL,
    TRY_AGAIN_LATER,
    UNAUTHORIZED,
    JWTAuthMiddleware,
)
from jwt_auth.exceptions import AccessTokenRefused, KeyStoreError, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Reason
from jwt_auth.revocation.database import DatabaseRevocation
from jwt_auth.revocation.lazy import lazy_user
from jwt_auth.signals import token_refused
from tests.flows.scene import BROWSER, log_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.smoke]

PATIENCE = 60.0
#: Seconds between two verifications: far less than any test waits.
INTERVAL = 0.02


class Echo:
    """An application that sends back what it is sent, and notes how it ends."""

    def __init__(self, subprotocol: str | None = None) -> None:
        self.subprotocol = subprotocol
        self.scope: Any = None
        self.disconnected: int | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": self.subprotocol})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        self.disconnected = message["code"]
        await send({"type": "websocket.send", "text": "too late"})


_Communicator: Any = ApplicationCommunicator  # without types


class Socket(_Communicator):  # type: ignore[misc]  # of any class
    """The client's end of a connection."""

    async def say(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def give(self, token: str) -> None:
        """Send a token as a message."""
        await self.say(json.dumps({"access_token": token}))

    async def next(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.receive_output(timeout=PATIENCE)
        return message

    async def echoes(self, text: str = "hello") -> bool:
        await self.say(text)
        return await self.next() == {"type": "websocket.send", "text": text}

    async def is_closed_with(self, code: int) -> bool:
        """Whether the next message closes the connection, and no other follows."""
        closed = await self.next() == {"type": "websocket.close", "code": code}
        await self.wait(timeout=PATIENCE)
        return closed and self.output_queue.empty()


@asynccontextmanager
async def connected(app: Any, *subprotocols: str, **options: Any) -> AsyncIterator[Socket]:
    """Open a connection to the application behind the middleware."""
    options.setdefault("check_interval", INTERVAL)
    scope = {
        "type": "websocket",
        "path": "/ws/",
        "subprotocols": list(subprotocols),
        "client": ["192.0.2.9", 4711],
        "headers": [(b"user-agent", b"Browser/2.0"), (b"host", b"example.com")],
    }
    socket = Socket(JWTAuthMiddleware(app, **options), scope)
    await socket.send_input({"type": "websocket.connect"})
    try:
        yield socket
    finally:
        await socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await socket.wait(timeout=PATIENCE)


def in_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Do it in a loop; what asks the database runs in this thread."""

    async def run() -> None:
        await work()

    async_to_sync(run)()


async def end(issued: Issued) -> None:
    now = datetime.now(UTC)
    await sync_to_async(flows.end_session)(
        issued.family.pk, reason=Reason.ADMINISTRATOR, client=None, now=now
    )


@pytest.fixture
def issued(user: AbstractBaseUser) -> Issued:
    return log_in(user)


@pytest.fixture
def token(issued: Issued) -> str:
    return issued.access_token.text


class Clock:
    """The time that connections see: the real one, and what a test adds."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self, tz: Any) -> datetime:
        return datetime.now(tz) + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "datetime", clock)
    return clock


class Verifications:
    """Counts how often tokens are verified, and lets a test wait for more."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self._verify = flows.aauthenticate
        self.begun = 0
        self.failure: Exception | None = None
        self._late = ""

    def refuse_late(self, text: str) -> None:
        """Refuse this token from now on, but not before :attr:`let_go`."""
        self._late, self.let_go = text, asyncio.Event()

    async def __call__(self, text: str, **kwargs: Any) -> Any:
        self.begun += 1
        self._next.set()
        if text == self._late:
            await self.let_go.wait()
            raise AccessTokenRefused(Refusal.EXPIRED)
        if self.failure is not None:
            raise self.failure
        return await self._verify(text, **kwargs)

    async def some_more(self, number: int = 2) -> None:
        """Wait until so many have begun; all but the last one have also ended then."""
        for _ in range(number):
            self._next = asyncio.Event()
            await asyncio.wait_for(self._next.wait(), PATIENCE)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> Verifications:
    verifications = Verifications()
    monkeypatch.setattr(flows, "aauthenticate", verifications)
    return verifications


# ---- The handshake


def test_token_comes_as_the_first_message(token: str, issued: Issued, user: Any) -> None:
    """The application learns of the connection afterwards, and of its user."""
    app = Echo()

    async def work() -> None:
        async with connected(app) as socket:
            assert (await socket.next())["type"] == "websocket.accept"
            assert app.scope is None
            await socket.give(token)
            assert await socket.echoes()

    in_loop(work)
    assert app.scope["user"] == user
    assert app.scope["user"].get_username() == user.get_username()
    assert app.scope["access_token"].session_id == issued.family.pk
    assert app.disconnected == 1001


@pytest.mark.parametrize("own", [None, "chat"])
def test_token_comes_as_a_subprotocol(token: str, own: str | None) -> None:
    """The token isn't repeated in the answer; the application may select another subprotocol."""
    app = Echo(own)

    async def work() -> None:
        async with connected(app, SUBPROTOCOL, token, "chat") as socket:
            accepted = await socket.next()
            assert accepted == {"type": "websocket.accept", "subprotocol": own or SUBPROTOCOL}
            assert await socket.echoes()

    in_loop(work)
    assert app.scope["subprotocols"] == ["chat"]


def test_offered_subprotocol_is_selected_where_the_token_is_a_message(token: str) -> None:
    """A browser would close the connection otherwise."""

    async def work() -> None:
        async with connected(Echo(), "chat", "talk") as socket:
            assert (await socket.next())["subprotocol"] == "chat"
            await socket.give(token)
            assert await socket.echoes()

    in_loop(work)


@pytest.mark.parametrize("offered", [(SUBPROTOCOL,), (SUBPROTOCOL, "forged"), ("chat", "forged")])
def test_connection_without_a_good_token_is_closed(offered: tuple[str, ...], user: Any) -> None:
    """With a code that tells the page to get another token; the application isn't called."""
    app = Echo()

    async def work() -> None:
        async with connected(app, *offered, first_message_within=0.05) as socket:
            assert (await socket.next())["type"] == "websocket.accept"
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)
    assert app.scope is None


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        '{"access_token": 1}',
        '{"access_token"',
        '{"access_token": "forged"}',
        '{"access_token": "", "other": 1}',
        '{"access_token":' + "[" * 100_000,
    ],
)
def test_first_message_that_is_no_token_closes_the_connection(message: str, user: Any) -> None:
    """No message reaches the application before a token."""
    app = Echo()

    async def work() -> None:
        async with connected(app) as socket:
            await socket.next()
            await socket.say(message)
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)
    assert app.scope is None


def test_client_that_goes_before_its_token_is_sent_nothing(user: Any) -> None:
    """The server would report an error."""

    async def work() -> None:
        async with connected(Echo()) as socket:
            await socket.next()
            await socket.send_input({"type": "websocket.disconnect", "code": 1001})
            await socket.wait(timeout=PATIENCE)
            assert socket.output_queue.empty()

    in_loop(work)


def test_refused_token_is_reported_with_the_address_of_the_client(user: Any) -> None:
    """As that of any request."""
    clients = []

    def note(client: Any, **kwargs: Any) -> None:
        clients.append(client)

    token_refused.connect(note)

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, "forged") as socket:
            await socket.next()

    try:
        in_loop(work)
    finally:
        token_refused.disconnect(note)
    assert [(each.ip_address, each.user_agent) for each in clients] == [
        ("192.0.2.9", "Browser/2.0")
    ]


@pytest.mark.parametrize("error", [KeyStoreError, DatabaseError, InterfaceError])
def test_client_is_told_to_try_later_while_tokens_cannot_be_verified(
    token: str, error: type[Exception], verifications: Verifications
) -> None:
    """Not that its token is bad: it would log the user out."""
    verifications.failure = error()

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, token) as socket:
            await socket.next()
            assert await socket.is_closed_with(TRY_AGAIN_LATER)

    in_loop(work)


def test_other_connections_pass_unchanged() -> None:
    """HTTP requests are authenticated elsewhere."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    scope = {"type": "http"}
    async_to_sync(JWTAuthMiddleware(app))(scope, _never, _never)
    assert seen == [scope]


async def _never(*args: Any) -> Any:
    raise AssertionError("nothing is sent or received")


# ---- The end


def test_session_that_ends_closes_its_connection(token: str, issued: Issued) -> None:
    """The application is told as if the client had gone, and reaches it no more."""
    app = Echo()

    async def work() -> None:
        async with connected(app, SUBPROTOCOL, token) as socket:
            await socket.next()
            assert await socket.echoes()
            await end(issued)
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)
    assert app.disconnected == UNAUTHORIZED


def test_token_that_expires_closes_its_connection(user: Any, settings: Settings) -> None:
    """However rarely it is verified."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(seconds=2)
    brief = log_in(user).access_token.text

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, brief, check_interval=3600) as socket:
            await socket.next()
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)


def test_fresh_token_keeps_the_connection(
    issued: Issued, clock: Clock, verifications: Verifications
) -> None:
    """The application doesn't see it."""
    later = datetime.now(UTC) + timedelta(minutes=10)
    renewed = flows.refresh(
        issued.refresh_token.text, retry_key=None, client=BROWSER, now=later
    ).access_token.text

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, issued.access_token.text) as socket:
            await socket.next()
            clock.ahead = timedelta(minutes=11)
            await socket.give(renewed)
            assert await socket.echoes("before")
            clock.ahead = timedelta(minutes=16)  # past the first token's end
            await verifications.some_more()
            assert await socket.echoes("after")
            clock.ahead = timedelta(minutes=26)
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)


@pytest.mark.parametrize("which", ["forged", "of another session", "of another user"])
def test_token_that_does_not_continue_the_session_closes_the_connection(
    token: str, which: str, user: Any, make_user: Any
) -> None:
    """The connection belongs to one session."""
    tokens = {
        "forged": "forged",
        "of another session": log_in(user).access_token.text,
        "of another user": log_in(make_user("bob")).access_token.text,
    }

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, token) as socket:
            await socket.next()
            await socket.give(tokens[which])
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)


@pytest.mark.parametrize("error", [DatabaseError, InterfaceError])
def test_connection_stays_while_nobody_knows_and_ends_with_its_token(
    token: str, clock: Clock, verifications: Verifications, error: type[Exception]
) -> None:
    """An outage of the database doesn't close all connections at once."""

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, token) as socket:
            await socket.next()
            verifications.failure = error()
            await socket.give(token)  # a fresh one can't be verified either
            await verifications.some_more()
            assert await socket.echoes()
            clock.ahead = timedelta(minutes=15)
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)


def test_application_that_stops_waiting_loses_no_message(token: str) -> None:
    """Channels' consumers wait for several things at once."""

    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(3):
            waiting = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            waiting.cancel()
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"]})
        await receive()

    async def work() -> None:
        async with connected(impatient, SUBPROTOCOL, token) as socket:
            await socket.next()
            assert await socket.echoes()

    in_loop(work)


def test_token_that_is_renewed_while_the_former_one_is_refused_keeps_the_connection(
    token: str, user: Any, issued: Issued, verifications: Verifications
) -> None:
    """The former one has just expired, say."""
    renewed = flows.refresh(
        issued.refresh_token.text, retry_key=None, client=BROWSER, now=datetime.now(UTC)
    ).access_token.text

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, token) as socket:
            await socket.next()
            verifications.refuse_late(token)
            await verifications.some_more(1)
            await socket.give(renewed)
            assert await socket.echoes()
            verifications.let_go.set()
            await verifications.some_more()
            assert await socket.echoes()

    in_loop(work)


def test_user_is_loaded_before_the_application_is_called(
    token: str, user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis brings a user that isn't read yet, and to read it would block the loop."""

    async def unread(backend: Any, token: Any, text: str) -> Any:
        return lazy_user(get_user_model(), token.subject)

    monkeypatch.setattr(DatabaseRevocation, "aget_presented_user", unread)
    names = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        names.append(scope["user"].get_username())

    async def work() -> None:
        async with connected(app, SUBPROTOCOL, token) as socket:
            await socket.wait(timeout=PATIENCE)

    in_loop(work)
    assert names == [user.get_username()]


def test_connection_ends_with_its_token_whatever_verifying_it_raises(
    token: str, clock: Clock, verifications: Verifications
) -> None:
    """A callable of the project, say. Otherwise nothing would ever close the connection."""

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, token) as socket:
            await socket.next()
            verifications.failure = ZeroDivisionError()
            await verifications.some_more()
            assert await socket.echoes()
            clock.ahead = timedelta(minutes=15)
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)


def test_token_within_the_leeway_is_not_verified_without_a_pause(
    token: str, clock: Clock, verifications: Verifications, settings: Settings
) -> None:
    """The connection ends when the token is refused, and not before."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=60)
    clock.ahead = timedelta(minutes=15, seconds=1)

    async def work() -> None:
        async with connected(Echo(), SUBPROTOCOL, token, check_interval=3600) as socket:
            await socket.next()
            for _ in range(9):
                assert await socket.echoes()
            assert verifications.begun == 1

    in_loop(work)


class Lingering:
    """An application that closes the connection, or takes one message, and doesn't end."""

    def __init__(self, *last: dict[str, Any]) -> None:
        self._last = last
        self.is_over = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in ({"type": "websocket.accept"}, *self._last):
            await send(message)
        if not self._last:
            await receive()
        await self.is_over.wait()


@pytest.mark.parametrize("code", [1000, UNAUTHORIZED])
def test_connection_is_not_closed_twice(
    token: str, code: int, verifications: Verifications
) -> None:
    """By the application and by us, or for a refused renewal and a refused token. Servers take the
    second one for an error.
    """

    async def work() -> None:
        by_app = [{"type": "websocket.close", "code": code}] if code != UNAUTHORIZED else []
        app = Lingering(*by_app)
        async with connected(app, SUBPROTOCOL, token) as socket:
            await socket.next()
            verifications.refuse_late(token)
            await verifications.some_more(1)
            if code == UNAUTHORIZED:
                await socket.give("forged")
            closed = await socket.next()
            verifications.let_go.set()
            for _ in range(9):
                await asyncio.sleep(0)
            app.is_over.set()
            await socket.wait(timeout=PATIENCE)
            assert closed == {"type": "websocket.close", "code": code}
            assert socket.output_queue.empty()

    in_loop(work)


def _noting(stopped: list[bool]) -> Any:
    """Make an application that never listens, and notes that it is cancelled."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    return app


def test_application_that_never_listens_is_stopped_after_the_end(
    token: str, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on for ever, because what it sends isn't refused."""
    monkeypatch.setattr(module, "LAST_SECONDS", INTERVAL)
    stopped: list[bool] = []

    async def work() -> None:
        async with connected(_noting(stopped), SUBPROTOCOL, token) as socket:
            await socket.next()
            await end(issued)
            assert await socket.is_closed_with(UNAUTHORIZED)

    in_loop(work)
    assert stopped == [True]


def test_server_that_cancels_a_connection_cancels_the_application(token: str) -> None:
    """As uvicorn does when it stops."""
    stopped: list[bool] = []

    async def work() -> None:
        async with connected(_noting(stopped), SUBPROTOCOL, token) as socket:
            await socket.next()
            socket.future.cancel()
            await socket.future

    with pytest.raises(asyncio.CancelledError):
        in_loop(work)
    assert stopped == [True]
