"""Transactions that a database rolls back and asks to have run again.

Deadlocks and serialization failures, locks that were waited for too long, SQLite's BUSY: nothing is
wrong with the transaction, only with the moment.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from time import monotonic, sleep
from typing import Final, TypeVar

from django.db import DatabaseError, connections

_Result = TypeVar("_Result")

_ATTEMPTS: Final = 8

#: Seconds after which no other attempt begins: each may have waited long for a lock.
_PATIENCE: Final = 10.0

#: PostgreSQL, by SQLSTATE: serialization_failure, deadlock_detected, lock_not_available.
_STATES: Final = frozenset({"40001", "40P01", "55P03"})

#: MariaDB and MySQL: ER_LOCK_DEADLOCK, ER_LOCK_WAIT_TIMEOUT, ER_CHECKREAD.
_NUMBERS: Final = frozenset({1213, 1205, 1020})

#: SQLite, in the low byte of its extended codes: SQLITE_BUSY, SQLITE_LOCKED.
_CODES: Final = frozenset({5, 6})


def retried(transact: Callable[[], _Result], *, using: str) -> _Result:
    """Run a transaction, again if the database asks for that; inside an outer one just once, which
    only its owner can run again.
    """
    begun = monotonic()
    for attempt in range(_ATTEMPTS):
        try:
            return transact()
        except DatabaseError as error:
            is_last = attempt + 1 == _ATTEMPTS or monotonic() - begun > _PATIENCE
            if is_last or connections[using].in_atomic_block or not asks_for_retry(error):
                raise
        # Apart from each other, or those who met would meet again.
        sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311  no secret
    raise AssertionError  # pragma: no cover  the last attempt returns or raises


def asks_for_retry(error: Exception) -> bool:
    """Tell whether the database refused a statement only for what others were doing."""
    cause = error.__cause__
    # psycopg 3 and psycopg 2
    if getattr(cause, "sqlstate", getattr(cause, "pgcode", None)) in _STATES:
        return True
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _CODES:
        return True
    number = cause.args[0] if cause is not None and cause.args else None
    return isinstance(number, int) and number in _NUMBERS
