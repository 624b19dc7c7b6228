"""A token for the page's WebSocket: the one that the request has come with."""

from rest_framework.decorators import api_view
from rest_framework.response import Response


@api_view(["POST"])
def socket_token(request):
    token = request.headers["Authorization"].removeprefix("Bearer ")
    return Response({"access_token": token}, headers={"Cache-Control": "no-store"})
