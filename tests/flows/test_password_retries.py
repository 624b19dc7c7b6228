"""The lost answer of a password change: which requests get it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshSuperseded, RefreshTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.flows.password_retries import find_former, find_opened
from jwt_auth.models import Reason, RefreshTokenFamily
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

KEY, NEW_PASSWORD = "the key of the change", "a quite different horse"


def change(
    user: Any, old: str, session: Issued | str | None, *, key: str | None = KEY, **named: Any
) -> Issued:
    """Change the password on a session's device."""
    presented = session.refresh_token.text if isinstance(session, Issued) else session
    return flows.change_password(
        user,
        old_password=old,
        new_password=named.pop("new", NEW_PASSWORD),
        client=BROWSER,
        now=named.pop("now", None) or datetime.now(UTC),
        presented=presented,
        retry_key=key,
    )


def loads(monkeypatch: pytest.MonkeyPatch, *, without: Any = None) -> list[Any]:
    """Record which sessions are read; one of them no longer exists."""
    loaded: list[Any] = []
    load = RefreshTokenFamily.objects.load

    def note(family_id: Any) -> RefreshTokenFamily | None:
        loaded.append(family_id)
        return None if family_id == without else load(family_id)

    monkeypatch.setattr(RefreshTokenFamily.objects, "load", note)
    return loaded


def assert_refused(session: Issued, **named: Any) -> None:
    """The request gets nothing, and changes nothing."""
    before = list(RefreshTokenFamily.objects.order_by("pk").values())
    with pytest.raises(RefreshTokenRefused):
        refresh(session, **named)
    assert list(RefreshTokenFamily.objects.order_by("pk").values()) == before


@pytest.fixture
def session(user: AbstractBaseUser) -> Issued:
    """Alice's session on the device that changes the password."""
    return log_in(user)


@pytest.fixture
def lost(user: AbstractBaseUser, password: str, session: Issued) -> Issued:
    """The answer to that change, with its key."""
    return change(user, password, session)


def test_lost_answer_is_given_again_to_the_former_token_with_its_key(
    session: Issued, lost: Issued
) -> None:
    """Each retry gets the same refresh token, and a valid access token."""
    for again in (refresh(session, key=KEY), refresh(session, key=KEY)):
        assert again.refresh_token.text == lost.refresh_token.text
        assert again.family.pk == lost.family.pk
        assert refusal_of(again) is None
    following = refresh(lost, key="the next key")
    again = refresh(lost, key="the next key")  # the change did not consume the first token
    assert again.refresh_token.text == following.refresh_token.text


def test_lost_answer_survives_a_rotation_of_the_secret_key(
    session: Issued, lost: Issued, settings: Settings
) -> None:
    """The new session's first token was derived from the former session's token."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "x" * 50, [settings.SECRET_KEY]
    assert refresh(session, key=KEY).refresh_token.text == lost.refresh_token.text


def test_former_token_gets_nothing_without_the_key(user: AbstractBaseUser, password: str) -> None:
    """A thief doesn't have the key, and their attempt doesn't end the new session."""
    session, other = log_in(user), log_in(user)
    lost = change(user, password, session)
    for key in (None, "another key"):
        assert_refused(session, key=key)
    assert_refused(other, key=KEY)  # another session of the user doesn't help, even with the key
    assert refusal_of(lost) is None


def test_change_without_a_key_or_a_token_is_not_given_again(
    user: AbstractBaseUser, password: str, make_user: MakeUser
) -> None:
    """Nor does a change that came with another user's token, or without a genuine one."""
    session, strange = log_in(user), log_in(make_user("bob"))
    given: list[tuple[Issued | str | None, str | None]] = [
        (session, None), (None, KEY), ("forged", KEY), (strange, KEY),
    ]  # fmt: skip
    for number, (presented, key) in enumerate(given):
        mine = log_in(get_user_model().objects.get(pk=user.pk))
        new = f"{NEW_PASSWORD} {number}"
        sent = mine if presented is session else presented
        issued = change(user, password, sent, key=key, new=new)
        password = new
        assert_refused(mine, key=KEY)
        assert refusal_of(issued) is None
    refresh(strange, key=KEY)


