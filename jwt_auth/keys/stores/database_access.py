"""How the key store in the database waits for its row, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import Error as DatabaseError
from django.db import OperationalError, ProgrammingError, connections, transaction

from jwt_auth.exceptions import KeyStoreError, KeyStoreUnavailable

#: Seconds that a save waits for another transaction's lock on the row. A save takes some 10 ms.
_LOCK_SECONDS: Final = 5


@contextmanager
def bounded_wait(database: str) -> Iterator[None]:
    """Wait for a lock on the row for :data:`_LOCK_SECONDS` at most.

    By default PostgreSQL would wait for ever and MySQL and MariaDB for 50 seconds. SQLite waits for
    its ``timeout``, which is five seconds.
    """
    connection = connections[database]
    match connection.vendor:
        case "postgresql":
            with transaction.atomic(using=database), connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_LOCK_SECONDS}s"])
                yield
        case "mysql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT @@SESSION.innodb_lock_wait_timeout")
                (former,) = cursor.fetchone()
                cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", [_LOCK_SECONDS])
                try:
                    with transaction.atomic(using=database):
                        yield
                finally:
                    cursor.execute("SET SESSION innodb_lock_wait_timeout = %s", [former])
        case _:
            yield


def translate(error: DatabaseError, where: str) -> KeyStoreError:
    """Give the key store's error for a database error, with advice where there is one."""
    reason = str(error).strip().partition("\n")[0]
    # An operational error may pass by itself, for example when the database has restarted.
    kind = KeyStoreUnavailable if isinstance(error, OperationalError) else KeyStoreError
    if isinstance(error, ProgrammingError) or reason.startswith("no such "):
        reason, kind = f"run `manage.py migrate` first ({reason})", KeyStoreError
    elif _is_read_only(error):
        reason = "it takes no writes (a standby?): run the command where it does"
    elif _is_lock_timeout(error):
        reason = (
            f"another transaction has held its row for over {_LOCK_SECONDS} seconds."
            " See what it does, or end it, and run the command again"
        )
    return kind(f"{where} can't be used: {reason}.")


def _is_lock_timeout(error: DatabaseError) -> bool:
    """PostgreSQL's lock_not_available, MySQL's ER_LOCK_WAIT_TIMEOUT."""
    return _state(error) == "55P03" or error.args[:1] == (1205,)


def _is_read_only(error: DatabaseError) -> bool:
    """PostgreSQL's read_only_sql_transaction; MySQL's ER_OPTION_PREVENTS_STATEMENT and
    ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION; SQLite's SQLITE_READONLY.
    """
    is_sqlite = getattr(error.__cause__, "sqlite_errorname", "").startswith("SQLITE_READONLY")
    return _state(error) == "25006" or error.args[:1] in ((1290,), (1792,)) or is_sqlite


def _state(error: DatabaseError) -> object:
    """SQLSTATE, as psycopg 3 and psycopg 2 give it."""
    cause = error.__cause__
    return getattr(cause, "sqlstate", getattr(cause, "pgcode", None))
