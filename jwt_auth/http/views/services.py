"""Introspect and revoke tokens on behalf of other services (RFC 7662, RFC 7009)."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth import flows
from jwt_auth.exceptions import AccessTokenRefused
from jwt_auth.http.addresses import client_of
from jwt_auth.http.service_clients import InvalidRequest
from jwt_auth.http.views.base import ServiceView


class IntrospectView(ServiceView):
    """Say whether an access token is good now, and what it says (RFC 7662 §2.2)."""

    route = "introspect/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        try:
            _, token = flows.authenticate(
                _token_in(request), client=client_of(request), now=self.now
            )
        except AccessTokenRefused:
            return Response({"active": False})
        # The last two are never the project's claims, whatever JWT_AUTH_CLAIMS returns.
        return Response({**token.claims, "active": True, "token_type": "Bearer"})


class RevokeView(ServiceView):
    """Revoke a token; the answer is the same whether or not there was one (RFC 7009 §2.2)."""

    route = "revoke/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        flows.revoke(_token_in(request), client=client_of(request), now=self.now)
        return Response()


def _token_in(request: Request) -> str:
    """The form field ``token``. ``token_type_hint`` isn't needed: the two kinds look different."""
    # REST framework makes an empty body without a type a dict.
    tokens = request.data.getlist("token") if isinstance(request.data, QueryDict) else []
    if len(tokens) != 1 or not tokens[0]:
        raise InvalidRequest
    return str(tokens[0])
