"""Log in, refresh, log out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib.auth import authenticate, user_logged_in
from django.core.exceptions import SuspiciousOperation
from django.http import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth import flows
from jwt_auth.exceptions import LogInRefused, RefreshTokenRefused
from jwt_auth.flows.passwords import verifying
from jwt_auth.flows.presented import verify_refresh_token
from jwt_auth.http import throttling
from jwt_auth.http.addresses import client_of
from jwt_auth.http.api_exceptions import CSRFTokenRefused
from jwt_auth.http.credentials import find_access_token, find_retry_key
from jwt_auth.http.csrf import renew_csrf_secret, require_own_page
from jwt_auth.http.serializers import LoginSerializer
from jwt_auth.http.views.base import AuthView


class LoginView(AuthView):
    route = "login/"
    refuses_cross_site = True

    def post(self, request: Request, **kwargs: Any) -> Response:
        body = LoginSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        username, password = body.validated_data["username"], body.validated_data["password"]
        client = client_of(request)
        counters = throttling.count_login(username, client, now=self.now.timestamp())
        # With the request, as in Django's own login form: some authentication backends need it.
        with verifying(password):
            user = authenticate(request._request, username=username, password=password)
        if user is None or not user.is_active:
            raise LogInRefused
        throttling.take_back(counters)
        issued = flows.log_in(
            user,
            client=client,
            now=self.now,
            password=password,
            remember_me=body.validated_data.get("remember_me", False),
        )
        if self.transport.is_ambient:
            renew_csrf_secret(request)
        user_logged_in.send(sender=type(user), request=request._request, user=user)
        return self.token_response(request, issued)


class RefreshView(AuthView):
    route = "refresh/"
    refuses_cross_site = True

    def post(self, request: Request, **kwargs: Any) -> Response:
        self.presented = self.transport.read(request)
        if len(self.presented) != 1:
            raise RefreshTokenRefused
        (presented,) = self.presented
        client = client_of(request)
        # The token is verified once, here. Only a genuine one is counted, so that an attacker can't
        # use up the refreshes of another user's session with forged ones.
        token = verify_refresh_token(presented, client=client)
        throttling.count_refresh(token, now=self.now.timestamp())
        issued = flows.refresh(
            token, retry_key=find_retry_key(request), client=client, now=self.now
        )
        return self.token_response(request, issued)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        # Of two cookies, only the one of this host could be deleted, and that is the user's own.
        # The cookie that an attacker has planted would remain as the only one.
        if isinstance(exc, RefreshTokenRefused) and not self.presented[1:]:
            self.forget_refresh_token(self.request, response)
        return response


class LogoutView(AuthView):
    route = "logout/"
    refuses_cross_site = True

    def post(self, request: Request, **kwargs: Any) -> Response:
        refresh_tokens = self._refresh_tokens(request)
        flows.log_out(
            refresh_tokens=refresh_tokens,
            access_token=self._access_token(request, is_needed=not refresh_tokens),
            client=client_of(request),
            now=self.now,
        )
        return self.forget_refresh_token(request, Response(status=status.HTTP_204_NO_CONTENT))

    def _refresh_tokens(self, request: Request) -> list[str]:
        """The presented refresh tokens; none if the body can't be read.

        The access token in the header may still be valid, so a broken body must not stop a logout.
        """
        try:
            return self.transport.read(request)
        except (APIException, SuspiciousOperation, UnreadablePostError):
            return []

    def check_body(self, request: Request) -> None:
        """Log the user out even if the client disconnected before the end of the body."""
        with suppress(UnreadablePostError):
            super().check_body(request)

    def _access_token(self, request: Request, *, is_needed: bool) -> str | None:
        """The access token; one from a cookie only if the request passes the CSRF check.

        If it doesn't pass, a refresh token in the same request still ends the session, because a
        refresh token only needs the origin check: a user who logs out must not stay logged in.
        """
        credential = find_access_token(request)
        if credential is None:
            return None
        if credential.is_ambient:
            try:
                require_own_page(request, sender=type(self))
            except CSRFTokenRefused:
                if is_needed:
                    raise
                return None
        return credential.value
