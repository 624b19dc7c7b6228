"""Log-ins of one user at once, where the number of sessions has a limit."""

from __future__ import annotations

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth.flows import Issued
from tests.concurrency.threads import at_once
from tests.flows.scene import log_in, refusal_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql]


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
