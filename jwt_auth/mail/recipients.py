"""The users whom messages are about, as they are when a message is composed."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth.models import write_database


def find_user(user_id: str) -> AbstractBaseUser | None:
    """Find an active user whom the default manager shows."""
    model = get_user_model()
    users = model._default_manager.using(write_database(model))
    user: AbstractBaseUser | None = users.filter(pk=user_id).first()
    return user if user is not None and user.is_active else None
