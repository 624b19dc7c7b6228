"""The same view without authentication, with simplejwt and with jwt_auth, and both refreshes."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication as SimpleJWTAuthentication
from rest_framework_simplejwt.views import TokenRefreshView

from jwt_auth.authentication import JWTAuthentication
from jwt_auth.middleware import aget_access_token


class BareView(APIView):
    """A view without authentication."""

    authentication_classes: list[type] = []
    permission_classes: list[type] = [AllowAny]

    def get(self, request: Request) -> Response:
        """Respond with a small body."""
        return Response({"ok": True})


class SimpleJWTView(BareView):
    """The same view with simplejwt's authentication."""

    authentication_classes = [SimpleJWTAuthentication]
    permission_classes = [IsAuthenticated]


class OursView(BareView):
    """The same view with jwt_auth's authentication."""

    authentication_classes = [JWTAuthentication]
    permission_classes = [IsAuthenticated]


def plain(request: HttpRequest) -> HttpResponse:
    """A view of Django's that asks who calls."""
    return JsonResponse({"ok": request.user.pk})


async def coroutine(request: Any) -> HttpResponse:
    """The same in an event loop; the session is read for a request without a token."""
    user = await request.auser()
    return JsonResponse({"ok": user.pk})


async def token(request: HttpRequest) -> HttpResponse:
    """One that needs the token only, not the user's fields."""
    token = await aget_access_token(request)
    return JsonResponse({"ok": token and token.subject})


urlpatterns = [
    path("token/", token),
    path("plain/", plain),
    path("coroutine/", coroutine),
    path("bare/", BareView.as_view()),
    path("simplejwt/", SimpleJWTView.as_view()),
    path("simplejwt/refresh/", TokenRefreshView.as_view()),
    path("ours/", OursView.as_view()),
    path("ours/auth/", include("jwt_auth.urls")),
    path("ours/auth/", include("jwt_auth.urls.services")),
    path(".well-known/", include("jwt_auth.urls.well_known")),
]
