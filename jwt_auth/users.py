"""Which user a session belongs to: the user's key, the current tenant, and hidden users."""

from __future__ import annotations

from typing import Any
from unicodedata import normalize

from django.contrib.auth import get_user_model
from django.db import connections
from django.db.models.manager import BaseManager
from django.utils.module_loading import import_string

from jwt_auth.conf import conf
from jwt_auth.models import RefreshTokenFamily, write_database


def key_of(user: Any) -> Any:
    """Return the user's primary key in ``AUTH_USER_MODEL``.

    A model that inherits from ``AUTH_USER_MODEL`` may have a different primary key itself.

    Raises:
        TypeError: ``user`` is not an instance of ``AUTH_USER_MODEL``.
    """
    model = get_user_model()
    if not isinstance(user, model):
        raise TypeError(
            f"Sessions belong to users of AUTH_USER_MODEL ({model._meta.label}), but this is an "
            f"instance of {type(user).__name__}: pass the user."
        )
    return getattr(user, model._meta.pk.attname)


def address_of(user: Any) -> str:
    """Return the user's email address, or an empty text if the user or the model has none."""
    return getattr(user, user.get_email_field_name(), None) or ""


def canonical_address(address: str) -> str:
    """Return one spelling for all those of an address that Django's password reset treats alike."""
    return normalize("NFKC", address).casefold()


def hides_users() -> bool:
    """Whether the user model's default manager filters users, such as by soft delete or tenant.

    Its result must not be cached then: the next query may find other users.
    """
    users: Any = get_user_model()._default_manager
    if getattr(users.get_queryset, "__func__", None) is BaseManager.get_queryset:
        return False
    query = users.get_queryset().query
    return bool(query.where or query.combinator or query.is_sliced)


def has_changing_tenants() -> bool:
    """Whether the same database may show another tenant's users a moment later.

    A view may change the schema, or the value that ``JWT_AUTH_TENANT`` looks at.
    """
    database = write_database(get_user_model())
    return conf.tenant is not None or hasattr(connections[database], "schema_name")


def is_hidden(key: Any) -> bool:
    """Whether the default manager doesn't find the user with this key."""
    model = get_user_model()
    users = model._default_manager.using(write_database(model))
    return hides_users() and not users.filter(pk=key).exists()


def current_tenant() -> str:
    """Name the current tenant, for keys in a cache or in Redis, which all tenants share.

    User 1 of one tenant isn't user 1 of another. The name is the one that ``JWT_AUTH_TENANT``
    returns. Without that setting it is the database and, with django-tenants, its schema.
    """
    if conf.tenant is not None:
        return str(import_string(conf.tenant)())
    database = write_database(RefreshTokenFamily)
    schema = getattr(connections[database], "schema_name", None)
    return database if schema is None else f"{database}/{schema}"
