"""A changed password, a deactivation, a deletion and a log-out from Django end the user's sessions
wherever they happen.

They listen to the models, so that the admin, the shell, a view and a command all count. A bulk
``update()`` sends no signal: the database sees ``is_active=False`` at the next request by itself,
and :func:`jwt_auth.flows.end_user_sessions` is the call for the rest.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.apps import apps
from django.contrib.auth import get_user_model, user_logged_out
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import is_password_usable
from django.db.models.signals import post_save, pre_delete, pre_save

from jwt_auth import flows
from jwt_auth.models import Reason, write_database
from jwt_auth.sessions import end_session_on_log_out

#: Where a save that takes the password away is noted until it is done.
_PASSWORD_TAKEN: Final = "_jwt_auth_password_taken"


def connect() -> None:
    """Listen to the user model, its proxies and its children; called once, when the apps are ready.

    Each is named: a receiver for every sender would take the fast path from every bulk delete of
    the project.
    """
    for model in apps.get_models():
        if issubclass(model, get_user_model()):
            pre_save.connect(note_taken_password, sender=model, dispatch_uid="jwt_auth.taken")
            post_save.connect(end_sessions_on_save, sender=model, dispatch_uid="jwt_auth.save")
            pre_delete.connect(end_sessions_on_delete, sender=model, dispatch_uid="jwt_auth.delete")
    user_logged_out.connect(end_session_on_log_out, dispatch_uid="jwt_auth.logged_out")


def note_taken_password(
    *, instance: Any, raw: bool, update_fields: frozenset[str] | None, **kwargs: Any
) -> None:
    """Note that a usable password gives way to none, as by "disable" in the admin.

    No raw password tells of it afterwards. Who never had one is not to be logged out by each save,
    so the row has to be asked, for such users only.
    """
    if raw or not _writes("password", update_fields) or instance.has_usable_password():
        return
    model = get_user_model()
    users = model._base_manager.using(write_database(model)).filter(pk=instance.pk)
    before = users.values_list("password", flat=True).first()
    if before is not None and is_password_usable(before):
        setattr(instance, _PASSWORD_TAKEN, True)


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
    password_taken = instance.__dict__.pop(_PASSWORD_TAKEN, False)
    # Django keeps the raw password here between set_password() and save(), but not when a log-in
    # only re-hashes the same password with newer parameters.
    password_set = instance._password is not None and _writes("password", update_fields)
    if password_set or password_taken:
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
