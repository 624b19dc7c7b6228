"""Revocation answered by Redis, with a module for each part.

:class:`RedisRevocation` is the issuer's, :class:`SharedRedis` that of another service.
"""

try:
    import django_redis  # noqa: F401  so that the error names what to install
except ImportError as error:
    message = 'Revocation in Redis needs django-redis: pip install "django-jwt-sessions[redis]"'
    raise ImportError(message) from error

from jwt_auth.revocation.redis.backend import RedisRevocation
from jwt_auth.revocation.redis.shared import SharedRedis

__all__ = ["RedisRevocation", "SharedRedis"]
