"""Backends and a callable that bring local users for tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth import get_user_model

from jwt_auth.models import Client
from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.token_user import user_of
from jwt_auth.tokens.claims import AccessToken

CLIENT: Final = Client(ip_address=None, user_agent="")

_everyone: list[Any] = []


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def everyone_is(user: Any) -> Iterator[None]:
    """Have the callable find this user for every token."""
    _everyone.append(user)
    yield
    _everyone.clear()


def local_user(token: AccessToken) -> Any:
    """``JWT_AUTH_LOCAL_USER``: find the user by a claim."""
    if _everyone:
        return _everyone[0]
    model = get_user_model()
    name = token.claims["username"]
    return model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()


class MappedUsers(RevocationBackend):
    """Leaves the users to the callable."""

    maps_users = True

    def get_user(self, token: AccessToken) -> Any:
        return user_of(token)


class WrongUsers(RevocationBackend):
    """Brings another user than the token's."""

    def get_user(self, token: AccessToken) -> Any:
        return local_user(token)
