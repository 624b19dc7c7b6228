"""How sessions and tokens end, and that they stay ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth import flows
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from jwt_auth.flows.ending import is_of_another_user
from jwt_auth.models import Reason, RefreshTokenFamily, RevokedToken
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, STRANGER, authenticate, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]


def _log_out(refresh_token: str | None = None, access_token: str | None = None) -> None:
    flows.log_out(
        refresh_tokens=[] if refresh_token is None else [refresh_token],
        access_token=access_token,
        client=BROWSER,
        now=datetime.now(UTC),
    )


def test_logout_by_refresh_token_ends_session(user: AbstractBaseUser) -> None:
    """The cookie alone is enough to log out. The row says why, when and from where."""
    issued = log_in(user)
    _log_out(refresh_token=issued.refresh_token.text)
    row = row_of(issued)
    assert (row.revocation_reason, row.revoked_by_ip) == (Reason.LOGOUT, BROWSER.ip_address)
    assert refusal_of(issued) is Refusal.SESSION_ENDED


def test_logout_by_consumed_refresh_token_ends_session(user: AbstractBaseUser) -> None:
    """Any genuine token of the family is enough, and logging out isn't a replay."""
    issued = log_in(user)
    successor = refresh(issued)
    _log_out(refresh_token=issued.refresh_token.text)
    assert row_of(issued).revocation_reason == Reason.LOGOUT
    with pytest.raises(RefreshTokenRefused):
        refresh(successor)


def test_logout_by_access_token_ends_session_and_token(user: AbstractBaseUser) -> None:
    """The bearer token ends its session, too, and is denied itself."""
    issued = log_in(user)
    _log_out(access_token=issued.access_token.text)
    assert row_of(issued).revoked_at is not None
    assert RevokedToken.objects.count() == 1


def test_logout_of_two_sessions_ends_both(user: AbstractBaseUser) -> None:
    """Every token that is sent has an effect, even if the two are of different sessions."""
    first, second = log_in(user), log_in(user)
    _log_out(first.refresh_token.text, second.access_token.text)
    assert refusal_of(first) is refusal_of(second) is Refusal.SESSION_ENDED


@pytest.mark.parametrize("rubbish", ["", "x" * 92, "a.b.c"])
def test_logout_with_rubbish_ends_nothing(user: AbstractBaseUser, rubbish: str) -> None:
    """A token that isn't genuine is skipped."""
    issued = log_in(user)
    _log_out(rubbish, rubbish)
    assert refusal_of(issued) is None


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


def test_session_of_other_user_is_not_ended(user: AbstractBaseUser, make_user: MakeUser) -> None:
    """With a user ID, only that user's sessions can be ended."""
    issued, other = log_in(user), make_user("mallory")
    assert not flows.end_session(
        issued.family.pk,
        user_id=other.pk,
        reason=Reason.LOGOUT,
        client=None,
        now=datetime.now(UTC),
    )
    assert refusal_of(issued) is None


def test_end_of_all_of_users_sessions_spares_others(
    user: AbstractBaseUser, make_user: MakeUser
) -> None:
    """All sessions and access tokens of the user end; those of other users don't."""
    sessions, other = [log_in(user), log_in(user)], log_in(make_user("bob"))
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
    assert [refusal_of(session) for session in sessions] == [Refusal.TOKEN_VERSION] * 2
    assert {row_of(session).revocation_reason for session in sessions} == {Reason.LOGOUT_ALL}
    assert refusal_of(other) is None


def test_token_is_of_another_user_while_that_ones_session_goes_on(
    user: AbstractBaseUser, make_user: MakeUser
) -> None:
    """It depends on the token's session alone, not on other sessions of either user."""
    mine, other = log_in(user), log_in(make_user("bob"))
    text = other.refresh_token.text
    assert is_of_another_user(text, user.pk)
    assert not is_of_another_user(text, other.family.user_id)
    assert not is_of_another_user(mine.refresh_token.text, user.pk)
    _log_out(refresh_token=text)
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
