"""Make a user that isn't read from the database until a field other than the key is needed.

The user is an instance of the project's own model with all other fields deferred, so
``isinstance()``, ``pk`` and ``is_authenticated`` cost nothing. Django would load deferred fields
one by one. Here, the first access loads them all in one SELECT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from threading import local
from typing import Any, Final, NoReturn

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.models import write_database
from jwt_auth.users import has_changing_tenants, hides_users

#: The attribute that marks an unread instance. Its value is the function that raises a refusal, or
#: ``None``.
_UNREAD: Final = "_jwt_auth_unread"

#: Models whose ``__init__`` reads fields, as change trackers do. Their users are never lazy.
_eager: Final[set[type[AbstractBaseUser]]] = set()

_thread: Final = local()


class _FieldReadError(Exception):
    """A field was read before the instance was complete."""


def lazy_user(user_model: type[AbstractBaseUser], subject: str) -> AbstractBaseUser | None:
    """Return the user with that ``sub``, unread.

    Returns ``None`` if the database has to be asked immediately: the model has no such key, its
    default manager may hide the user, another tenant's rows may be active by the time the user is
    read, or instances of the model read their fields as soon as they are made.
    """
    if user_model in _eager or hides_users() or has_changing_tenants():
        return None
    key = user_model._meta.pk
    try:
        value = key.to_python(subject)
    except ValidationError:
        return None
    _observe_loads(user_model)
    _thread.has_read = False
    _thread.is_making = True
    try:
        user = user_model.from_db(write_database(user_model), [key.attname], [value])
    except _FieldReadError:
        user = None
    finally:
        _thread.is_making = False
    if user is None or _thread.has_read:
        _eager.add(user_model)
        return None
    setattr(user, _UNREAD, None)
    return user


def refuse_with(user: object, refuse: Callable[[AccessTokenRefused], NoReturn]) -> None:
    """Let ``refuse`` translate the refusal that reading a lazy user may raise."""
    if _UNREAD in vars(user):
        setattr(user, _UNREAD, refuse)


async def aload(user: object) -> None:
    """Load an unread user's fields without blocking the event loop.

    Raises:
        AccessTokenRefused: the user has been deleted or deactivated meanwhile.
    """
    if isinstance(user, AbstractBaseUser) and _UNREAD in vars(user):
        await user.arefresh_from_db()


def _observe_loads(user_model: type[AbstractBaseUser]) -> None:
    """Make the first access to a deferred field of an unread user load all of its fields.

    Django calls ``refresh_from_db`` for each deferred field. It is replaced on the class: a shallow
    copy would copy an attribute of the instance, and then load the original instead of itself.
    """
    reload = user_model.refresh_from_db
    if hasattr(reload, "loads_unread"):
        return

    @wraps(reload)
    def refresh_from_db(
        self: AbstractBaseUser,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        **options: Any,
    ) -> None:
        if getattr(_thread, "is_making", False):
            _thread.has_read = True  # __init__ may catch the error
            raise _FieldReadError
        if _UNREAD in vars(self):
            _load(self, reload, using=using, fields=fields, **options)
        else:
            reload(self, using=using, fields=fields, **options)

    refresh_from_db.loads_unread = True  # type: ignore[attr-defined]  # a mark on a function
    user_model.refresh_from_db = refresh_from_db  # type: ignore[assignment,method-assign]  # narrower


def _load(
    user: AbstractBaseUser,
    reload: Callable[..., None],
    *,
    using: str | None,
    fields: Iterable[str] | None,
    **options: Any,
) -> None:
    """Load the missing fields, and refuse a user who was deleted or deactivated meanwhile.

    Until a load succeeds, each access to a field tries again. So a user who was refused is refused
    again when the view reads a second field.
    """
    model = type(user)
    # A field that the view has assigned keeps its value and isn't loaded.
    missing = user.get_deferred_fields()
    every = {field.attname for field in model._meta.concrete_fields}
    names = every if fields is None else {*fields, *missing}
    is_assigned = "is_active" in every - missing
    try:
        # From the database of the request: the routers may name another tenant's database by now.
        reload(user, using=using or user._state.db, fields=sorted(names), **options)
    except model.DoesNotExist:
        # Deleted since the request was authenticated: a refusal, where Django would answer 500.
        _refuse(user, Refusal.USER_UNKNOWN)
    if not user.is_active and not is_assigned:
        for name in missing:
            user.__dict__.pop(name, None)
        _refuse(user, Refusal.USER_INACTIVE)
    user.__dict__.pop(_UNREAD, None)


def _refuse(user: AbstractBaseUser, reason: Refusal) -> NoReturn:
    refused = AccessTokenRefused(reason)
    translate = getattr(user, _UNREAD)
    if translate is not None:
        translate(refused)
    raise refused from None
