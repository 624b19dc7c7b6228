"""Verify the access token of a request that a gateway is about to let through.

nginx, Caddy, Traefik and Envoy ask here first. After a 204, they copy the ``X-Auth-…`` headers of
the answer into the request and pass it on; otherwise they refuse it.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth.encoding import base64url_encode
from jwt_auth.http.authentication import JWTAuthentication
from jwt_auth.http.views.base import BearerView
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens.claims import AccessToken

#: Visible ASCII, except for the percent sign and the comma, which have a meaning in our headers.
_PLAIN: Final = "".join(map(chr, range(0x21, 0x7F))).translate({ord("%"): None, ord(","): None})


class HeaderAuthentication(JWTAuthentication):
    """Authenticate by the ``Authorization`` header only, never by the access cookie.

    A cookie also needs Django's CSRF check, which depends on the method and the ``Origin`` of the
    original request. Gateways send a GET instead of it, so the check would always pass.
    """

    def authenticate(
        self, request: Request
    ) -> tuple[AbstractBaseUser | TokenUser, AccessToken] | None:
        if "HTTP_AUTHORIZATION" not in request.META:
            return None
        return super().authenticate(request)


class VerifyView(BearerView):
    route = "verify/"
    needs_sessions = False
    authentication_classes = (HeaderAuthentication,)

    def get(self, request: Request, **kwargs: Any) -> Response:
        token: Any = request.auth
        # Envoy lets a request through after a 200 only, and asks for it in its configuration.
        is_ok = request.query_params.get("status") == "200"
        return Response(
            status=status.HTTP_200_OK if is_ok else status.HTTP_204_NO_CONTENT,
            headers={
                "X-Auth-User": _encode(token.subject),
                "X-Auth-Session": str(token.session_id),
                "X-Auth-Roles": ",".join(map(_encode, token.roles)),
                "X-Auth-Claims": base64url_encode(token.payload),
            },
        )

    # Envoy sends the method of the original request. The answer depends on the header alone.
    post = put = patch = delete = get
    options: Any = get

    def check_body(self, request: Request) -> None:
        """Leave the body unread: some gateways announce a body that they send elsewhere."""


def _encode(text: str) -> str:
    """Percent-encode what isn't plain (RFC 3986 §2.1), so that no value can be two or a new header.

    JSON can escape lone surrogates, which UTF-8 has no form for; such a text must not be an error.
    """
    return quote(text, safe=_PLAIN, errors="surrogatepass")
