"""One refresh token sent many times at once, over connections of their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Reason
from tests.concurrency.conftest import Answer, Send
from tests.concurrency.threads import at_once
from tests.flows.scene import BROWSER, log_in, refusal_of, row_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sql,
    pytest.mark.user_model,
]

#: Each needs a connection, of which PostgreSQL has a hundred for all tests that run at once: this
#: file's run in one process.
_MANY = 50


def _send_many(issued: Issued, send: Send, key: str | None = None) -> list[Answer]:
    return at_once([partial(send, issued.refresh_token.text, key)] * _MANY)


def _assert_one_lineage(issued: Issued, answers: list[Answer]) -> None:
    assert {answer.status for answer in answers} == {200}
    assert len({answer.refresh_token for answer in answers}) == 1
    assert row_of(issued).generation == 2
    assert {refusal_of(answer.access_token or "") for answer in answers} == {None}


def test_many_with_one_key_get_same_successor(user: AbstractBaseUser, send: Send) -> None:
    """A request that was sent many times has one outcome, which all are given."""
    issued = log_in(user)
    answers = _send_many(issued, send, key="one request")
    _assert_one_lineage(issued, answers)


def test_many_inside_leeway_get_same_successor(
    user: AbstractBaseUser, send: Send, settings: Settings
) -> None:
    """The leeway is for clients without keys what the key is for the others."""
    settings.JWT_AUTH_REFRESH_REUSE_LEEWAY = timedelta(hours=1)
    issued = log_in(user)
    _assert_one_lineage(issued, _send_many(issued, send))


def test_many_without_key_or_leeway_end_family(user: AbstractBaseUser, send: Send) -> None:
    """One is the first; the next is a replay, and nothing of the session is good after it."""
    issued = log_in(user)
    answers = _send_many(issued, send)
    successes = [answer for answer in answers if answer.status == 200]
    assert len(successes) <= 1
    assert {answer.status for answer in answers} <= {200, 401}
    assert row_of(issued).revocation_reason == Reason.REUSE_DETECTED
    for text in [issued.access_token.text, *(answer.access_token for answer in successes)]:
        assert refusal_of(text or "") is Refusal.SESSION_ENDED


def test_refresh_after_lineage_was_used_is_superseded(user: AbstractBaseUser, send: Send) -> None:
    """Retries that arrive when the page has gone on are told so, all at once, and end nothing."""
    issued = log_in(user)
    second = send(issued.refresh_token.text, "first")
    assert send(second.refresh_token or "", "second").status == 200
    answers = at_once([partial(send, issued.refresh_token.text, "first")] * 10)
    assert {answer.status for answer in answers} == {409}
    assert row_of(issued).revoked_at is None


@pytest.mark.parametrize("attempt", range(5))
def test_logout_wins_race_with_refresh(user: AbstractBaseUser, send: Send, attempt: int) -> None:
    """Whoever comes first, the session is over and what a refresh has brought is worthless."""
    issued = log_in(user)
    token = issued.refresh_token.text

    def log_out() -> Answer:
        now = datetime.now(UTC)
        flows.log_out(refresh_tokens=[token], access_token=None, client=BROWSER, now=now)
        return Answer(status=204)

    refreshes: list[Callable[[], Answer]] = [partial(send, token, "key")] * 4
    answers = at_once([*refreshes[:2], log_out, *refreshes[2:]])
    assert row_of(issued).revocation_reason == Reason.LOGOUT
    for answer in answers:
        assert answer.status in {200, 204, 401}
        if answer.refresh_token and answer.access_token:
            assert refusal_of(answer.access_token) is Refusal.SESSION_ENDED
            assert send(answer.refresh_token, "other").status == 401
