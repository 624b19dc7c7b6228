"""What a project's own views look like behind jwt_auth: the three usual ways to ask for more."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from example_project.accounts.models import User
from jwt_auth.models import RefreshTokenFamily
from jwt_auth.permissions import requires_claim, requires_role


class HelloView(APIView):
    """For any authenticated user: the project's default permission is enough."""

    def get(self, request: Request) -> Response:
        """Greet the user."""
        return Response({"hello": request.user.get_username()})


class MetricsView(APIView):
    """For users with the role `admin`, which is a Django group of that name."""

    permission_classes = [requires_role("admin")]

    def get(self, request: Request) -> Response:
        """Count the users, and the sessions that could still be refreshed."""
        return Response(
            {
                "users": User.objects.count(),
                "sessions": RefreshTokenFamily.objects.live(timezone.now()).count(),
            }
        )


class TenantView(APIView):
    """For tokens with a claim of the project's own; no look at the user's row is needed."""

    permission_classes = [requires_claim("tenant")]

    def get(self, request: Request) -> Response:
        """Say for which tenant the token speaks."""
        # The type stubs know REST framework's own tokens only.
        return Response({"tenant": request.auth.claims["tenant"]})  # type: ignore[union-attr]
