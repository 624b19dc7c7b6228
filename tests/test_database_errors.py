"""What an operator is told of a database error."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError

from jwt_auth.database_errors import remedy
from tests.test_retries import DriverError


def _remedy(text: str, cause: Exception | None) -> str:
    error = OperationalError(text)
    error.__cause__ = cause
    return remedy(error)


@pytest.mark.parametrize(
    "cause",
    [
        DriverError("undefined_table", sqlstate="42P01"),
        DriverError("undefined_column", pgcode="42703"),
        DriverError(1146, "Table doesn't exist"),
        DriverError(1054, "Unknown column"),
        DriverError("no such table: jwt_auth_session"),
        DriverError("no such column: jwt_auth_session.id"),
        DriverError("table jwt_auth_session has no column named x"),
    ],
    ids=str,
)
def test_missing_table_or_column_asks_for_a_migration(cause: Exception) -> None:
    """The tables are named where they are ours."""
    assert _remedy("jwt_auth_session", cause).startswith("The tables of jwt_auth are missing")
    assert _remedy("shop_order", cause).startswith("A table or a column is missing: run `manage.py")


@pytest.mark.parametrize(
    "cause",
    [
        DriverError("lock_not_available", sqlstate="55P03"),
        DriverError(1205, "Lock wait timeout exceeded"),
        DriverError("database table is locked: jwt_auth_session", sqlite_errorcode=6),
    ],
    ids=str,
)
def test_lock_is_no_missing_table(cause: Exception) -> None:
    """Its text may name the table that it waited for."""
    assert "busy" in _remedy("while locking a tuple in relation jwt_auth_session", cause)


@pytest.mark.parametrize(
    "cause", [None, DriverError(), DriverError("connection refused"), DriverError(["no number"])]
)
def test_anything_else_has_failed(cause: Exception | None) -> None:
    """Nothing is guessed."""
    assert _remedy("jwt_auth_session", cause).startswith("The database can't be used")
    assert remedy(DatabaseError()).startswith("The database can't be used")
