"""The order of ``MIDDLEWARE``: who sets ``request.user`` last decides."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage

from jwt_auth.check_messages import warning

_OURS: Final = "jwt_auth.middleware.JWTUserMiddleware"
_DJANGOS: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_middleware(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    names = list(settings.MIDDLEWARE)
    if _OURS not in names or _DJANGOS not in names[names.index(_OURS) :]:
        return []
    return [
        warning(
            "W075",
            "JWTUserMiddleware is above AuthenticationMiddleware, which sets request.user again: "
            "no access token has an effect on it.",
            f'In MIDDLEWARE, move "{_OURS}" below "{_DJANGOS}".',
        )
    ]
