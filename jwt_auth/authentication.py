"""The authentication class that a project names in ``DEFAULT_AUTHENTICATION_CLASSES``."""

from jwt_auth.http.authentication import JWTAuthentication

__all__ = ["JWTAuthentication"]
