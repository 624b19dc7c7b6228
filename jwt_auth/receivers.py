"""Signal receivers that end a user's sessions when the user changes, wherever that happens.

A new password, a deactivation and a deletion end all sessions of the user; logging out of Django
ends the session that was opened with Django's. The receivers listen to the models' signals, so it
doesn't matter whether the admin, the shell, a view or a command makes the change. A bulk
``update()`` sends no signal. After such an update, the next request reads ``is_active=False`` from
the database; for a new password, the project calls :func:`jwt_auth.flows.end_user_sessions`.

Inside a transaction, the change and the end of the sessions are committed together. Outside of one,
Django commits the change separately. So the sessions end before the change: otherwise a failure
between the two would leave a thief's session alive although the password is new. Sessions that a
thief opens between the two, with the old password, end after the change.
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

#: The attribute in which an instance holds, while it is being saved, why its sessions end.
_REASON: Final = "_jwt_auth_reason"

#: The attribute that marks an instance which was saved after ``set_password()``, whether or not
#: that save wrote the password.
_PASSWORD_SET: Final = "_jwt_auth_password_set"


def connect_user_receivers() -> None:
    """Connect the receivers to the models that store a user; called once, when apps are ready.

    Each model is connected by itself. With a receiver for all senders, Django could no longer
    delete any of the project's models in bulk without loading the instances.
    """
    user_models = tuple(_user_models())
    for model in apps.get_models():
        if issubclass(model, user_models):
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
    """Find out whether this save must end the user's sessions.

    Outside of a transaction they are ended here, before the save. Inside of one,
    ``end_sessions_on_save`` ends them, in the same transaction.
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
    """Whether the sessions of the users in the database ``using`` can be found and ended.

    Raises:
        RuntimeError: the sessions that would be ended may belong to other users with the same
            keys, so the save must not happen.
    """
    database = write_database(RefreshTokenFamily)
    if using == database:
        return True
    if not router.allow_migrate_model(using, RefreshTokenFamily):
        return False  # the database holds copies of the users, without sessions
    raise RuntimeError(
        f'The user to be changed is in the database "{using}", but the user\'s sessions would be '
        f'looked up in "{database}". Make the change where the routers return "{using}", such as '
        f'in a request of that tenant. If "{using}" only has copies of the users, let '
        "DATABASE_ROUTERS keep jwt_auth's tables out of it (allow_migrate)."
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
    """Whether the save gives the user another password, however the hash was set."""
    if instance.password == stored:
        return False
    if not is_password_usable(instance.password) and not is_password_usable(stored):
        return False
    # A login may hash the same password again, with newer parameters. Django's check_password()
    # leaves only these traces of it. It does so only if the stored hash was outdated; by now,
    # another login may have replaced that hash.
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


def _user_models() -> Iterable[type[Model]]:
    """The user model, and its parents whose tables hold ``password`` or ``is_active``."""
    user_model = get_user_model()
    yield user_model
    for field in user_model._meta.concrete_fields:
        if field.name in ("password", "is_active"):
            yield field.model


def _keys_of(instance: Any, using: str) -> list[Any]:
    """Return the keys of the users whose row, or a parent's row, is this instance."""
    user_model = get_user_model()
    if isinstance(instance, user_model):
        return [key_of(instance)]
    parent: Any = next(model for model in _user_models() if isinstance(instance, model))
    key = parent._meta.pk
    users = user_model._base_manager.using(using)
    return list(
        users.filter(**{key.name: getattr(instance, key.attname)}).values_list("pk", flat=True)
    )


def _writes(field: str, update_fields: frozenset[str] | None) -> bool:
    return update_fields is None or field in update_fields
