"""Endpoints that a project has changed for the worse, and one that it has not."""

from __future__ import annotations

from django.urls import include, path

from jwt_auth.authentication import JWTAuthentication
from jwt_auth.http.views.login_and_refresh import LoginView, RefreshView


class GuardedLoginView(LoginView):
    """A stale header makes this one answer 401."""

    authentication_classes = (JWTAuthentication,)


guarded = [path("login/", GuardedLoginView.as_view())]
urlpatterns = [
    path("sso/", include(guarded)),
    path("refresh/", RefreshView.as_view(authentication_classes=[JWTAuthentication])),
    path("mended/", GuardedLoginView.as_view(authentication_classes=())),
    path("api/auth/", include("jwt_auth.urls")),
]
