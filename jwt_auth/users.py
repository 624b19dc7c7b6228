"""Whose a session is: the user's key, the tenant of the moment, and whom the project hides."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections
from django.db.models.manager import BaseManager
from django.utils.module_loading import import_string

from jwt_auth.conf import conf
from jwt_auth.models import RefreshTokenFamily, write_database


def key_of(user: Any) -> Any:
    """The primary key in ``AUTH_USER_MODEL``; a model that inherits from that may have its own.

    Raises:
        TypeError: it is no instance of ``AUTH_USER_MODEL``.
    """
    model = get_user_model()
    if not isinstance(user, model):
        raise TypeError(
            f"Sessions belong to users of AUTH_USER_MODEL, {model._meta.label}: "
            f"this is an instance of {type(user).__name__}."
        )
    return getattr(user, model._meta.pk.attname)


def hides_users() -> bool:
    """Whether the user model's default manager filters, by a soft delete or by tenant: what it
    finds at one moment says nothing of the next.
    """
    users: Any = get_user_model()._default_manager
    if getattr(users.get_queryset, "__func__", None) is BaseManager.get_queryset:
        return False
    query = users.get_queryset().query
    return bool(query.where or query.combinator or query.is_sliced)


def is_bound_to_the_moment() -> bool:
    """Whether the user model's rows may be another tenant's a moment later, in one database: a view
    may change the schema, or what ``JWT_AUTH_TENANT`` goes by.
    """
    database = write_database(get_user_model())
    return conf.tenant is not None or hasattr(connections[database], "schema_name")


def is_hidden(key: Any) -> bool:
    """Whether the default manager doesn't find the user of this key."""
    model = get_user_model()
    users = model._default_manager.using(write_database(model))
    return hides_users() and not users.filter(pk=key).exists()


def current_tenant() -> str:
    """Name the users that are meant now, in keys that are kept outside of their database.

    What ``JWT_AUTH_TENANT`` returns, or else the database and, as django-tenants has them, its
    schema: user 1 of one tenant isn't user 1 of another.
    """
    if conf.tenant is not None:
        return str(import_string(conf.tenant)())
    database = write_database(RefreshTokenFamily)
    schema = getattr(connections[database], "schema_name", None)
    return database if schema is None else f"{database}/{schema}"
