"""A changed password, a deactivation, a deletion and a log-out from Django end the user's sessions
wherever they happen.

They listen to the models, so that the admin, the shell, a view and a command all count. A bulk
``update()`` sends no signal: the database sees ``is_active=False`` at the next request by itself,
and :func:`jwt_auth.flows.end_user_sessions` is the call for the rest.

Inside a transaction the change and the end of the sessions are committed together. Outside of one,
Django commits the change by itself. So the sessions end first, or else a failure in between would
leave a thief's session alive beside the new password. Those that a thief opens meanwhile, with the
old password, end after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model, user_logged_out
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable
from django.db import connections, router
from django.db.models import Model
from django.db.models.signals import post_save, pre_delete, pre_save

from jwt_auth import flows
from jwt_auth.flows.ending import end_sessions_opened_meanwhile
from jwt_auth.flows.passwords import is_of_presented_password
from jwt_auth.models import Reason, RefreshTokenFamily, write_database
from jwt_auth.sessions import end_session_on_log_out
from jwt_auth.users import key_of

#: Where an instance notes, while it is being saved, why its sessions end.
_REASON: Final = "_jwt_auth_reason"

#: Where an instance notes that its password was set by ``set_password()`` and saved, or not.
_PASSWORD_SET: Final = "_jwt_auth_password_set"


def connect() -> None:
    """Listen to the models that store a user; called once, when the apps are ready.

    Each is named: a receiver for every sender would take the fast path from every bulk delete of
    the project.
    """
    tables = tuple(_tables())
    for model in apps.get_models():
        if issubclass(model, tables):
            pre_save.connect(end_sessions_before_save, sender=model, dispatch_uid="jwt_auth.before")
            post_save.connect(end_sessions_on_save, sender=model, dispatch_uid="jwt_auth.save")
        if issubclass(model, get_user_model()):
            pre_delete.connect(end_sessions_on_delete, sender=model, dispatch_uid="jwt_auth.delete")
    user_logged_out.connect(end_session_on_log_out, dispatch_uid="jwt_auth.logged_out")


def end_sessions_before_save(
    *,
    sender: type[Model],
    instance: Any,
    raw: bool,
    using: str,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    """Find out whether this save has the user's sessions end, and end them unless they can be ended
    in the same transaction.
    """
    vars(instance).pop(_REASON, None)
    reason = None if raw else _reason_of(sender, instance, using, update_fields)
    if reason is None:
        return
    if not _has_sessions(using):
        return
    setattr(instance, _REASON, reason)
    if not connections[using].in_atomic_block:
        for key in _keys_of(instance, using):
            flows.end_user_sessions(key, reason=reason, client=None, now=datetime.now(UTC))


def end_sessions_on_save(*, instance: Any, using: str, **kwargs: Any) -> None:
    if getattr(instance, "_password", None) is not None:
        setattr(instance, _PASSWORD_SET, True)
    reason = vars(instance).pop(_REASON, None)
    if reason is None:
        return
    now = datetime.now(UTC)
    for key in _keys_of(instance, using):
        if connections[using].in_atomic_block:
            flows.end_user_sessions(key, reason=reason, client=None, now=now)
        else:
            end_sessions_opened_meanwhile(key, reason=reason, now=now)


def end_sessions_on_delete(*, instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    if _has_sessions(using):
        flows.end_deleted_user(key_of(instance))


def _has_sessions(using: str) -> bool:
    """Whether the sessions of the users in that database are those that end.

    Raises:
        RuntimeError: they may be others', with the same keys: nothing must be saved.
    """
    database = write_database(RefreshTokenFamily)
    if using == database:
        return True
    if not router.allow_migrate_model(using, RefreshTokenFamily):
        return False  # copies of the users, without sessions
    raise RuntimeError(
        f'A user in the database "{using}" is changed, and the sessions that end by it would be '
        f'looked for in "{database}". Do it where the routers give "{using}", as in a request of '
        "that tenant; if it only has copies of the users, have DATABASE_ROUTERS keep jwt_auth's "
        "tables out of it (allow_migrate)."
    )


def _reason_of(
    sender: type[Model], instance: Any, using: str, update_fields: frozenset[str] | None
) -> Reason | None:
    writes_password = _writes("password", update_fields) and hasattr(instance, "password")
    deactivates = _writes("is_active", update_fields) and not getattr(instance, "is_active", True)
    if instance.pk is None or not (writes_password or deactivates):
        return None
    rows = sender._base_manager.using(using).filter(pk=instance.pk)
    if writes_password:
        stored = rows.values_list("password", flat=True).first()
        if stored is not None and _is_changed(instance, stored, update_fields):
            return Reason.PASSWORD_CHANGED
    return Reason.USER_DEACTIVATED if deactivates and rows.exists() else None


def _is_changed(instance: Any, stored: str, update_fields: frozenset[str] | None) -> bool:
    """Whether the user gets another password: by the hash, however it was set."""
    if instance.password == stored:
        return False
    if not is_password_usable(instance.password) and not is_password_usable(stored):
        return False
    # A log-in that hashes the same password with newer parameters: Django's check_password() leaves
    # nothing but this trace, and only where the stored hash asked for it, which another log-in may
    # have replaced since.
    is_rehash = (
        update_fields == frozenset({"password"})
        and vars(instance).get("_password", "") is None
        and _PASSWORD_SET not in vars(instance)
        and (_is_outdated(stored) or is_of_presented_password(stored))
    )
    return not is_rehash


def _is_outdated(stored: str) -> bool:
    preferred = get_hasher()
    try:
        hasher = identify_hasher(stored)
    except ValueError:
        return False
    return hasher.algorithm != preferred.algorithm or preferred.must_update(stored)


def _tables() -> Iterable[type[Model]]:
    """The user model, and the parents that have its password or its standing in their tables."""
    user_model = get_user_model()
    yield user_model
    for field in user_model._meta.concrete_fields:
        if field.name in ("password", "is_active"):
            yield field.model


def _keys_of(instance: Any, using: str) -> list[Any]:
    """The keys of the users that an instance is, or is a part of."""
    user_model = get_user_model()
    if isinstance(instance, user_model):
        return [key_of(instance)]
    table: Any = next(table for table in _tables() if isinstance(instance, table))
    key = table._meta.pk
    users = user_model._base_manager.using(using)
    return list(
        users.filter(**{key.name: getattr(instance, key.attname)}).values_list("pk", flat=True)
    )


def _writes(field: str, update_fields: frozenset[str] | None) -> bool:
    return update_fields is None or field in update_fields
