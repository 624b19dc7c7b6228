"""What an operator can do about a database error."""

from __future__ import annotations

from typing import Final

from django.db import Error

from jwt_auth.retries import asks_for_retry

#: PostgreSQL, by SQLSTATE: undefined_table, undefined_column.
_STATES: Final = frozenset({"42P01", "42703"})

#: MariaDB and MySQL: ER_NO_SUCH_TABLE, ER_BAD_FIELD_ERROR.
_NUMBERS: Final = frozenset({1146, 1054})

#: SQLite, whose code is that of any wrong statement.
_WORDS: Final = ("no such table", "no such column", "has no column")


def remedy(error: Error) -> str:
    """Say what is wrong and what to do. An error that only names our tables, because it waited for
    a lock on one of them, does not mean that they are missing.
    """
    if _misses_something(error) and "jwt_auth_" in str(error):
        return "The tables of jwt_auth are missing or old: run `manage.py migrate`."
    if asks_for_retry(error):
        return "The database is busy: something else has kept a lock for too long."
    return "The database can't be used: see that it is up and takes writes (no standby does)."


def _misses_something(error: Error) -> bool:
    cause = error.__cause__
    number = cause.args[0] if cause is not None and cause.args else None
    return (
        getattr(cause, "sqlstate", getattr(cause, "pgcode", None)) in _STATES
        or (isinstance(number, int) and number in _NUMBERS)
        or any(words in str(cause) for words in _WORDS)
    )
