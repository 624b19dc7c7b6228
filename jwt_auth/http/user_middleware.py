"""Middleware for code outside of REST framework's views: the token's user as ``request.user``.

Other middleware, Django's own views, sync and async, and their decorators find the user where they
look for one. The token is verified when something asks for the user, and once for each request.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import APIException

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, KeyFailure, RevocationUnknown
from jwt_auth.http.api_exceptions import INVALID_TOKEN_CHALLENGE
from jwt_auth.http.credentials import find_access_token
from jwt_auth.http.csrf import require_own_page
from jwt_auth.http.judgement import (
    Found,
    Judgement,
    find_judgement,
    leave_judgement,
    withdraw_judgement,
)
from jwt_auth.revocation.lazy import aload
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens.claims import AccessToken

logger: Final = logging.getLogger("jwt_auth")


class JWTUserMiddleware:
    """Set ``request.user`` and ``request.auser`` by the access token of the request.

    A request without a token keeps the user of Django's session. With a token that isn't valid, the
    user is an ``AnonymousUser``: a client that sends a token has chosen its identity with it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        _set_user(request)
        return _vary(request, self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        _set_user(request)
        return _vary(request, await self._get_response(request))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 401 if a view has read a field of a user who was deleted a moment ago.

        With Redis, the row is read when a view first needs it.
        """
        if not isinstance(exception, AccessTokenRefused):
            return None
        return JsonResponse(
            {"detail": exception.detail, "code": exception.code},
            status=401,
            headers={"WWW-Authenticate": INVALID_TOKEN_CHALLENGE},
        )


def get_access_token(request: HttpRequest) -> AccessToken | None:
    """Give the verified access token of a request that has passed the middleware, if it has one."""
    found = _find(request)
    return None if found is None else found[1]


async def aget_access_token(request: HttpRequest) -> AccessToken | None:
    """Do the same without blocking the event loop."""
    found = await _afind(request)
    return None if found is None else found[1]


def _set_user(request: Any) -> None:
    credential = find_access_token(request)
    if credential is not None:
        leave_judgement(request, credential)
        request.user = SimpleLazyObject(partial(_get_user, request))
        request.auser = partial(_auser, request)
    elif not hasattr(request, "user"):
        request.user, request.auser = AnonymousUser(), partial(_auser, request)


def _get_user(request: HttpRequest) -> AbstractBaseUser | TokenUser | AnonymousUser:
    found = _find(request)
    return AnonymousUser() if found is None else found[0]


async def _auser(request: HttpRequest) -> AbstractBaseUser | TokenUser | AnonymousUser:
    found = await _afind(request)
    if found is None:
        return AnonymousUser()
    try:
        await aload(found[0])
    except AccessTokenRefused:  # the user was deleted or deactivated a moment ago
        return AnonymousUser()
    return found[0]


def _find(request: HttpRequest) -> Found | None:
    judgement, found = _usable_judgement(request), None
    if judgement is not None:
        with _failures_reported():
            found = judgement.get()
    return found


async def _afind(request: HttpRequest) -> Found | None:
    judgement, found = _usable_judgement(request), None
    if judgement is not None:
        with _failures_reported():
            found = await judgement.aget()
    return found


@contextmanager
def _failures_reported() -> Iterator[None]:
    """Let a request go on without a user, whatever is wrong with its token."""
    try:
        yield
    except AccessTokenRefused:
        pass  # the signal token_refused has reported it
    except (KeyFailure, RevocationUnknown) as failure:
        logger.error("Access tokens can't be verified: %s", failure)


def _usable_judgement(request: Any) -> Judgement | None:
    """Find the judgement, unless the token came in a cookie and perhaps from another site's page.

    That is asked here and not earlier, because it may have to read the body.
    """
    judgement = find_judgement(request)
    if judgement is not None and judgement.credential.is_ambient:
        try:
            require_own_page(request, sender=JWTUserMiddleware)
        except APIException:
            withdraw_judgement(request)
            return None
    return judgement


def _vary(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Keep caches, Django's own too, from serving one user's response to another."""
    names = ["Authorization"] if conf.access_cookie_name is None else ["Authorization", "Cookie"]
    patch_vary_headers(response, names)
    return response
