"""A changed password, a deactivation and a deletion end the user's sessions wherever they happen.

They listen to the models, so that the admin, the shell, a view and a command all count. A bulk
``update()`` sends no signal: the database sees ``is_active=False`` at the next request by itself,
and :func:`jwt_auth.flows.end_user_sessions` is the call for the rest.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models.signals import post_save, pre_delete

from jwt_auth import flows
from jwt_auth.models import Reason


def connect() -> None:
    """Listen to the user model, its proxies and its children; called once, when the apps are ready.

    Each is named: a receiver for every sender would take the fast path from every bulk delete of
    the project.
    """
    for model in apps.get_models():
        if issubclass(model, get_user_model()):
            post_save.connect(end_sessions_on_save, sender=model, dispatch_uid="jwt_auth.save")
            pre_delete.connect(end_sessions_on_delete, sender=model, dispatch_uid="jwt_auth.delete")


def end_sessions_on_save(
    *,
    instance: Any,
    created: bool,
    raw: bool,
    update_fields: frozenset[str] | None,
    **kwargs: Any,
) -> None:
    if created or raw:
        return
    # Django keeps the raw password here between set_password() and save(), but not when a log-in
    # only re-hashes the same password with newer parameters.
    if instance._password is not None and _writes("password", update_fields):
        reason = Reason.PASSWORD_CHANGED
    elif not instance.is_active and _writes("is_active", update_fields):
        reason = Reason.USER_DEACTIVATED
    else:
        return
    flows.end_user_sessions(instance.pk, reason=reason, client=None, now=datetime.now(UTC))


def end_sessions_on_delete(*, instance: AbstractBaseUser, **kwargs: Any) -> None:
    flows.end_deleted_user(instance.pk)


def _writes(field: str, update_fields: frozenset[str] | None) -> bool:
    return update_fields is None or field in update_fields
