"""Revocation answered by Redis: :class:`RedisRevocation`, with a module for each of its parts."""

try:
    import django_redis  # noqa: F401  so that the error names what to install
except ImportError as error:
    message = 'RedisRevocation needs django-redis: pip install "django-jwt-sessions[redis]"'
    raise ImportError(message) from error

from jwt_auth.revocation.redis.backend import RedisRevocation

__all__ = ["RedisRevocation"]
