"""What the commands that need tables say where there are none."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError


def requires_tables(handle: Callable[..., None]) -> Callable[..., None]:
    """Turn a database error of a command's ``handle`` into a sentence that says what to do."""

    @wraps(handle)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            handle(*args, **options)
        except (OperationalError, ProgrammingError) as error:
            raise CommandError(
                "The database can't be used: check that it is up, then run `manage.py migrate`. "
                f"It said: {error}"
            ) from error

    return guarded
