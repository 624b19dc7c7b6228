"""What belongs to a user: the token version, and the groups."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from jwt_auth.models.databases import write_database


class TokenVersionField(models.PositiveIntegerField):  # type: ignore[type-arg]  # not at run time
    """A counter that ``save()`` never writes: an instance from before a bump would undo it."""

    def deconstruct(self) -> Any:
        # Migrations of projects name the field where it is documented.
        name, path, args, kwargs = super().deconstruct()
        return name, path.replace("jwt_auth.models.users.", "jwt_auth.models."), args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        return super().pre_save(model_instance, add) if add else F(self.attname)


class TokenVersionMixin(models.Model):
    """Adds the token version to a project's own user model.

    Without it, the version is in a row of :class:`TokenVersion`.
    """

    token_version = TokenVersionField(_("token version"), default=0, editable=False)

    class Meta:
        abstract = True


class TokenVersionQuerySet(models.QuerySet["TokenVersion"]):
    def bump(self, user_id: Any) -> None:
        """Increment the user's version, so that every earlier access token is refused."""
        user_model = get_user_model()
        if has_version_field(user_model):
            users = user_model._base_manager.using(write_database(user_model))
            users.filter(pk=user_id).update(token_version=F("token_version") + 1)
            return
        database = write_database(self.model)
        versions = self.using(database)
        users = user_model._base_manager.using(database)
        with transaction.atomic(using=database):
            # The lock lets one transaction in at a time. MariaDB gives every transaction that finds
            # the row a shared lock on it. If two hold one, neither can increment the version.
            users.select_for_update().filter(pk=user_id).first()
            versions.bulk_create([TokenVersion(user_id=user_id)], ignore_conflicts=True)
            versions.filter(user_id=user_id).update(token_version=F("token_version") + 1)

    def current(self, user_id: Any) -> int:
        """Read the user's version, after a :meth:`bump` in the same transaction."""
        user_model = get_user_model()
        if has_version_field(user_model):
            database = write_database(user_model)
            owners: Any = user_model._base_manager.using(database).filter(pk=user_id)
        else:
            owners = self.using(write_database(self.model)).filter(user_id=user_id)
        version: int = owners.values_list("token_version", flat=True).first() or 0
        return version


class TokenVersion(models.Model):
    """The token version of a user whose model has no such field; without a row it is 0."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="jwt_auth_token_version",
    )
    token_version = models.PositiveIntegerField(default=0)

    objects = TokenVersionQuerySet.as_manager()

    class Meta:
        verbose_name = _("token version")
        verbose_name_plural = _("token versions")

    def __str__(self) -> str:
        return f"version {self.token_version} of user {self.user_id}"


@cache
def has_version_field(user_model: type[models.Model]) -> bool:
    return any(field.name == "token_version" for field in user_model._meta.concrete_fields)


def token_version_of(user: AbstractBaseUser) -> int:
    """The version that the user's access tokens must have.

    This needs no SQL for a user that :meth:`RefreshTokenFamilyQuerySet.load` has returned.
    """
    if has_version_field(user.__class__):
        return int(user.token_version)  # type: ignore[attr-defined]  # guarded by the line above
    try:
        return int(user.jwt_auth_token_version.token_version)  # type: ignore[attr-defined]  # reverse one-to-one
    except TokenVersion.DoesNotExist:
        return 0


@cache
def has_groups(user_model: type[models.Model]) -> bool:
    return any(field.name == "groups" for field in user_model._meta.many_to_many)


def groups_of(user: AbstractBaseUser) -> Iterable[Any]:
    """The user's groups, from the write database.

    This needs no SQL for a user that :meth:`RefreshTokenFamilyQuerySet.load` has returned.
    """
    known: Iterable[Any] | None = getattr(user, "_prefetched_objects_cache", {}).get("groups")
    if known is not None:
        return known
    groups: Any = user.groups  # type: ignore[attr-defined]  # has_groups() was true
    every: Iterable[Any] = groups.db_manager(write_database(type(user))).all()
    return every
