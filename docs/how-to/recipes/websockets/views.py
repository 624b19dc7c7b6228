"""A token for the page's WebSocket: the one that the request has come with."""

from rest_framework.decorators import api_view
from rest_framework.response import Response


@api_view(["POST"])
def socket_token(request):
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return Response({"access_token": token.strip()}, headers={"Cache-Control": "no-store"})
