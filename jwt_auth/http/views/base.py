"""The base classes of all endpoints: ``AuthView``, ``BearerView`` for logged-in users, and
``ServiceView`` for other services.

They set everything that REST framework would otherwise take from the project's settings, so that a
project's defaults (parsers, renderers, throttles, permissions) can't change the endpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.db import connections, transaction
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jwt_auth.exceptions import VerifyOnly
from jwt_auth.flows import Issued
from jwt_auth.http.authentication import JWTAuthentication
from jwt_auth.http.csrf import refuse_cross_site
from jwt_auth.http.error_reports import hide_secrets
from jwt_auth.http.exception_handler import exception_handler
from jwt_auth.http.origins import is_cross_site
from jwt_auth.http.parsers import PARSERS, Utf8FormParser, refuse_large_body
from jwt_auth.http.service_clients import ServiceClientAuthentication
from jwt_auth.http.transports import CookieTransport, Transport
from jwt_auth.revocation.base import keeps_sessions


class AlwaysJSON(BaseContentNegotiation):
    """Respond with JSON, whatever ``Accept`` says, instead of with a 406."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((p for p in parsers if _matches(p.media_type, request.content_type)), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class AuthView(APIView):
    """An endpoint that verifies the credentials in the request itself.

    No authentication class runs before it, so an invalid bearer token doesn't get in the way.
    """

    #: The endpoint's path below its mount.
    route: ClassVar[str]
    #: Whether it has no use in a service that only verifies tokens, which has no sessions.
    needs_sessions: ClassVar[bool] = True
    #: Whether requests that another site's page makes a browser send are refused.
    refuses_cross_site: ClassVar[bool] = False
    #: Whether the endpoint must work without an authentication class (the deployment checks ask).
    authenticates_itself: ClassVar[bool] = True
    transport: Transport = CookieTransport()

    authentication_classes: Any = ()
    permission_classes: Any = (AllowAny,)
    throttle_classes = ()
    parser_classes: Any = PARSERS
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJSON
    versioning_class = None
    metadata_class = None  # otherwise OPTIONS would describe the endpoint's implementation

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        view = super().as_view(**initkwargs)
        # Without ATOMIC_REQUESTS, each flow commits its own transactions. Otherwise a 401 for a
        # reused refresh token would roll back the revocation of its family.
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return hide_secrets(view)

    def get_exception_handler(self) -> Callable[..., Response | None]:
        return exception_handler

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if self.needs_sessions and not keeps_sessions():
            raise VerifyOnly
        if self.refuses_cross_site and self.transport.is_ambient and is_cross_site(request):
            refuse_cross_site(request, sender=type(self))
        self.check_body(request)
        self.now = datetime.now(UTC)
        super().initial(request, *args, **kwargs)

    def check_body(self, request: Request) -> None:
        """Refuse a body that is too large or incomplete."""
        refuse_large_body(request)

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        final = super().finalize_response(request, response, *args, **kwargs)
        final.headers["Cache-Control"] = "no-store"
        return final

    def token_response(self, request: Request, issued: Issued) -> Response:
        """Respond with the access token (RFC 6749 §5.1); the transport adds the refresh token."""
        response = Response(
            {
                "access_token": issued.access_token.text,
                "token_type": "Bearer",
                "expires_in": issued.access_token.expires_in,
            },
            headers={"Pragma": "no-cache"},
        )
        self.transport.write(response, issued, request=request, route=self.route)
        return response

    def forget_refresh_token(self, request: Request, response: Response) -> Response:
        self.transport.forget(response, request=request, route=self.route)
        return response


class BearerView(AuthView):
    """An endpoint for requests with a valid access token."""

    authenticates_itself = False
    authentication_classes = (JWTAuthentication,)
    permission_classes = (IsAuthenticated,)


class ServiceView(AuthView):
    """An endpoint for other services, which have an id and a secret. Cookies are never read.

    ``request.auth`` is the :class:`~jwt_auth.models.ServiceClient`.
    """

    authenticates_itself = False
    authentication_classes = (ServiceClientAuthentication,)
    parser_classes = (Utf8FormParser,)


def _matches(media_type: str, content_type: str) -> bool:
    return media_type == content_type.partition(";")[0].strip().lower()
