"""Authenticate a service by its id and secret in HTTP Basic (RFC 6749 §2.3.1, RFC 7617)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote_plus

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.request import Request

from jwt_auth import flows
from jwt_auth.exceptions import ServiceClientRefused
from jwt_auth.http.addresses import client_of
from jwt_auth.http.api_exceptions import REALM
from jwt_auth.http.throttling import count_unless_right
from jwt_auth.models import ServiceClient

_SCHEME: Final = "basic"


class InvalidClient(AuthenticationFailed):
    """The credentials of a service client are missing, malformed or wrong (RFC 6749 §5.2)."""

    default_detail = _(ServiceClientRefused.message)
    default_code = ServiceClientRefused.code


class InvalidRequest(APIException):
    """A parameter is missing, empty or repeated (RFC 6749 §5.2)."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_detail = _('The form must have one field "token".')
    default_code = "invalid_request"


class ServiceClientAuthentication(BaseAuthentication):
    """Require a service client, which the view finds in ``request.auth``. It is not a user."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ServiceClient]:
        credentials = _find_credentials(request)
        if credentials is None:
            raise InvalidClient
        client = client_of(request)
        client_id, secret = credentials
        try:
            service = flows.verify_service_client(
                client_id,
                secret,
                client=client,
                attempt=count_unless_right(
                    "service_client", client, now=datetime.now(UTC).timestamp()
                ),
            )
        except ServiceClientRefused:
            raise InvalidClient from None
        return AnonymousUser(), service

    def authenticate_header(self, request: Request) -> str:
        return f'Basic realm="{REALM}"'


def _find_credentials(request: Request) -> tuple[str, str] | None:
    """Find id and secret in the header, each of which is form-encoded there (RFC 6749 §2.3.1)."""
    scheme, _, encoded = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    try:
        text = base64.b64decode(encoded.strip(" "), validate=True).decode("ascii")
    except ValueError:
        return None
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)
