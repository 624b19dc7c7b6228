"""The endpoints for logged-in users: profile, list and end sessions, change the password."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from jwt_auth import flows
from jwt_auth.exceptions import SessionNotFound
from jwt_auth.flows.ending import is_of_another_user
from jwt_auth.flows.issuing import roles_of
from jwt_auth.http import throttling
from jwt_auth.http.addresses import client_of
from jwt_auth.http.credentials import find_retry_key
from jwt_auth.http.serializers import PasswordChangeSerializer, SessionSerializer
from jwt_auth.http.views.base import BearerView
from jwt_auth.models import Reason
from jwt_auth.revocation.base import keeps_sessions

#: How many sessions a list shows at most; longer lists are of no use to a person.
_MOST_SESSIONS: Final = 200


class LogoutAllView(BearerView):
    route = "logout-all/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        user_id = request.user.pk
        flows.log_out_everywhere(user_id, client=client_of(request), now=self.now)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        # Another user may have logged in with this browser in the meantime: keep their cookie.
        if self.transport.is_ambient and any(
            is_of_another_user(token, user_id) for token in self.transport.read(request)
        ):
            return response
        return self.forget_refresh_token(request, response)


class MeView(BearerView):
    route = "me/"
    needs_sessions = False

    def get(self, request: Request, **kwargs: Any) -> Response:
        user: Any = request.user
        token: Any = request.auth
        return Response(
            {
                "id": user.pk,
                "username": user.get_username(),
                "email": getattr(user, user.get_email_field_name(), ""),
                "roles": roles_of(user) if keeps_sessions() else token.roles,
            }
        )


class SessionListView(BearerView):
    route = "sessions/"

    def get(self, request: Request, **kwargs: Any) -> Response:
        sessions = flows.list_sessions(request.user.pk, now=self.now)[:_MOST_SESSIONS]
        token: Any = request.auth
        context = {"current": token.session_id}
        return Response(SessionSerializer(sessions, many=True, context=context).data)


class SessionView(BearerView):
    route = "sessions/"

    def delete(self, request: Request, session_id: str, **kwargs: Any) -> Response:
        try:
            family_id = UUID(session_id)
        except ValueError:
            raise SessionNotFound from None
        ended = flows.end_session(
            family_id,
            user_id=request.user.pk,
            reason=Reason.LOGOUT,
            client=client_of(request),
            now=self.now,
        )
        if not ended:
            raise SessionNotFound
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordChangeView(BearerView):
    route = "password/change/"

    def post(self, request: Request, **kwargs: Any) -> Response:
        body = PasswordChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        client = client_of(request)
        user: Any = request.user
        token: Any = request.auth
        # Otherwise a thief of an access token could guess the password here without limit.
        throttling.count_login(user.get_username(), client, now=self.now.timestamp())
        retry_key = find_retry_key(request)
        presented = self.transport.read(request) if retry_key else []
        issued = flows.change_password(
            user,
            client=client,
            now=self.now,
            session_id=token.session_id,
            presented=presented[0] if len(presented) == 1 else None,
            retry_key=retry_key,
            **body.validated_data,
        )
        return self.token_response(request, issued)
