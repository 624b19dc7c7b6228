"""Revocation answered by Redis: :class:`RedisRevocation`, and one module for each part of it."""

from jwt_auth.revocation.redis.backend import RedisRevocation

__all__ = ["RedisRevocation"]
