"""Refreshes while the password changes, with each database at its strictest isolation level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.backends.signals import connection_created

from jwt_auth import flows
from jwt_auth.exceptions import LogInRefused, OldPasswordRefused
from jwt_auth.flows import Issued
from jwt_auth.retries import retried
from tests.concurrency.conftest import by_flow
from tests.concurrency.threads import at_once
from tests.flows.scene import BROWSER, log_in, refusal_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sql,
    pytest.mark.user_model,
]

_NEW = "a quite different horse"

#: SQLite has no other level.
_STRICTEST = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
}


@pytest.fixture(autouse=True)
def _strictest_isolation() -> Iterator[None]:
    """Have every connection that a thread opens begin so."""

    def isolate(connection: Any, **named: Any) -> None:
        if connection.vendor in _STRICTEST:
            with connection.cursor() as cursor:
                cursor.execute(_STRICTEST[connection.vendor])

    connection_created.connect(isolate)
    yield
    connection_created.disconnect(isolate)


def _set_password(user: Any, password: str) -> str | None:
    fresh = get_user_model()._default_manager.get(pk=user.pk)
    fresh.set_password(_NEW)
    retried(fresh.save, using="default")  # Django's own statement may be asked for again, too
    return None


def _change_password(user: Any, password: str, new: str = _NEW) -> str | None:
    fresh = get_user_model()._default_manager.get(pk=user.pk)
    try:
        issued = flows.change_password(
            fresh, old_password=password, new_password=new, client=BROWSER, now=datetime.now(UTC)
        )
    except (OldPasswordRefused, LogInRefused):
        return None
    return issued.access_token.text


@pytest.mark.parametrize("change", [_set_password, _change_password])
def test_storm_of_refreshes_leaves_nothing_from_before_the_change(
    user: AbstractBaseUser, password: str, change: Callable[[Any, str], str | None]
) -> None:
    """No refresh fails for want of another try, the change comes through, and afterwards only what
    it has opened itself is good.
    """
    sessions = [log_in(user) for _ in range(8)]
    obtained: list[str] = []
    kept: list[str | None] = []

    def refresh_often(issued: Issued) -> set[int]:
        token, statuses = issued.refresh_token.text, set()
        for turn in range(6):
            answer = by_flow(token, f"turn {turn}")
            statuses.add(answer.status)
            if answer.access_token and answer.refresh_token:
                obtained.append(answer.access_token)
                token = answer.refresh_token
        return statuses

    def log_in_with_old_password() -> set[int]:
        try:
            obtained.append(log_in(user).access_token.text)
        except LogInRefused:
            return {401}
        return {200}

    def change_it() -> set[int]:
        kept.append(change(user, password))
        return {200}

    calls: list[Callable[[], set[int]]] = [partial(refresh_often, issued) for issued in sessions]
    results = at_once([*calls[:4], change_it, log_in_with_old_password, *calls[4:]])
    assert set().union(*results) <= {200, 401}
    assert None not in {refusal_of(text) for text in obtained}
    assert [refusal_of(text) for text in kept if text] == [None] * (change is _change_password)
    assert get_user_model()._default_manager.get(pk=user.pk).check_password(_NEW)


def test_of_two_changes_at_once_one_session_is_left(user: AbstractBaseUser, password: str) -> None:
    """That of the change that counts."""

    def change_to(new: str) -> str | None:
        return _change_password(user, password, new)

    opened = at_once([partial(change_to, f"{_NEW} {number}") for number in range(4)])
    assert [refusal_of(text) for text in opened if text].count(None) == 1
