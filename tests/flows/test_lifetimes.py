"""How long a session lasts: the project's callable decides once, and the session keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import LifetimesInvalid, RefreshTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.models import Client, RefreshTokenFamily
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, refresh, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHORT, LONG = (2 * HOUR, 12 * HOUR), (30 * DAY, 90 * DAY)
NEW_PASSWORD = "another staple, another horse"

#: What the project's callable was asked, and what it returns instead of SHORT or LONG.
asked: list[tuple[Any, bool, Client]] = []
answer: list[Any] = []


def choose(user: Any, *, remember_me: bool, client: Client) -> Any:
    """Decide as the project of these tests does."""
    asked.append((user, remember_me, client))
    if answer:
        return answer[0]
    return LONG if remember_me else SHORT


@pytest.fixture(autouse=True)
def _callable(settings: Settings) -> None:
    settings.JWT_AUTH_SESSION_LIFETIMES = f"{__name__}.choose"
    asked.clear()
    answer.clear()


@pytest.fixture
def now() -> datetime:
    """When the session is opened."""
    return datetime.now(UTC)


def open_session(user: AbstractBaseUser, *, now: datetime, remember_me: bool) -> Issued:
    return flows.log_in(user, client=BROWSER, now=now, remember_me=remember_me)


@pytest.mark.parametrize(("remember_me", "lifetimes"), [(False, SHORT), (True, LONG)])
def test_callable_decides_about_a_login(
    user: AbstractBaseUser,
    now: datetime,
    remember_me: bool,
    lifetimes: tuple[timedelta, timedelta],
) -> None:
    """It is asked once, for this user and client, and the cookie lasts as long as the token."""
    issued = open_session(user, now=now, remember_me=remember_me)
    assert asked == [(user, remember_me, BROWSER)]
    row = row_of(issued)
    assert (row.expires_at - now, row.absolute_expires_at - now) == lifetimes
    assert issued.refresh_expires_in == lifetimes[0].total_seconds()


@pytest.mark.parametrize("remember_me", [False, True])
def test_session_keeps_its_lifetime_at_each_refresh(
    user: AbstractBaseUser, now: datetime, settings: Settings, remember_me: bool
) -> None:
    """Neither the settings nor the callable of a later moment change an open session."""
    issued = open_session(user, now=now, remember_me=remember_me)
    end = row_of(issued).absolute_expires_at
    answer.append((5 * HOUR, 200 * DAY))
    settings.JWT_AUTH_REFRESH_TOKEN_LIFETIME = 3 * HOUR
    settings.JWT_AUTH_SESSION_LIFETIME = 365 * DAY
    own = (LONG if remember_me else SHORT)[0]
    for lifetimes in (f"{__name__}.choose", None):
        settings.JWT_AUTH_SESSION_LIFETIMES = lifetimes
        now += HOUR
        issued = refresh(issued, now=now)
        row = row_of(issued)
        assert (row.expires_at, row.absolute_expires_at) == (now + own, end)
        assert issued.refresh_expires_in == own.total_seconds()
    assert len(asked) == 1


def test_refreshes_never_extend_a_session(user: AbstractBaseUser, now: datetime) -> None:
    """The last refresh token ends with the session, whatever its own lifetime."""
    issued = open_session(user, now=now, remember_me=False)
    for _ in range(11):
        now += HOUR
        issued = refresh(issued, now=now)
    assert issued.refresh_expires_in == HOUR.total_seconds()
    assert row_of(issued).expires_at == row_of(issued).absolute_expires_at == now + HOUR
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, now=now + HOUR)


def test_unused_session_ends_by_its_own_lifetime(user: AbstractBaseUser, now: datetime) -> None:
    """A short one after two hours, while the setting says seven days."""
    issued = open_session(user, now=now, remember_me=False)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, now=now + 2 * HOUR)


def test_access_token_ends_with_a_short_session(
    user: AbstractBaseUser, now: datetime, settings: Settings
) -> None:
    """Access tokens may be configured to last longer than the callable lets a session last."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = 24 * HOUR
    answer.append((HOUR, HOUR))
    issued = open_session(user, now=now, remember_me=False)
    assert issued.access_token.expires_in == HOUR.total_seconds()


@pytest.mark.parametrize("remember_me", [False, True])
def test_without_the_callable_remember_me_changes_nothing(
    user: AbstractBaseUser, now: datetime, settings: Settings, remember_me: bool
) -> None:
    """The session then follows the settings, those of a later refresh, too."""
    settings.JWT_AUTH_SESSION_LIFETIMES = None
    issued = open_session(user, now=now, remember_me=remember_me)
    row = row_of(issued)
    assert (row.expires_at - now, row.absolute_expires_at - now) == (7 * DAY, 30 * DAY)
    assert row.refresh_lifetime is None
    settings.JWT_AUTH_REFRESH_TOKEN_LIFETIME = 3 * HOUR
    assert refresh(issued, now=now).refresh_expires_in == 3 * HOUR.total_seconds()


