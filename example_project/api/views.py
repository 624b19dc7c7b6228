"""What a project's own views look like behind jwt_auth: the three usual ways to ask for more."""

from datetime import UTC, datetime

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from example_project.accounts.models import User
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.management.timeline import next_step
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


class KeysView(APIView):
    """For the role `admin`: the key set tells everybody which keys there are, not since when."""

    permission_classes = [requires_role("admin")]

    def get(self, request: Request) -> Response:
        """List the ring's timeline; each member is named here, so that no material can slip in."""
        now = datetime.now(UTC)  # the ring's times are aware ones, whatever USE_TZ says
        ring = load_ring(get_key_store())
        return Response(
            [
                {
                    "kid": key.kid,
                    "algorithm": key.algorithm,
                    "state": ring.state_of(key, now),
                    "created_at": key.created_at,
                    "activates_at": key.activates_at,
                    "expires_at": key.expires_at,
                    "next_step": next_step(ring, key, now),
                }
                for key in ring.keys
            ]
        )


class TenantView(APIView):
    """For tokens with a claim of the project's own; no look at the user's row is needed."""

    permission_classes = [requires_claim("tenant")]

    def get(self, request: Request) -> Response:
        """Say for which tenant the token speaks."""
        # The type stubs know REST framework's own tokens only.
        return Response({"tenant": request.auth.claims["tenant"]})  # type: ignore[union-attr]
