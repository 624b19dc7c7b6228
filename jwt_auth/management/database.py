"""Turn a command's database errors into messages that tell the operator what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from jwt_auth.database_errors import remedy


def explains_database_errors(handle: Callable[..., None]) -> Callable[..., None]:
    """Turn a database error in a command's ``handle`` into a ``CommandError`` with the remedy."""

    @wraps(handle)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            handle(*args, **options)
        except DatabaseError as error:
            raise CommandError(f"{remedy(error)} The database said: {error}") from error

    return guarded