@pytest.mark.parametrize(("at_change", "at_retry"), [(None, "None"), ("None", None)])
def test_no_key_is_not_the_same_as_any_key(
    user: AbstractBaseUser, password: str, at_change: str | None, at_retry: str | None
) -> None:
    """Whatever text the key is."""
    session = log_in(user)
    change(user, password, session, key=at_change)
    assert_refused(session, key=at_retry)


@pytest.mark.parametrize("reason", [Reason.LOGOUT, Reason.REUSE_DETECTED])
def test_session_that_ended_before_the_change_gets_no_answer(
    user: AbstractBaseUser, password: str, reason: Reason
) -> None:
    """The newest token of that session may be a thief's."""
    session = log_in(user)
    now = datetime.now(UTC)
    flows.end_session(session.family.pk, reason=reason, client=BROWSER, now=now)
    change(user, password, session)
    assert_refused(session, key=KEY)


def test_former_token_of_somebody_else_is_none(
    user: AbstractBaseUser, password: str, make_user: MakeUser
) -> None:
    """Even if a password change by that other user has ended it."""
    bob = make_user("bob")
    session = log_in(bob)
    change(bob, password, session)
    named: dict[str, Any] = {"retry_key": KEY, "now": datetime.now(UTC)}
    token = session.refresh_token.text
    assert find_former(token, user_id=bob.pk, **named) is not None
    assert find_former(token, user_id=user.pk, **named) is None


def test_new_session_of_another_user_is_not_given(
    session: Issued, lost: Issued, user: AbstractBaseUser, make_user: MakeUser
) -> None:
    """Whatever its row says about the former session."""
    named: dict[str, Any] = {"retry_key": KEY, "now": datetime.now(UTC)}
    assert find_opened(row_of(session), session.refresh_token, **named) is not None
    RefreshTokenFamily.objects.filter(pk=lost.family.pk).update(user=make_user("bob"))
    assert find_opened(row_of(session), session.refresh_token, **named) is None


def test_former_token_of_a_session_that_is_gone_is_no_hindrance(
    user: AbstractBaseUser, password: str
) -> None:
    """The password is changed all the same."""
    session = log_in(user)
    RefreshTokenFamily.objects.filter(pk=session.family.pk).delete()
    assert refusal_of(change(user, password, session)) is None


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1)])
def test_answer_is_kept_for_the_window_of_the_change(
    user: AbstractBaseUser, password: str, ahead: timedelta, settings: Settings
) -> None:
    """As long as that of a refresh, even if another node's clock has opened the session later."""
    window = settings.JWT_AUTH_REFRESH_RETRY_WINDOW = timedelta(seconds=45)
    start = datetime.now(UTC)
    session = log_in(user, now=start)
    lost = change(user, password, session, now=start)
    RefreshTokenFamily.objects.filter(pk=lost.family.pk).update(created_at=start + ahead)
    refresh(session, key=KEY, now=start + window)
    assert_refused(session, key=KEY, now=start + window + timedelta(seconds=1))


