"""How tokens travel: the refresh token in a cookie that no script reads, or in the body for clients
without a cookie jar; the access token in the body, and in a cookie besides where the project wants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from django.middleware.csrf import get_token
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth.conf import conf
from jwt_auth.flows import Issued
from jwt_auth.http.cookies import (
    delete_access_cookie,
    delete_refresh_cookie,
    mount_of,
    set_token_cookies,
)
from jwt_auth.http.credentials import find_refresh_cookies
from jwt_auth.http.serializers import RefreshTokenSerializer


class Transport(ABC):
    """Reads the refresh tokens of a request, of which there should be one, and writes a
    response's tokens.
    """

    #: Whether a browser attaches the token by itself, so that other sites' pages must be kept out.
    is_ambient: ClassVar[bool]

    @abstractmethod
    def read(self, request: Request) -> list[str]: ...

    @abstractmethod
    def write(
        self, response: Response, issued: Issued, *, request: Request, route: str
    ) -> None: ...

    @abstractmethod
    def forget(self, response: Response, *, request: Request, route: str) -> None: ...


class CookieTransport(Transport):
    is_ambient = True

    def read(self, request: Request) -> list[str]:
        return find_refresh_cookies(request)

    def write(self, response: Response, issued: Issued, *, request: Request, route: str) -> None:
        set_token_cookies(response, issued, mount=mount_of(request, route))
        if conf.access_cookie_name is not None:
            # A page can't read the token's cookie on another origin, nor with CSRF_COOKIE_HTTPONLY
            # or CSRF_USE_SESSIONS on any.
            response.data["csrf_token"] = get_token(request._request)

    def forget(self, response: Response, *, request: Request, route: str) -> None:
        delete_refresh_cookie(response, mount=mount_of(request, route))
        delete_access_cookie(response)


class BodyTransport(Transport):
    """For mobile and command line clients, which keep the token in their platform's own secret
    store.
    """

    is_ambient = False

    def read(self, request: Request) -> list[str]:
        body = RefreshTokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token: str | None = body.validated_data.get("refresh_token")
        return [] if token is None else [token]

    def write(self, response: Response, issued: Issued, *, request: Request, route: str) -> None:
        response.data["refresh_token"] = issued.refresh_token.text
        response.data["refresh_expires_in"] = issued.refresh_expires_in

    def forget(self, response: Response, *, request: Request, route: str) -> None:
        """There is nothing at the client that a response could delete."""
