"""Advice to operators about database errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from django.db import Error, connections
from django.utils.text import Truncator
from django.views.debug import SafeExceptionReporterFilter

from jwt_auth.retries import asks_for_retry

#: PostgreSQL, by SQLSTATE: undefined_table, undefined_column.
_STATES: Final = frozenset({"42P01", "42703"})

#: MariaDB and MySQL: ER_NO_SUCH_TABLE, ER_BAD_FIELD_ERROR.
_NUMBERS: Final = frozenset({1146, 1054})

#: SQLite, by its message: its error code is the same for every invalid statement.
_WORDS: Final = ("no such table", "no such column", "has no column")

#: A URL with credentials.
_CREDENTIALS: Final = re.compile(r"://\S*@")


def explain(error: Error) -> str:
    """Say what is wrong, what to do, and what the driver said."""
    said = quote(error)
    return f"{remedy(error)} The database said: {said}." if said else remedy(error)


def remedy(error: Error) -> str:
    """Say what is wrong and what to do."""
    if misses_tables(error):
        return "The tables of jwt_auth are missing or old: run `manage.py migrate`."
    if misses_something(error):
        return "A table or a column is missing: run `manage.py migrate`."
    if asks_for_retry(error):
        return "The database is busy: another transaction held a lock for too long. Try again."
    return "The database can't be used: make sure that it is up and not a read-only standby."


def misses_tables(error: Error) -> bool:
    """Whether one of our tables, or a column of it, is missing.

    The name of one of our tables in the text alone doesn't mean that the table is missing: the
    error may be a timeout while waiting for a lock on it.
    """
    return misses_something(error) and "jwt_auth_" in str(error)


def misses_something(error: Error) -> bool:
    """Whether any table, or a column of one, is missing."""
    cause = error.__cause__
    number = cause.args[0] if cause is not None and cause.args else None
    return (
        getattr(cause, "sqlstate", getattr(cause, "pgcode", None)) in _STATES
        or (isinstance(number, int) and number in _NUMBERS)
        or any(words in str(cause) for words in _WORDS)
    )


def quote(error: Exception) -> str:
    """Give the first line of what the driver said, or nothing if a secret is in it."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    if _CREDENTIALS.search(text) or any(secret in text for secret in _secrets()):
        return ""
    return Truncator(text).chars(300)


def _secrets() -> Iterator[str]:
    for connection in connections.settings.values():
        for name, value in (*connection.items(), *connection.get("OPTIONS", {}).items()):
            if SafeExceptionReporterFilter.hidden_settings.search(name) and value:
                yield str(value)
