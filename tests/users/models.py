"""Two user models of which AUTH_USER_MODEL makes one real; the other has no table then.

Together with Django's own and the example's they cover what a user may be like: with and without
a token version of its own, with and without groups, keys that are no integers, and a part of the
user in another table.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models

from jwt_auth.models import TokenVersionMixin


class UUIDKeyUserManager(BaseUserManager["UUIDKeyUser"]):
    """Makes users who have no user name."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> UUIDKeyUser:
        """Make a user who logs in with this address."""
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class Person(AbstractBaseUser):
    """Whoever has an address and a password, in a table of their own with a key of its own."""

    number = models.BigAutoField(primary_key=True)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    def __str__(self) -> str:
        return self.email


class UUIDKeyUser(Person, PermissionsMixin):
    """A person who is known by a UUID; has groups, but no token version of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.OneToOneField(Person, models.CASCADE, parent_link=True)
    is_staff = models.BooleanField(default=False)

    objects = UUIDKeyUserManager()

    class Meta:
        swappable = "AUTH_USER_MODEL"


class StringKeyUserManager(BaseUserManager["StringKeyUser"]):
    """Makes users whose name is their key."""

    def create_user(self, name: str, password: str | None = None, **fields: Any) -> StringKeyUser:
        """Make a user of this name."""
        user = self.model(name=name, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class StringKeyUser(TokenVersionMixin, AbstractBaseUser):
    """As little as Django allows: a name, which is the key, and no permissions or groups."""

    name = models.CharField(max_length=80, primary_key=True)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    roles = models.JSONField(default=list)

    USERNAME_FIELD = "name"
    EMAIL_FIELD = "email"

    objects = StringKeyUserManager()

    class Meta:
        swappable = "AUTH_USER_MODEL"

    def __str__(self) -> str:
        return self.name

    def has_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        """Let the staff do everything, as Django's admin asks."""
        return self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        """Let the staff see everything."""
        return self.is_staff


def roles_of(user: StringKeyUser) -> list[str]:
    """Name the roles of a user who has no groups; JWT_AUTH_ROLES."""
    return list(user.roles)
