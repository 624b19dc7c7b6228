"""REST framework's exceptions that this package raises, and the challenges of a 401.

The errors of the layers below HTTP are in ``jwt_auth.exceptions``; ``exception_handler`` translates
them. The challenges are the values of ``WWW-Authenticate`` (RFC 6750 §3).
"""

from __future__ import annotations

from typing import Final, NoReturn

from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import APIException, AuthenticationFailed

from jwt_auth.exceptions import AccessTokenRefused

REALM: Final = "api"

#: The challenge for a request without credentials, which has no error code (RFC 6750 §3).
CHALLENGE: Final = f'Bearer realm="{REALM}"'

#: The challenge for a request whose token was refused. It is English in every language: RFC 6750
#: §3 allows only ASCII in it.
INVALID_TOKEN_CHALLENGE: Final = (
    f'{CHALLENGE}, error="invalid_token", error_description="{AccessTokenRefused.message}"'
)


class InvalidToken(AuthenticationFailed):
    """A bearer token was refused, when it was verified or later, when its user was loaded."""

    default_detail = _(AccessTokenRefused.message)
    default_code = AccessTokenRefused.code

    @property
    def auth_header(self) -> str:
        """The challenge of a refused token.

        REST framework would replace it with the challenge for a request without a token.
        """
        return INVALID_TOKEN_CHALLENGE

    @auth_header.setter
    def auth_header(self, challenge: str) -> None:
        """Ignore REST framework's challenge."""


def refuse_token(refused: AccessTokenRefused) -> NoReturn:
    """Raise the refusal as an exception that every REST framework view can answer."""
    raise InvalidToken from None


class CrossSiteRequest(APIException):
    status_code = status.HTTP_403_FORBIDDEN
    default_detail = _("A browser sent this request for another site's page; nothing was done.")
    default_code = "cross_site_request"


class CSRFTokenRefused(APIException):
    """The access token came in a cookie, and the CSRF token is missing or wrong."""

    status_code = status.HTTP_403_FORBIDDEN
    default_detail = _(
        "With the access token in a cookie, this request also needs the CSRF token;"
        " nothing was done."
    )
    default_code = "csrf_failed"


class Unavailable(APIException):
    """The keys or the database are unavailable. Only the log says why, not the response."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = _("The service is not available at the moment.")
    default_code = "unavailable"


class BodyTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = _("The request body is too large.")
    default_code = "body_too_large"
