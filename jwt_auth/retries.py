"""Run a transaction again if the database rolled it back only because of other transactions.

Databases do so for deadlocks, serialization failures and lock timeouts, and SQLite when it is busy.
The same transaction may succeed a moment later.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final, TypeVar

from django.db import DatabaseError, connections

_Result = TypeVar("_Result")

_ATTEMPTS: Final = 8

#: Seconds after which no further attempt begins: a single one may wait long for a lock.
_PATIENCE: Final = 10.0

#: PostgreSQL, by SQLSTATE: serialization_failure, deadlock_detected, lock_not_available.
_STATES: Final = frozenset({"40001", "40P01", "55P03"})

#: MariaDB and MySQL: ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT, ER_CHECKREAD.
_NUMBERS: Final = frozenset({1213, 1205, 1020})

#: SQLite, in the low byte of its extended result codes: SQLITE_BUSY, SQLITE_LOCKED.
_CODES: Final = frozenset({5, 6})


def retried(transact: Callable[[], _Result], *, using: str) -> _Result:
    """Run a transaction, and run it again if the database asks for that.

    Inside an outer transaction it runs once: only the code that began the outer one can repeat it.
    """
    begun = monotonic()
    for attempt in range(_ATTEMPTS):
        try:
            return transact()
        except DatabaseError as error:
            is_last = attempt + 1 == _ATTEMPTS or monotonic() - begun > _PATIENCE
            if is_last or connections[using].in_atomic_block or not asks_for_retry(error):
                raise
        # A random wait: transactions that have collided would otherwise collide again.
        sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311  no secret
    raise AssertionError  # pragma: no cover  the last attempt returns or raises


def asks_for_retry(error: Exception) -> bool:
    """Whether the database refused a statement only because of what other transactions did."""
    cause = error.__cause__
    # psycopg 3 and psycopg 2
    if getattr(cause, "sqlstate", getattr(cause, "pgcode", None)) in _STATES:
        return True
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _CODES:
        return True
    number = cause.args[0] if cause is not None and cause.args else None
    return isinstance(number, int) and number in _NUMBERS
