"""Log in, refresh, log out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate, user_logged_in
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth import flows
from jwt_auth.exceptions import LogInRefused, RefreshTokenRefused
from jwt_auth.http import throttling
from jwt_auth.http.addresses import client_of
from jwt_auth.http.credentials import find_bearer_token, find_retry_key
from jwt_auth.http.serializers import LoginSerializer
from jwt_auth.http.views.base import AuthView


class LoginView(AuthView):
    route = "login/"
    refuses_cross_site = True

    def post(self, request: Request, **kwargs: Any) -> Response:
        body = LoginSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        username = body.validated_data["username"]
        client = client_of(request)
        throttling.count_login(username, client, now=self.now.timestamp())
        # With the request, as Django's own form does it, so that any authentication backend works.
        user = authenticate(request._request, **body.validated_data)
        if user is None or not user.is_active:
            raise LogInRefused
        throttling.forget_login(username)
        issued = flows.log_in(user, client=client, now=self.now)
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        return self.token_response(request, issued)


class RefreshView(AuthView):
    route = "refresh/"
    refuses_cross_site = True

    def post(self, request: Request, **kwargs: Any) -> Response:
        presented = self.transport.read(request)
        if presented is None:
            raise RefreshTokenRefused
        throttling.count_refresh(presented, now=self.now.timestamp())
        issued = flows.refresh(
            presented,
            retry_key=find_retry_key(request),
            client=client_of(request),
            now=self.now,
        )
        return self.token_response(request, issued)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if isinstance(exc, RefreshTokenRefused):
            self.forget_refresh_token(self.request, response)
        return response


class LogoutView(AuthView):
    route = "logout/"
    refuses_cross_site = True

    def post(self, request: Request, **kwargs: Any) -> Response:
        flows.log_out(
            refresh_token=self.transport.read(request),
            access_token=find_bearer_token(request),
            client=client_of(request),
            now=self.now,
        )
        return self.forget_refresh_token(request, Response(status=status.HTTP_204_NO_CONTENT))
