"""A token for the page's WebSocket: the one that the request has come with."""

from rest_framework.decorators import api_view, permission_classes
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response


@api_view(["POST"])
@permission_classes([IsAuthenticated])
def socket_token(request):
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":  # the user is known by a cookie
        raise NotAuthenticated
    return Response({"access_token": token.strip()}, headers={"Cache-Control": "no-store"})
