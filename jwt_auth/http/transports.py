"""How tokens travel between client and server.

The refresh token travels in a cookie that scripts can't read, or, for clients without a cookie jar,
in the body. The access token is in the response's body, and in a cookie as well if the project has
turned that on.
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
    """Read the refresh tokens of a request (normally one), and write the tokens of a response."""

    #: Whether a browser attaches the token automatically, so that requests from other sites' pages
    #: must be refused.
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
            # A page on another origin can't read the CSRF cookie, and with CSRF_COOKIE_HTTPONLY or
            # CSRF_USE_SESSIONS no page can.
            response.data["csrf_token"] = get_token(request._request)

    def forget(self, response: Response, *, request: Request, route: str) -> None:
        delete_refresh_cookie(response, mount=mount_of(request, route))
        delete_access_cookie(response)


class BodyTransport(Transport):
    """For mobile and command-line clients, which keep the token in the platform's secret store."""

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
        """Do nothing: a response can't delete what the client has stored itself."""
