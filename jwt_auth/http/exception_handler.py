"""The exception handler of all endpoints: turn every error into ``{"detail": …, "code": …}``.

This is the only place that decides which status and headers an error of the package gets.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError
from django.http import Http404, UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework import exceptions, status
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import exception_handler as default_exception_handler

from jwt_auth.database_errors import remedy
from jwt_auth.exceptions import (
    AccessTokenRefused,
    JWTAuthError,
    LogInRefused,
    NewPasswordRefused,
    OldPasswordRefused,
    OneTimeTokenRefused,
    RefreshSuperseded,
    RefreshTokenRefused,
    SessionNotFound,
)
from jwt_auth.http.api_exceptions import CHALLENGE, INVALID_TOKEN_CHALLENGE, Unavailable

logger: Final = logging.getLogger("jwt_auth")

_STATUS: Final[dict[type[JWTAuthError], int]] = {
    AccessTokenRefused: status.HTTP_401_UNAUTHORIZED,
    RefreshTokenRefused: status.HTTP_401_UNAUTHORIZED,
    LogInRefused: status.HTTP_401_UNAUTHORIZED,
    RefreshSuperseded: status.HTTP_409_CONFLICT,
    OldPasswordRefused: status.HTTP_400_BAD_REQUEST,
    NewPasswordRefused: status.HTTP_400_BAD_REQUEST,
    OneTimeTokenRefused: status.HTTP_400_BAD_REQUEST,
    SessionNotFound: status.HTTP_404_NOT_FOUND,
}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error as every endpoint of this package does.

    A project can also name it as REST framework's ``EXCEPTION_HANDLER``.
    """
    match exc:
        case JWTAuthError() if type(exc) in _STATUS:
            return _answer(exc)
        case JWTAuthError():
            logger.error("%s: %s", type(exc).__name__, exc)
            exc = Unavailable()
        case DatabaseError():
            # With the request, because its filter (error_reports) keeps secrets out of the mail
            # that Django may send for this record.
            extra = {"request": getattr(context.get("request"), "_request", None)}
            logger.error("%s", remedy(exc), exc_info=exc, extra=extra)
            exc = Unavailable()
        case Http404():
            exc = exceptions.NotFound()
        case PermissionDenied():
            exc = exceptions.PermissionDenied()
        case SuspiciousOperation() | UnreadablePostError():  # the latter: the client disconnected
            exc = exceptions.ParseError(_("The request is malformed."))
    response = default_exception_handler(exc, context)
    if response is not None and isinstance(exc, APIException):
        response.data = _body(exc)
        if response.status_code == status.HTTP_401_UNAUTHORIZED:
            response.headers.setdefault("WWW-Authenticate", CHALLENGE)
    return response


def _answer(exc: JWTAuthError) -> Response:
    code = _STATUS[type(exc)]
    body: dict[str, Any] = {"detail": exc.detail, "code": exc.code}
    if isinstance(exc, NewPasswordRefused):
        body["errors"] = {"new_password": exc.messages}
    if isinstance(exc, RefreshTokenRefused) and exc.hint and settings.DEBUG:
        body["detail"] += f" {exc.hint}"
    response = Response(body, status=code)
    if code == status.HTTP_401_UNAUTHORIZED:
        refused = isinstance(exc, AccessTokenRefused)
        response["WWW-Authenticate"] = INVALID_TOKEN_CHALLENGE if refused else CHALLENGE
    return response


def _body(exc: APIException) -> dict[str, Any]:
    # Other packages raise such details, so that REST framework's own handler answers a code, too.
    if isinstance(exc.detail, dict) and {"detail", "code"} <= exc.detail.keys():
        return exc.detail
    if isinstance(exc, exceptions.ValidationError):
        return {
            "detail": _("The request is not valid."),
            "code": "invalid",
            "errors": exc.detail,
        }
    codes = exc.get_codes()
    return {"detail": exc.detail, "code": codes if isinstance(codes, str) else exc.default_code}
