"""What the commands say where the database can't be used, or not written."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from jwt_auth.database_errors import remedy


def requires_tables(handle: Callable[..., None]) -> Callable[..., None]:
    """Turn a database error of a command's ``handle`` into a sentence that says what to do."""

    @wraps(handle)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            handle(*args, **options)
        except DatabaseError as error:
            raise CommandError(f"{remedy(error)} It said: {error}") from error

    return guarded
