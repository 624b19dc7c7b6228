"""Who sends a request, by the headers that the gateway has set."""

import json
from base64 import urlsafe_b64decode
from urllib.parse import unquote

from django.core.exceptions import PermissionDenied


def gateway_middleware(get_response):
    def middleware(request):
        headers = request.headers
        # Otherwise the request has not come through the gateway, or not unchanged.
        if not {"X-Auth-User", "X-Auth-Claims"}.issubset(headers):
            raise PermissionDenied
        request.user_id = unquote(headers["X-Auth-User"])
        roles = headers.get("X-Auth-Roles", "")
        request.roles = [unquote(role) for role in roles.split(",") if role]
        request.claims = json.loads(urlsafe_b64decode(headers["X-Auth-Claims"] + "=="))
        return get_response(request)

    return middleware
