"""allauth's adapter of docs/how-to/django-log-in.md."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse

from jwt_auth.sessions import open_session


class TokenAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types here
    """Opens a session at each log-in and sign-up."""

    def post_login(
        self, request: HttpRequest, user: AbstractBaseUser, **kwargs: Any
    ) -> HttpResponse:
        """Set the cookies on the answer that the log-in ends with."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        open_session(request, response, user)
        return response
