"""Views behind jwt_auth that require an authenticated user, a role, or a claim."""

from datetime import UTC, datetime

from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from example_project.accounts.models import User
from example_project.api.policies import AdminOnly, TenantScoped
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.management.timeline import next_step
from jwt_auth.models import RefreshTokenFamily


class HelloView(APIView):
    """For any authenticated user: the project's default permission is enough."""

    @extend_schema(responses=inline_serializer("Hello", {"hello": serializers.CharField()}))
    def get(self, request: Request) -> Response:
        """Greet the user."""
        return Response({"hello": request.user.get_username()})


class MetricsView(APIView):
    """For users with the role `admin`, which is a Django group of that name."""

    permission_classes = [AdminOnly]

    @extend_schema(
        responses=inline_serializer(
            "Metrics", {"users": serializers.IntegerField(), "sessions": serializers.IntegerField()}
        )
    )
    def get(self, request: Request) -> Response:
        """Count the users, and the sessions that could still be refreshed."""
        return Response(
            {
                "users": User.objects.count(),
                "sessions": RefreshTokenFamily.objects.live(timezone.now()).count(),
            }
        )


class KeysView(APIView):
    """For the role `admin`: unlike the public JWK Set, it also shows the keys' states and dates."""

    permission_classes = [AdminOnly]

    @extend_schema(
        responses=inline_serializer(
            "Key",
            {
                "kid": serializers.CharField(),
                "algorithm": serializers.CharField(),
                "state": serializers.CharField(),
                "created_at": serializers.DateTimeField(),
                "activates_at": serializers.DateTimeField(),
                "expires_at": serializers.DateTimeField(allow_null=True),
                "next_step": serializers.CharField(),
            },
            many=True,
        )
    )
    def get(self, request: Request) -> Response:
        """List the ring's timeline, with named fields only, so that no key material can leak."""
        now = datetime.now(UTC)  # aware, like the ring's times, whatever USE_TZ says
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
    """For tokens with the project's claim `tenant`, without reading the user's row."""

    permission_classes = [TenantScoped]

    @extend_schema(responses=inline_serializer("Tenant", {"tenant": serializers.CharField()}))
    def get(self, request: Request) -> Response:
        """Return the tenant of the token."""
        # The type stubs know only REST framework's tokens.
        return Response({"tenant": request.auth.claims["tenant"]})  # type: ignore[union-attr]
