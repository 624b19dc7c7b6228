"""The paths for runs with another user model than the example's, whose views need their own."""

from django.contrib import admin
from django.urls import include, path, re_path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from jwt_auth.permissions import requires_role


class HelloView(APIView):
    """For any authenticated user."""

    def get(self, request: Request) -> Response:
        """Greet the user."""
        return Response({"hello": request.user.get_username()})


class MetricsView(HelloView):
    """For users with the role `admin`."""

    permission_classes = [requires_role("admin")]


urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path("api/auth/", include("jwt_auth.urls.services")),
    path("api/mobile/auth/", include("jwt_auth.urls.body")),
    path(".well-known/", include("jwt_auth.urls.well_known")),
    re_path(r"^api/hello/?$", HelloView.as_view(), name="hello"),
    re_path(r"^api/admin/metrics/?$", MetricsView.as_view(), name="metrics"),
    path("admin/", admin.site.urls),
]
