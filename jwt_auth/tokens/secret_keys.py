"""Keys derived from ``SECRET_KEY``, for what only this project has to recognise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes


def secret_keys() -> Iterator[bytes]:
    """Give ``SECRET_KEY``, then each of ``SECRET_KEY_FALLBACKS``."""
    yield force_bytes(settings.SECRET_KEY)
    yield from map(force_bytes, settings.SECRET_KEY_FALLBACKS)


@lru_cache(maxsize=32)
def derive(secret_key: bytes, purpose: bytes) -> bytes:
    """Derive a separate key for each purpose (RFC 5869).

    Another use of ``SECRET_KEY`` in the project then reveals nothing about the keys used here.
    """
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret_key)
