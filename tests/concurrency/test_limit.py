"""Log-ins of one user at once, where the number of sessions has a limit."""

from __future__ import annotations

from time import sleep
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import OperationalError
from pytest_django import Settings

from jwt_auth.flows import Issued
from jwt_auth.models import RefreshTokenFamily
from tests.concurrency.threads import at_once
from tests.flows.scene import log_in, refusal_of
from tests.test_retries import DriverError

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql, pytest.mark.user_model]


@pytest.fixture
def _unhurried_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each log-in take a while between its save and its look at the others."""
    save = RefreshTokenFamily.save

    def save_and_wait(self: RefreshTokenFamily, **options: Any) -> None:
        save(self, **options)
        sleep(0.1)

    monkeypatch.setattr(RefreshTokenFamily, "save", save_and_wait)


@pytest.mark.usefixtures("_unhurried_saves")
@pytest.mark.parametrize("limit", [1, 3])
def test_log_ins_at_once_leave_as_many_sessions_as_may_be(
    user: AbstractBaseUser, settings: Settings, limit: int
) -> None:
    """None too many, and no two have ended each other."""
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = limit

    def open_one() -> Issued:
        return log_in(user)

    sessions = at_once([open_one] * 8)
    assert sum(refusal_of(session) is None for session in sessions) == limit


def test_log_in_that_met_another_is_run_again(
    user: AbstractBaseUser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock is no reason to let somebody wait outside, nor to open two sessions."""
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = 1
    save, failures = RefreshTokenFamily.save, [DriverError("deadlock_detected", sqlstate="40P01")]

    def save_and_fail(self: RefreshTokenFamily, **options: Any) -> None:
        save(self, **options)
        if failures:
            raise OperationalError from failures.pop()

    monkeypatch.setattr(RefreshTokenFamily, "save", save_and_fail)
    issued = log_in(user)
    assert not failures
    assert [family.pk for family in RefreshTokenFamily.objects.all()] == [issued.family.pk]
