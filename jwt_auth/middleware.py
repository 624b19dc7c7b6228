"""The middleware that a project names in ``MIDDLEWARE``, and the token of a request behind it."""

from jwt_auth.http.user_middleware import (
    JWTUserMiddleware,
    aget_access_token,
    get_access_token,
)

__all__ = ["JWTUserMiddleware", "aget_access_token", "get_access_token"]
