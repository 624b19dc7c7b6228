"""The endpoints that have a one-time token mailed, and those that take one.

A token arrives in the body only. The mail links to a page of the project, and the page posts the
token: a mail scanner that follows links doesn't use it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import get_language
from rest_framework import status
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import VerifyOnly
from jwt_auth.http import throttling
from jwt_auth.http.addresses import client_of
from jwt_auth.http.serializers import (
    EmailConfirmSerializer,
    PasswordResetConfirmSerializer,
    PasswordResetSerializer,
)
from jwt_auth.http.views.base import AuthView, BearerView
from jwt_auth.mail.dispatch import dispatch


class PasswordResetView(AuthView):
    """Does the same for every address: it neither looks a user up nor waits for a mail."""

    route = "password/reset/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        _require_mails(conf.password_reset_url)
        body = PasswordResetSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        address = body.validated_data["email"]
        throttling.count_password_reset(address, client_of(request), now=self.now.timestamp())
        dispatch("password_reset", address=address, language=_language())
        return Response(status=status.HTTP_202_ACCEPTED)


class PasswordResetConfirmView(AuthView):
    route = "password/reset/confirm/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        body = PasswordResetConfirmSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        flows.reset_password(**body.validated_data, client=client_of(request), now=self.now)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SendConfirmationView(BearerView):
    """Answers 202 also if the user has no address: then there is nothing to send."""

    route = "email/send-confirmation/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        _require_mails(conf.email_confirmation_url)
        user_id = str(request.user.pk)
        throttling.count("email_confirmation", user_id, now=self.now.timestamp())
        dispatch("email_confirmation", user_id=user_id, language=_language())
        return Response(status=status.HTTP_202_ACCEPTED)


class EmailConfirmView(AuthView):
    """Needs no login: the mail may be opened on a device where the user isn't logged in."""

    route = "email/confirm/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        body = EmailConfirmSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        flows.confirm_address(**body.validated_data, client=client_of(request), now=self.now)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _require_mails(url: str | None) -> None:
    """Refuse a request whose mail would have no token or no link, instead of answering 202."""
    if conf.jwks_url is not None:
        raise VerifyOnly
    if url is None:
        raise NotFound


def _language() -> str:
    return get_language() or settings.LANGUAGE_CODE
