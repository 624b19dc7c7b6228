"""Requests of other services, and requests to services that only verify, next to the bare view."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings

from benchmarks import settings
from benchmarks.contenders import Round, log_in, new_token, with_redis
from benchmarks.wsgi_client import HOST, Client, get, post
from jwt_auth import flows

MIDDLEWARE = [*settings.MIDDLEWARE, "jwt_auth.middleware.JWTUserMiddleware"]

#: A service that only verifies. Its keys are from the store, since no issuer runs next to it.
VERIFY_ONLY: dict[str, Any] = {
    "JWT_AUTH_JWKS_URL": "https://auth.bench.test/.well-known/jwks.json",
    "JWT_AUTH_REVOCATION": {"BACKEND": "jwt_auth.revocation.stateless.NoRevocation"},
}
SHARED_REDIS: dict[str, Any] = {
    **VERIFY_ONLY,
    "JWT_AUTH_REVOCATION": {
        "BACKEND": "jwt_auth.revocation.redis.SharedRedis",
        "OPTIONS": settings.REDIS_OPTIONS | {"VERIFY_URL": "https://auth.bench.test/"},
    },
}


def requests_of_services(client: Client, user: Any) -> dict[str, Round]:
    """Each endpoint for other services, and each kind of service that verifies by itself."""
    session = log_in(user)
    token = session.access_token.text
    secret = _basic_credential()

    def form(path: str, text: str) -> dict[str, Any]:
        return post(
            path,
            urlencode({"token": text}).encode(),
            CONTENT_TYPE="application/x-www-form-urlencoded",
            HTTP_AUTHORIZATION=secret,
        )

    def same(make: Callable[[], dict[str, Any]], of: Client = client) -> Round:
        return lambda number: of.total(make() for _ in range(number))

    def revoke(number: int) -> float:
        tokens = [new_token(session, user) for _ in range(number)]
        return client.total(form("/ours/auth/revoke/", text) for text in tokens)

    ours = same(lambda: get("/ours/", token))
    contenders = {
        "bare": same(lambda: get("/bare/")),
        "ours": ours,
        "verify": same(lambda: get("/ours/auth/verify/", token)),
        "introspect": same(lambda: form("/ours/auth/introspect/", token)),
        "revoke": revoke,
        "denials": _with(
            {"JWT_AUTH_DENY_FEED": True},
            same(lambda: get("/ours/auth/denials/") | {"HTTP_AUTHORIZATION": secret}),
        ),
        "key_set": same(lambda: get("/.well-known/jwks.json")),
        "metadata": same(lambda: get("/.well-known/oauth-authorization-server")),
        "verify_only": _with(VERIFY_ONLY, ours),
    }
    if settings.REDIS_IS_THERE:
        with_ours = with_redis(ours)
        with_ours(1)  # Redis knows the session from then on
        contenders |= {"ours_redis": with_ours, "verify_only_redis": _with(SHARED_REDIS, ours)}
    return contenders


def requests_to_plain_views(user: Any) -> dict[str, Round]:
    """Django's own views, sync and async, without the middleware and with it."""
    token = log_in(user).access_token.text
    with override_settings(MIDDLEWARE=MIDDLEWARE):
        behind = Client(WSGIHandler())
        loop_behind = ASGIHandler()
    before = Client(WSGIHandler())
    contenders: dict[str, Round] = {
        "bare": lambda number: before.total(get("/plain/") for _ in range(number)),
        "middleware": lambda number: behind.total(get("/plain/", token) for _ in range(number)),
        "async_bare": _in_loop(ASGIHandler(), "/coroutine/", None),
        "async_user": _in_loop(loop_behind, "/coroutine/", token),
        "async_token": _in_loop(loop_behind, "/token/", token),
    }
    if settings.REDIS_IS_THERE:
        contenders |= {
            f"{name}_redis": with_redis(contenders[name]) for name in ("async_user", "async_token")
        }
    return contenders


def _with(changes: dict[str, Any], run: Round) -> Round:
    def measured(number: int) -> float:
        with override_settings(**changes):
            return run(number)

    return measured


def _in_loop(application: ASGIHandler, path: str, token: str | None) -> Round:
    """Requests one after the other in one event loop, after one that connects."""

    async def run(number: int) -> float:
        await _ask(application, path, token)
        await _ask(application, path, token)
        begin = perf_counter()
        for _ in range(number):
            await _ask(application, path, token)
        return perf_counter() - begin

    return async_to_sync(run)


async def _ask(application: ASGIHandler, path: str, token: str | None) -> None:
    headers = [(b"host", HOST.encode())]
    if token is not None:
        headers.append((b"authorization", f"Bearer {token}".encode()))
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "query_string": b"",
        "headers": headers,
    }
    sent: list[Any] = []
    is_asked = False

    async def receive() -> Any:
        nonlocal is_asked
        if is_asked:
            await asyncio.Event().wait()  # the client stays
        is_asked = True
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(f"{path} answered {sent[0]['status']}: {sent[1]['body']!r}")


def _basic_credential() -> str:
    service, secret = flows.create_service_client("bench", now=datetime.now(UTC))
    return f"Basic {base64.b64encode(f'{service.pk}:{secret}'.encode()).decode()}"
