"""WebSockets whose user is the one of an access token, for Channels and any ASGI application.

Browsers can't add an ``Authorization`` header to a WebSocket, and a token in the URL would end up
in logs. So the token is the first message, ``{"access_token": "…"}``, or the second of the offered
subprotocols, after :data:`SUBPROTOCOL`.

A connection outlives its token only if the client sends a fresh one of the same session in time, as
another such message. It is closed at the token's ``exp``, and within ``check_interval`` seconds
after its session has ended. The close code is :data:`UNAUTHORIZED`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from asgiref.sync import sync_to_async
from django.db import Error, close_old_connections
from django.http import HttpRequest

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, KeyFailure, RevocationUnknown
from jwt_auth.http.addresses import client_of
from jwt_auth.models import Client
from jwt_auth.revocation.lazy import aload
from jwt_auth.tokens.claims import AccessToken

logger: Final = logging.getLogger("jwt_auth")

#: The close code for a missing or refused token and for the end of the session, in the range that
#: RFC 6455 §7.4.2 leaves to applications.
UNAUTHORIZED: Final = 4401

#: The close code while tokens can't be verified.
TRY_AGAIN_LATER: Final = 1013

#: The first subprotocol of a client that offers the token as the second one.
SUBPROTOCOL: Final = "jwt_auth.bearer"

#: How the text of a message with a token begins, whatever spaces JSON allows.
_NAME: Final = "access_token"

#: The errors that say nothing about the token.
_UNKNOWN: Final = (KeyFailure, RevocationUnknown, Error)

#: Seconds that the application has to end after the connection, before it is cancelled.
LAST_SECONDS: Final = 10.0

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Any, Receive, Send], Awaitable[None]]


class JWTAuthMiddleware:
    """Let only WebSockets with a valid access token reach the application.

    ``scope["user"]`` is the user, ``scope["access_token"]`` the verified token. Connections of
    other kinds pass unchanged. ``check_interval`` and ``first_message_within`` are in seconds.
    """

    def __init__(
        self, app: Application, *, check_interval: float = 5, first_message_within: float = 10
    ) -> None:
        self.app = app
        self.check_interval = check_interval
        self.first_message_within = first_message_within

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        await _Connection(self, scope, receive, send).serve()


class _Connection:
    """One WebSocket, from its handshake to its end."""

    def __init__(
        self, middleware: JWTAuthMiddleware, scope: Any, receive: Receive, send: Send
    ) -> None:
        self._middleware = middleware
        self._scope = dict(scope)
        self._receive, self._send = receive, send
        self._client = _client_of(scope)
        self._offered: list[str] = list(scope.get("subprotocols", []))
        self._is_accepted = False
        self._is_announced = False
        self._is_closed = False
        self._is_cancelled = False
        self._ended = asyncio.Event()
        self._pending: asyncio.Task[Message] | None = None

    async def serve(self) -> None:
        await self._receive()  # websocket.connect
        try:
            self._text = await self._find_token()
            user, self._token = await self._authenticate(self._text)
        except AccessTokenRefused:
            await self._close(UNAUTHORIZED)
            return
        except _UNKNOWN as failure:
            _report(failure)
            await self._close(TRY_AGAIN_LATER)
            return
        except _GoneError:
            return
        self._scope |= {"user": user, "access_token": self._token}
        app = asyncio.ensure_future(
            self._middleware.app(self._scope, self._app_receive, self._app_send)
        )
        watch = asyncio.create_task(self._watch(app))
        try:
            await app
        except asyncio.CancelledError:
            if not self._is_cancelled:
                raise
        finally:
            for task in (watch, self._pending):
                if task is not None:
                    task.cancel()

    # ---- The token

    async def _find_token(self) -> str:
        if self._offered[:1] == [SUBPROTOCOL]:
            self._scope["subprotocols"] = self._offered[2:]
            return "".join(self._offered[1:2])
        # A browser closes the connection if none of the subprotocols that it offers is selected,
        # and the application isn't asked before there is a token.
        chosen = self._offered[0] if self._offered else None
        await self._accept({"type": "websocket.accept", "subprotocol": chosen})
        try:
            async with asyncio.timeout(self._middleware.first_message_within):
                message = await self._receive()
        except TimeoutError:
            return ""
        if message["type"] == "websocket.disconnect":
            raise _GoneError
        return _read_token(message) or ""

    async def _authenticate(self, text: str) -> tuple[Any, AccessToken]:
        # No request begins or ends here, so nothing else closes a connection that the database has
        # closed, or that is too old.
        await sync_to_async(close_old_connections)()
        user, token = await self._verify(text)
        await aload(user)
        return user, token

    async def _verify(self, text: str) -> tuple[Any, AccessToken]:
        return await flows.aauthenticate(text, client=self._client, now=datetime.now(UTC))

    async def _renew(self, text: str) -> None:
        """Take a fresh token of the same session."""
        try:
            _, token = await self._verify(text)
        except AccessTokenRefused:
            await self._end()
        except _UNKNOWN as failure:
            _report(failure)  # the former token counts until it expires
        else:
            if (token.subject, token.session_id) == (self._token.subject, self._token.session_id):
                self._text, self._token = text, token
            else:
                await self._end()

    async def _watch(self, app: asyncio.Future[None]) -> None:
        """Verify the token again and again, until it is refused or has expired.

        Then see to it that the application ends. One that only sends learns of no end.
        """
        while not self._ended.is_set():
            await asyncio.sleep(max(0.0, min(self._middleware.check_interval, self._left())))
            text = self._text
            try:
                await self._verify(text)
            except AccessTokenRefused:
                if text == self._text:  # otherwise it has been renewed meanwhile
                    await self._end()
            except Exception as failure:  # noqa: BLE001  nothing else would close the connection
                # Nobody knows whether the session has ended. The token's exp is the limit.
                _report(failure)
                await sync_to_async(close_old_connections)()
                if self._left() <= 0:
                    await self._end()
        await asyncio.sleep(LAST_SECONDS)
        self._is_cancelled = True
        app.cancel()

    def _left(self) -> float:
        """Give the seconds for which the token is accepted."""
        leeway = conf.clock_leeway.total_seconds()
        return self._token.expires + leeway - datetime.now(UTC).timestamp()

    async def _end(self) -> None:
        self._ended.set()
        if not self._is_closed:
            await self._close(UNAUTHORIZED)

    # ---- Messages

    async def _accept(self, message: Message) -> None:
        if not self._is_accepted:
            self._is_accepted = True
            await self._send(message)

    async def _close(self, code: int) -> None:
        # An accepted connection can say why it is closed; of a refused one, a browser tells its
        # page nothing.
        self._is_closed = True
        await self._accept({"type": "websocket.accept", "subprotocol": self._subprotocol()})
        await self._send({"type": "websocket.close", "code": code})

    def _subprotocol(self) -> str | None:
        """The one to select: a browser closes the connection if none that it offered is."""
        return SUBPROTOCOL if SUBPROTOCOL in self._offered else None

    async def _app_send(self, message: Message) -> None:
        if self._ended.is_set():
            return  # the connection is closed
        if message["type"] == "websocket.accept":
            chosen = message.get("subprotocol") or self._subprotocol()
            await self._accept({**message, "subprotocol": chosen})
            return
        self._is_closed = self._is_closed or message["type"] == "websocket.close"
        await self._send(message)

    async def _app_receive(self) -> Message:
        if not self._is_announced:
            self._is_announced = True
            return {"type": "websocket.connect"}
        while not self._ended.is_set():
            message = await self._next_message()
            text = None if message is None else _read_token(message)
            if message is not None and text is None:
                return message
            if text is not None:
                await self._renew(text)
        return {"type": "websocket.disconnect", "code": UNAUTHORIZED}

    async def _next_message(self) -> Message | None:
        """Wait for a message, or for the end of the session.

        The application may cancel this and ask again, and must not lose a message.
        """
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._receive())
        end = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({self._pending, end}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
        if not self._pending.done():
            return None
        pending, self._pending = self._pending, None
        return pending.result()


class _GoneError(Exception):
    """The client has closed the connection."""


def _report(failure: Exception) -> None:
    # The text of any other error may quote values, as a database's does.
    is_ours = isinstance(failure, (KeyFailure, RevocationUnknown))
    reason = str(failure) if is_ours else type(failure).__name__
    logger.error("Access tokens can't be verified: %s", reason)


def _read_token(message: Message) -> str | None:
    """Read a message that consists of a token; ``None`` if it is any other."""
    text = message.get("text") or ""
    if _NAME not in text[:32]:  # other messages aren't parsed
        return None
    try:
        match json.loads(text):
            case {"access_token": str() as token, **others} if not others:
                return token
    except (ValueError, RecursionError):
        pass
    return None


def _client_of(scope: Any) -> Client:
    """Find the client's address and user agent as for any request."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = (scope.get("client") or [""])[0]
    for name, value in scope.get("headers", []):
        if name in {b"x-forwarded-for", b"user-agent"}:
            key = "HTTP_" + name.decode().upper().replace("-", "_")
            request.META[key] = value.decode("latin-1")
    return client_of(request)