@pytest.mark.parametrize(
    "lifetimes",
    [
        (HOUR - timedelta.resolution, DAY),
        (DAY, DAY - timedelta.resolution),
        (DAY, 365 * DAY + timedelta.resolution),
        (-DAY, DAY),
    ],
)
def test_lifetimes_outside_of_the_limits_open_nothing(
    user: AbstractBaseUser, now: datetime, lifetimes: Any
) -> None:
    """The error names the setting, both values and the limits."""
    answer.append(lifetimes)
    with pytest.raises(LifetimesInvalid) as raised:
        open_session(user, now=now, remember_me=True)
    for part in ("JWT_AUTH_SESSION_LIFETIMES", *map(str, lifetimes), "1:00:00", "365 days"):
        assert part in str(raised.value)
    assert not RefreshTokenFamily.objects.exists()


@pytest.mark.parametrize(
    "returned", [None, DAY, (), (DAY,), (DAY, DAY, DAY), (86400, 86400), (DAY, None), "ab"]
)
def test_anything_but_two_timedeltas_opens_nothing(
    user: AbstractBaseUser, now: datetime, returned: Any
) -> None:
    answer.append(returned)
    with pytest.raises(LifetimesInvalid, match="SESSION_LIFETIMES must return two timedeltas"):
        open_session(user, now=now, remember_me=True)
    assert not RefreshTokenFamily.objects.exists()


@pytest.mark.parametrize("lifetimes", [(HOUR, HOUR), (365 * DAY, 365 * DAY), [HOUR, 365 * DAY]])
def test_limits_themselves_are_allowed(
    user: AbstractBaseUser, now: datetime, lifetimes: Any
) -> None:
    answer.append(lifetimes)
    row = row_of(open_session(user, now=now, remember_me=True))
    assert (row.expires_at - now, row.absolute_expires_at - now) == tuple(lifetimes)


def change_password(user: AbstractBaseUser, session: Issued | None, *, now: datetime) -> Issued:
    return flows.change_password(
        user,
        old_password="correct horse battery staple",
        new_password=NEW_PASSWORD,
        client=BROWSER,
        now=now,
        session_id=None if session is None else session.family.pk,
    )


@pytest.mark.parametrize("remember_me", [False, True])
def test_password_change_keeps_the_lifetimes(
    user: AbstractBaseUser, now: datetime, remember_me: bool
) -> None:
    """Those of the session that it is made in, not those of the newest. Their time starts anew."""
    session = refresh(open_session(user, now=now, remember_me=remember_me), now=now + HOUR)
    open_session(user, now=now + HOUR, remember_me=not remember_me)
    later = now + HOUR
    changed = change_password(user, session, now=later)
    row = row_of(changed)
    lifetimes = LONG if remember_me else SHORT
    assert (row.expires_at - later, row.absolute_expires_at - later) == lifetimes
    assert len(asked) == 2
    again = refresh(changed, now=later + HOUR)
    assert again.refresh_expires_in == lifetimes[0].total_seconds()


def test_password_change_in_a_session_without_own_lifetimes_asks_the_callable(
    user: AbstractBaseUser, now: datetime, settings: Settings
) -> None:
    """Nobody knows whether its user wanted to be remembered: not for longer than they said."""
    settings.JWT_AUTH_SESSION_LIFETIMES = None
    session = open_session(user, now=now, remember_me=True)
    settings.JWT_AUTH_SESSION_LIFETIMES = f"{__name__}.choose"
    row = row_of(change_password(user, session, now=now))
    assert (row.expires_at - now, row.absolute_expires_at - now) == SHORT


@pytest.mark.parametrize("whose", [None, "bob"])
def test_password_change_outside_of_the_users_sessions_asks_the_callable(
    user: AbstractBaseUser, make_user: MakeUser, now: datetime, whose: str | None
) -> None:
    """A project may change a password without a session; another user's session lends nothing."""
    other = None if whose is None else open_session(make_user(whose), now=now, remember_me=True)
    row = row_of(change_password(user, other, now=now))
    assert (row.expires_at - now, row.absolute_expires_at - now) == SHORT


def test_callable_that_fails_changes_no_password(user: AbstractBaseUser, now: datetime) -> None:
    """It is asked before the password is saved."""
    answer.append(None)
    with pytest.raises(LifetimesInvalid):
        change_password(user, None, now=now)
    user.refresh_from_db()
    assert user.check_password("correct horse battery staple")


def test_limit_of_sessions_ends_a_remembered_one_as_well(
    user: AbstractBaseUser, now: datetime, settings: Settings
) -> None:
    """The one that was opened first ends, however long it might have lasted."""
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = 1
    first = open_session(user, now=now, remember_me=True)
    second = log_in(user, now=now + HOUR)
    assert row_of(first).revoked_at is not None
    assert row_of(second).revoked_at is None
