"""How sessions and tokens end, and that they stay ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth import flows
from jwt_auth.exceptions import Refusal
from jwt_auth.flows.ending import is_of_another_user
from jwt_auth.models import Reason, RefreshTokenFamily
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, STRANGER, authenticate, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]


def _log_out(refresh_token: str, access_token: str | None = None) -> None:
    flows.log_out(
        refresh_tokens=[refresh_token],
        access_token=access_token,
        client=BROWSER,
        now=datetime.now(UTC),
    )


@pytest.mark.django_db(transaction=True)
def test_logout_of_deleted_user_is_no_failure(user: AbstractBaseUser) -> None:
    """Logging out doesn't require a user in the database."""
    issued = log_in(user)
    user.delete()
    _log_out(issued.refresh_token.text, issued.access_token.text)
    assert refusal_of(issued) is Refusal.USER_UNKNOWN


def test_session_ends_once(user: AbstractBaseUser) -> None:
    """The first end stays: a second one changes neither its reason nor its time."""
    issued = log_in(user)
    now = datetime.now(UTC)
    ended = [
        flows.end_session(issued.family.pk, reason=reason, client=client, now=now)
        for reason, client in [(Reason.LOGOUT, BROWSER), (Reason.ADMINISTRATOR, STRANGER)]
    ]
    assert ended == [True, False]
    assert row_of(issued).revocation_reason == Reason.LOGOUT


def test_token_is_of_another_user_while_that_ones_session_goes_on(
    user: AbstractBaseUser, make_user: MakeUser
) -> None:
    """It depends on the token's session alone, not on other sessions of either user."""
    mine, other = log_in(user), log_in(make_user("bob"))
    text = other.refresh_token.text
    assert is_of_another_user(text, user.pk)
    assert not is_of_another_user(text, other.family.user_id)
    assert not is_of_another_user(mine.refresh_token.text, user.pk)
    _log_out(text)
    log_in(other.family.user)
    assert not is_of_another_user(text, user.pk)
    RefreshTokenFamily.objects.filter(pk=other.family.pk).delete()
    assert not is_of_another_user(text, user.pk)


def test_user_logs_in_again_after_end_of_all(user: AbstractBaseUser, make_user: MakeUser) -> None:
    """The new session has the new version, and is live."""
    log_in(user)
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
    again = log_in(type(user)._default_manager.get(pk=user.pk))
    assert refusal_of(again) is None
    assert refusal_of(refresh(again)) is None


def test_end_of_everything_counts_live_ones(user: AbstractBaseUser, make_user: MakeUser) -> None:
    """All sessions of all users end, each once."""
    sessions = [log_in(user), log_in(make_user("bob")), log_in(user)]
    _log_out(sessions[2].refresh_token.text)
    now = datetime.now(UTC)
    assert flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now) == 2
    assert not RefreshTokenFamily.objects.live(now).exists()


def test_denied_token_is_refused_alone(user: AbstractBaseUser) -> None:
    """The session continues with its next access token. A second denial changes nothing."""
    issued, now = log_in(user), datetime.now(UTC)
    _, token = authenticate(issued)
    for _ in range(2):
        flows.deny_token(token.jti, user_id=None, expires_at=now + timedelta(minutes=15), now=now)
    assert refusal_of(issued) is Refusal.TOKEN_REVOKED
    assert refusal_of(refresh(issued)) is None
