"""How a refresh token travels: in a cookie that no script reads, or in the body for clients without
a cookie jar.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth.flows import Issued
from jwt_auth.http.cookies import delete_refresh_cookie, mount_of, set_refresh_cookie
from jwt_auth.http.credentials import find_refresh_cookie
from jwt_auth.http.serializers import RefreshTokenSerializer


class Transport(ABC):
    """Reads the refresh token of a request and writes that of a response."""

    #: Whether a browser attaches the token by itself, so that other sites' pages must be kept out.
    is_ambient: ClassVar[bool]

    @abstractmethod
    def read(self, request: Request) -> str | None: ...

    @abstractmethod
    def write(
        self, response: Response, issued: Issued, *, request: Request, route: str
    ) -> None: ...

    @abstractmethod
    def forget(self, response: Response, *, request: Request, route: str) -> None: ...


class CookieTransport(Transport):
    is_ambient = True

    def read(self, request: Request) -> str | None:
        return find_refresh_cookie(request)

    def write(self, response: Response, issued: Issued, *, request: Request, route: str) -> None:
        set_refresh_cookie(
            response,
            issued.refresh_token.text,
            max_age=issued.refresh_expires_in,
            mount=mount_of(request, route),
        )

    def forget(self, response: Response, *, request: Request, route: str) -> None:
        delete_refresh_cookie(response, mount=mount_of(request, route))


class BodyTransport(Transport):
    """For mobile and command line clients, which keep the token in their platform's own secret
    store.
    """

    is_ambient = False

    def read(self, request: Request) -> str | None:
        body = RefreshTokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token: str | None = body.validated_data.get("refresh_token")
        return token

    def write(self, response: Response, issued: Issued, *, request: Request, route: str) -> None:
        response.data["refresh_token"] = issued.refresh_token.text
        response.data["refresh_expires_in"] = issued.refresh_expires_in

    def forget(self, response: Response, *, request: Request, route: str) -> None:
        """There is nothing at the client that a response could delete."""
