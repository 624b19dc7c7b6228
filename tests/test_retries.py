"""Transactions that the database asks to have run again."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, OperationalError, transaction

from jwt_auth import retries
from jwt_auth.retries import retried


class DriverError(Exception):
    """What a driver raises, with its code."""

    def __init__(self, *arguments: object, **codes: object) -> None:
        super().__init__(*arguments)
        self.__dict__.update(codes)


AGAIN = [
    DriverError("serialization_failure", sqlstate="40001"),
    DriverError("deadlock_detected", pgcode="40P01"),
    DriverError("lock_not_available", sqlstate="55P03"),
    DriverError(1213, "Deadlock found"),
    DriverError(1205, "Lock wait timeout exceeded"),
    DriverError(1020, "Record has changed since last read"),
    DriverError("database is locked", sqlite_errorcode=5),
    DriverError("database is locked", sqlite_errorcode=517),
]

FOR_GOOD = [
    DriverError("syntax_error", sqlstate="42601"),
    DriverError(1064, "You have an error in your SQL syntax"),
    DriverError("no such table", sqlite_errorcode=1),
    DriverError(["no number"]),
    DriverError(),
    None,
]


class Transaction:
    """Fails so many times."""

    def __init__(self, cause: Exception | None, *, failures: int) -> None:
        self.cause, self.failures, self.runs = cause, failures, 0

    def __call__(self) -> str:
        """Count, and fail or answer."""
        self.runs += 1
        if self.runs <= self.failures:
            raise OperationalError from self.cause
        return "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cause", AGAIN)
def test_transaction_that_met_another_is_run_again(cause: Exception) -> None:
    """Deadlocks, serialization failures, locks and SQLite's BUSY pass."""
    transact = Transaction(cause, failures=3)
    assert retried(transact, using="default") == "done"
    assert transact.runs == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cause", FOR_GOOD)
def test_other_error_is_raised_at_once(cause: Exception | None) -> None:
    """Another try would end in the same way."""
    transact = Transaction(cause, failures=1)
    with pytest.raises(DatabaseError):
        retried(transact, using="default")
    assert transact.runs == 1


@pytest.mark.django_db
def test_inside_a_transaction_there_is_one_try() -> None:
    """The database has rolled back what its owner did before."""
    transact = Transaction(AGAIN[0], failures=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        retried(transact, using="default")
    assert transact.runs == 1


@pytest.mark.django_db(transaction=True)
def test_tries_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and by the time that waiting for locks has taken."""
    endless = Transaction(AGAIN[0], failures=1000)
    with pytest.raises(OperationalError):
        retried(endless, using="default")
    assert 1 < endless.runs < 20
    monkeypatch.setattr(retries, "monotonic", iter([0.0, 5.0, 11.0]).__next__)
    slow = Transaction(AGAIN[0], failures=1000)
    with pytest.raises(OperationalError):
        retried(slow, using="default")
    assert slow.runs == 2
