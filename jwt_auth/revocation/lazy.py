"""A user of whom only the key is known until something else is asked for.

It is an instance of the project's own model with all other fields deferred, so ``isinstance()``,
``pk`` and ``is_authenticated`` cost nothing. Django would load deferred fields one at a time; here
the first one brings them all, in one SELECT.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import PermissionDenied, ValidationError

from jwt_auth.models import write_database


def lazy_user(user_model: type[AbstractBaseUser], subject: str) -> AbstractBaseUser | None:
    """The user of that ``sub``, not read yet; ``None`` where the model has no such key."""
    key = user_model._meta.pk
    try:
        value = key.to_python(subject)
    except ValidationError:
        return None
    user = user_model.from_db(write_database(user_model), [key.attname], [value])
    # An attribute of the instance: Django calls it for the first deferred field that is asked for.
    user.refresh_from_db = partial(_load, user)  # type: ignore[method-assign]
    return user


def _load(
    user: AbstractBaseUser,
    using: str | None = None,
    fields: Iterable[str] | None = None,
    **options: Any,
) -> None:
    """Load what is missing, and refuse whoever may not be there any more.

    Until that has worked out it is tried again for each field: nobody gets at the fields of a user
    who was refused by asking a second time.
    """
    model = type(user)
    # A field that the view has assigned is not asked of the database, and stays.
    missing = user.get_deferred_fields()
    every = {field.attname for field in model._meta.concrete_fields}
    names = every if fields is None else {*fields, *missing}
    is_assigned = "is_active" in every - missing
    try:
        model.refresh_from_db(
            user, using=using or write_database(model), fields=sorted(names), **options
        )
    except model.DoesNotExist:
        # Deleted since the request was authenticated: a refusal, where Django would answer 500.
        raise PermissionDenied from None
    if not user.is_active and not is_assigned:
        for name in missing:
            user.__dict__.pop(name, None)
        raise PermissionDenied
    user.__dict__.pop("refresh_from_db", None)
