"""How the key store in the database waits for its row, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.db import Error as DatabaseError
from django.db import OperationalError, connections, transaction

from jwt_auth.database_errors import explain, misses_tables
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
    """Give the key store's error for a database error, with the database's reason and advice."""
    # An operational error may pass by itself, for example when the database has restarted. SQLite
    # reports a missing table as one.
    passes = isinstance(error, OperationalError) and not misses_tables(error)
    kind = KeyStoreUnavailable if passes else KeyStoreError
    return kind(f"{where}: {explain(error)}")
