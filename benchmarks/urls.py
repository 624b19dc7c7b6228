"""The same view without authentication, with simplejwt and with jwt_auth, and both refreshes."""

from django.urls import include, path
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication as SimpleJWTAuthentication
from rest_framework_simplejwt.views import TokenRefreshView

from jwt_auth.authentication import JWTAuthentication


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


urlpatterns = [
    path("bare/", BareView.as_view()),
    path("simplejwt/", SimpleJWTView.as_view()),
    path("simplejwt/refresh/", TokenRefreshView.as_view()),
    path("ours/", OursView.as_view()),
    path("ours/auth/", include("jwt_auth.urls")),
]
