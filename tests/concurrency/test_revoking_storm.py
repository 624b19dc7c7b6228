"""Access tokens are revoked again and again while sessions refresh, users log in and a password
changes. Each call has a database connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth import flows
from jwt_auth.exceptions import LogInRefused
from jwt_auth.flows import Issued
from jwt_auth.models import Reason, RefreshTokenFamily
from jwt_auth.retries import retried
from tests.concurrency.conftest import by_flow
from tests.concurrency.threads import at_once
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of
from tests.flows.test_races import is_dead

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sql,
    pytest.mark.user_model,
]

_TURNS = 6


@pytest.fixture
def sessions(user: AbstractBaseUser) -> list[Issued]:
    """Four devices of the user's."""
    return [log_in(user) for _ in range(4)]


def _revoke_often(user: AbstractBaseUser) -> str:
    for _ in range(_TURNS):
        flows.revoke_access_tokens(user.pk, client=BROWSER, now=datetime.now(UTC))
    return ""


def _refresh_often(issued: Issued) -> str:
    """Give the last refresh token."""
    text = issued.refresh_token.text
    for turn in range(_TURNS):
        answer = by_flow(text, f"turn {turn}")
        text = answer.refresh_token or text
    return text


def test_storm_of_refreshes_loses_no_session(
    user: AbstractBaseUser, sessions: list[Issued]
) -> None:
    """Nobody's refresh is refused or taken for a replay, and every session goes on."""
    calls: list[Callable[[], str]] = [partial(_refresh_often, issued) for issued in sessions]
    calls += [partial(_revoke_often, user)] * 2
    last = at_once(calls)[: len(sessions)]
    assert [refusal_of(refresh(text)) for text in last] == [None] * 4
    families = RefreshTokenFamily.objects.filter(revoked_at=None)
    # Two storms bumped the version, and no step was lost.
    assert set(families.values_list("token_version", flat=True)) == {2 * _TURNS}
    assert set(families.values_list("generation", flat=True)) == {_TURNS + 2}


def test_changed_password_still_ends_every_session(
    user: AbstractBaseUser, sessions: list[Issued]
) -> None:
    """None of them is given a version that revives it, whichever comes first."""

    def change_password() -> str:
        fresh = get_user_model()._default_manager.get(pk=user.pk)
        fresh.set_password("a quite different horse")
        retried(fresh.save, using="default")
        return ""

    opened: list[Issued] = []

    def log_in_often() -> str:
        for _ in range(_TURNS):
            try:
                opened.append(log_in(user))
            except LogInRefused:
                return ""
        return ""

    calls: list[Callable[[], str]] = [partial(_refresh_often, issued) for issued in sessions]
    calls += [partial(_revoke_often, user), change_password, log_in_often]
    last = at_once(calls)[: len(sessions)]
    flows.revoke_access_tokens(user.pk, client=BROWSER, now=datetime.now(UTC))
    assert all(map(is_dead, [*sessions, *opened]))
    assert {by_flow(text, "last").status for text in last} == {401}


def test_end_of_all_sessions_still_ends_them(
    user: AbstractBaseUser, sessions: list[Issued]
) -> None:
    """The two wait for each other; neither is refused by the database for want of another try."""

    def log_out_everywhere() -> str:
        flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
        return ""

    calls: list[Callable[[], str]] = [partial(_revoke_often, user), log_out_everywhere]
    at_once(calls * 2)
    assert all(map(is_dead, sessions))
    reasons = RefreshTokenFamily.objects.values_list("revocation_reason", flat=True)
    assert set(reasons) == {Reason.LOGOUT_ALL}