def test_late_retry_reads_no_session_of_the_users(
    user: AbstractBaseUser, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many sessions there are, and however often an attacker tries."""
    start = datetime.now(UTC)
    session = log_in(user, now=start)
    change(user, password, session, now=start)
    loaded = loads(monkeypatch)
    late = start + conf.refresh_retry_window + timedelta(seconds=1)
    assert_refused(session, key=KEY, now=late)
    assert loaded == [session.family.pk]


def test_session_that_is_deleted_meanwhile_is_passed_over(
    session: Issued, lost: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after the list and before it is read."""
    loaded = loads(monkeypatch, without=lost.family.pk)
    assert_refused(session, key=KEY)
    assert loaded == [session.family.pk, lost.family.pk]


def test_answer_whose_token_was_used_is_superseded(session: Issued, lost: Issued) -> None:
    """The retry was stuck while its own page continued: nothing changes."""
    following = refresh(lost, key="the next key")
    with pytest.raises(RefreshSuperseded):
        refresh(session, key=KEY)
    assert row_of(following).current_digest == following.refresh_token.digest
    assert refusal_of(following) is None


@pytest.mark.parametrize("loads", [1, 2, 5])
def test_refreshes_that_come_before_the_change_is_done_get_its_answer_too(
    user: AbstractBaseUser, password: str, loads: int, settings: Settings
) -> None:
    """The page was closed, which Firefox announces in time for a refresh, and then loaded again."""
    former, session = settings.SECRET_KEY, log_in(user)
    held = [session]
    for number in range(loads):
        if number == loads // 2:  # a deployment in between
            settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "x" * 50, [former]
        held.append(refresh(held[-1], key=KEY))
    lost = change(user, password, session)
    for each in held:
        assert refresh(each, key=KEY).refresh_token.text == lost.refresh_token.text


@pytest.mark.parametrize(
    "keys",
    [[KEY] * 6, ["another key"], [KEY, "another key", KEY]],
    ids=["more than are followed", "somebody else's", "somebody else's in between"],
)
def test_refreshes_that_can_not_be_followed_to_the_change_get_no_answer(
    user: AbstractBaseUser, password: str, keys: list[str]
) -> None:
    """Whoever has the token of the change may not have the newest. The password is changed all the
    same.
    """
    session = newest = log_in(user)
    for key in keys:
        newest = refresh(newest, key=key)
    change(user, password, session)
    for held in (session, newest):
        assert_refused(held, key=KEY)


def test_token_of_a_generation_to_come_gets_no_answer(
    user: AbstractBaseUser, password: str
) -> None:
    """The database was restored from a backup."""
    session = log_in(user)
    ahead = refresh(session, key="another key")
    RefreshTokenFamily.objects.filter(pk=session.family.pk).update(
        generation=1, current_digest=session.refresh_token.digest, recent_rotations=[]
    )
    change(user, password, session)
    assert_refused(ahead, key=KEY)


def test_other_sessions_opened_meanwhile_are_passed_over(
    session: Issued, lost: Issued, user: AbstractBaseUser
) -> None:
    """Only the session that has replaced the former one is given again."""
    log_in(get_user_model().objects.get(pk=user.pk))
    assert refresh(session, key=KEY).family.pk == lost.family.pk


def test_key_of_a_refresh_marks_no_session_as_the_new_one(
    session: Issued, lost: Issued, user: AbstractBaseUser
) -> None:
    """Even though the mark of the change is made from the same text."""
    other = log_in(get_user_model().objects.get(pk=user.pk))
    refresh(other, key=f"{session.family.pk} {KEY}")
    assert refresh(session, key=KEY).refresh_token.text == lost.refresh_token.text


def test_of_two_changes_with_one_key_the_session_that_lives_is_given(
    user: AbstractBaseUser, password: str
) -> None:
    """The second change has ended the first one's session, by a clock that is slow."""
    session, now = log_in(user), datetime.now(UTC)
    change(user, password, session, now=now + timedelta(seconds=5))
    changed = get_user_model().objects.get(pk=user.pk)
    lost = change(changed, NEW_PASSWORD, session, new="and another battery", now=now)
    assert refresh(session, key=KEY).refresh_token.text == lost.refresh_token.text


def test_end_of_the_new_session_is_final(
    session: Issued, lost: Issued, user: AbstractBaseUser
) -> None:
    """No key revives the session."""
    flows.end_user_sessions(user.pk, reason=Reason.LOGOUT_ALL, client=None, now=datetime.now(UTC))
    with pytest.raises(RefreshTokenRefused):
        refresh(session, key=KEY)
    assert refusal_of(lost) is not None
