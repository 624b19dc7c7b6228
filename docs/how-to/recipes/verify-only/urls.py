"""One view of the service, for users who are logged in at the issuer."""

from django.urls import path
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def whoami(request: Request) -> Response:
    """Say whose token it is."""
    return Response({"user": request.user.pk, "roles": request.auth.roles})


urlpatterns = [path("api/whoami/", whoami)]
