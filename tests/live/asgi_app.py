"""An ASGI project of the tests: async views, adrf and Channels, with the example's settings.

A call that blocks the event loop is an error here.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

from blockbuster import BlockBuster
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live.asgi_settings")
django_application = get_asgi_application()

# ruff: noqa: E402  these need Django's settings
from adrf.views import APIView
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from rest_framework.response import Response

from jwt_auth.contrib.channels import JWTAuthMiddleware
from jwt_auth.middleware import aget_access_token


async def whoami(request: Any) -> JsonResponse:
    """A view of Django's."""
    user = await request.auser()
    token = await aget_access_token(request)
    return JsonResponse({"user": user.get_username(), "sid": token and str(token.session_id)})


class Adrf(APIView):  # type: ignore[misc]  # adrf has no types
    """A view of adrf's."""

    async def get(self, request: HttpRequest) -> Response:
        await request.user.arefresh_from_db()  # type: ignore[union-attr]  # nobody else gets here
        return Response({"user": request.user.get_username()})


class Echo(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """A consumer of Channels', which knows nothing of tokens."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"user": self.scope["user"].get_username(), "said": content})


_RECIPE = Path(__file__).parents[2] / "docs/how-to/recipes/websockets/views.py"

urlpatterns = [
    path("", include("example_project.urls")),
    path("api/socket-token/", runpy.run_path(str(_RECIPE))["socket_token"]),
    path("whoami/", whoami),
    path("adrf/", Adrf.as_view()),
]

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": JWTAuthMiddleware(URLRouter([path("ws/", Echo.as_asgi())]), check_interval=2),
    }
)

# From here on: the server has loaded the application.
BlockBuster().activate()
