"""The contenders: each is a callable that makes the given number of requests of a round."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

from django.test.utils import override_settings
from rest_framework_simplejwt.tokens import RefreshToken as SimpleJWTRefreshToken

from benchmarks import settings
from benchmarks.wsgi_client import Client, get, post
from jwt_auth import flows
from jwt_auth.models import Client as Origin
from jwt_auth.tokens import access

#: Makes the given number of requests and returns the seconds that they took together.
Round = Callable[[int], float]


def requests_to_a_view(client: Client, user: Any) -> dict[str, Round]:
    """The bare view, simplejwt, and ours, both with a known token and with new ones."""
    session = log_in(user)
    simple = str(SimpleJWTRefreshToken.for_user(user).access_token)

    def same(path: str, token: str | None = None) -> Round:
        return lambda number: client.total(get(path, token) for _ in range(number))

    def new(number: int) -> float:
        tokens = [new_token(session, user) for _ in range(number)]
        return client.total(get("/ours/", token) for token in tokens)

    ours = same("/ours/", session.access_token.text)
    contenders = {
        "bare": same("/bare/"),
        "simplejwt": same("/simplejwt/", simple),
        "ours": ours,
        "ours_first": new,
    }
    if settings.REDIS_IS_THERE:
        contenders |= {"ours_redis": with_redis(ours), "ours_redis_first": with_redis(new)}
    return contenders


def requests_with_one_token(client: Client, user: Any) -> Round:
    """Ours, with a token that the process has verified before."""
    token = log_in(user).access_token.text
    return lambda number: client.total(get("/ours/", token) for _ in range(number))


def refreshes(client: Client, user: Any) -> dict[str, Round]:
    """Refreshes by both packages: each refresh uses the token that the previous one returned."""
    return {
        "simplejwt": _SimpleJWTRefreshes(client, str(SimpleJWTRefreshToken.for_user(user))),
        "ours": _OurRefreshes(client, log_in(user).refresh_token.text),
    }


def with_redis(run: Round) -> Round:
    """The same requests, with Redis answering whether the token is revoked."""

    def measured(number: int) -> float:
        with override_settings(JWT_AUTH_REVOCATION=settings.REDIS_REVOCATION):
            return run(number)

    return measured


class _SimpleJWTRefreshes:
    def __init__(self, client: Client, token: str) -> None:
        self._client, self._token = client, token

    def __call__(self, number: int) -> float:
        return sum(self._refresh() for _ in range(number))

    def _refresh(self) -> float:
        body = json.dumps({"refresh": self._token}).encode()
        answer = self._client.send(post("/simplejwt/refresh/", body))
        self._token = json.loads(answer.body)["refresh"]
        return answer.seconds


class _OurRefreshes:
    def __init__(self, client: Client, token: str) -> None:
        self._client, self._cookie = client, f"__Secure-refresh_token={token}"

    def __call__(self, number: int) -> float:
        return sum(self._refresh() for _ in range(number))

    def _refresh(self) -> float:
        answer = self._client.send(post("/ours/auth/refresh/", HTTP_COOKIE=self._cookie))
        cookies: SimpleCookie = SimpleCookie(dict(answer.headers)["Set-Cookie"])
        ((name, cookie),) = cookies.items()
        self._cookie = f"{name}={cookie.value}"
        return answer.seconds


def log_in(user: Any) -> flows.Issued:
    origin = Origin(ip_address="192.0.2.7", user_agent="bench")
    return flows.log_in(user, client=origin, now=datetime.now(UTC))


def new_token(session: flows.Issued, user: Any) -> str:
    now = datetime.now(UTC)
    return access.issue(
        subject=str(user.pk),
        session_id=session.family.pk,
        token_version=0,
        roles=[],
        auth_time=int(now.timestamp()),
        own_claims={},
        expires_at=now + timedelta(minutes=15),
        now=now,
    ).text
