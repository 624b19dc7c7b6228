"""REST framework's authentication class: find out which user sent the request.

``authenticate()`` returns ``None`` for a request without an access token, and for a valid token the
user and the :class:`~jwt_auth.tokens.claims.AccessToken`. Any other token raises an exception.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, KeyFailure, RevocationUnknown
from jwt_auth.http.addresses import client_of
from jwt_auth.http.api_exceptions import CHALLENGE, Unavailable, refuse_token
from jwt_auth.http.credentials import Credential, find_access_token
from jwt_auth.http.csrf import require_own_page, vary_on_cookie
from jwt_auth.http.judgement import find_judgement
from jwt_auth.revocation.lazy import refuse_with
from jwt_auth.revocation.token_user import TokenUser
from jwt_auth.tokens.claims import AccessToken

logger: Final = logging.getLogger("jwt_auth")


class JWTAuthentication(BaseAuthentication):
    """Authenticate a request by its access token.

    The token comes in an ``Authorization: Bearer`` header (RFC 6750), or in the cookie that
    ``JWT_AUTH_ACCESS_COOKIE_NAME`` names.
    """

    def authenticate(
        self, request: Request
    ) -> tuple[AbstractBaseUser | TokenUser, AccessToken] | None:
        try:
            credential = find_access_token(request)
            if credential is None:
                if conf.access_cookie_name is not None:
                    vary_on_cookie(request)
                return None
            if credential.is_ambient:
                vary_on_cookie(request)
                # Before the token is verified, so that another site's page learns nothing about it.
                require_own_page(request, sender=type(self))
            user, token = self._judge(request, credential)
        except AccessTokenRefused as refused:
            refuse_token(refused)
        except (KeyFailure, RevocationUnknown) as failure:
            logger.error("Access tokens can't be verified: %s", failure)
            raise Unavailable from None
        refuse_with(user, refuse_token)
        return user, token

    def _judge(
        self, request: Request, credential: Credential
    ) -> tuple[AbstractBaseUser | TokenUser, AccessToken]:
        judgement = find_judgement(request._request)
        if judgement is not None and judgement.credential == credential:
            return judgement.get()  # the middleware may have made it already
        return flows.authenticate(
            credential.value, client=client_of(request), now=datetime.now(UTC)
        )

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE
