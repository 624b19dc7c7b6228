"""What the edge itself refuses, and the challenges of a 401 (RFC 6750 §3)."""

from __future__ import annotations

from typing import Final, NoReturn

from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed

from jwt_auth.exceptions import AccessTokenRefused

REALM: Final = "api"

#: The challenge of a request without credentials (RFC 6750 §3: no error code then).
CHALLENGE: Final = f'Bearer realm="{REALM}"'

#: The challenge of a request whose token was refused.
INVALID_TOKEN_CHALLENGE: Final = (
    f'{CHALLENGE}, error="invalid_token", error_description="{AccessTokenRefused.message}"'
)


class InvalidToken(AuthenticationFailed):
    """A bearer token was refused, at once or when the user behind it was read."""

    default_detail = AccessTokenRefused.message
    default_code = AccessTokenRefused.code

    @property
    def auth_header(self) -> str:
        """The challenge, which REST framework would set to that of a request without a token."""
        return INVALID_TOKEN_CHALLENGE

    @auth_header.setter
    def auth_header(self, challenge: str) -> None:
        """Keep ours."""


def refuse_token(refused: AccessTokenRefused) -> NoReturn:
    """Translate the refusal for views of REST framework."""
    raise InvalidToken from None


class CrossSiteRequest(APIException):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "A browser sent this request for another site's page; nothing was done."
    default_code = "cross_site_request"


class CSRFTokenRefused(APIException):
    """The access token came in a cookie, and nothing shows that a page of ours sent it."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = "With a cookie, this request needs the CSRF token, too; nothing was done."
    default_code = "csrf_failed"


class Unavailable(APIException):
    """The keys or the database are away; the log has the reason, the client gets none."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "The service is not available at the moment."
    default_code = "unavailable"


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = "The request body is too large."
    default_code = "body_too_large"
