"""manage.py clear_expired_tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.models import RecordedDenial, RefreshTokenFamily, RevokedToken
from jwt_auth.stored_times import latest_past
from tests.flows.scene import BROWSER, log_in
from tests.management.commands import output_of

pytestmark = [pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

#: The longest that an access token can live, and so a session's row after the session.
DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)


def _run(*arguments: str) -> list[str]:
    return output_of("clear_expired_tokens", *arguments).splitlines()


def _session(user: AbstractBaseUser, *, over_for: timedelta) -> RefreshTokenFamily:
    now = datetime.now(UTC)
    family = log_in(user, now=now - timedelta(days=40)).family
    family.absolute_expires_at = now - over_for
    family.save()
    return family


def _denial(jti: str, *, over_for: timedelta) -> None:
    now = datetime.now(UTC)
    RevokedToken.objects.deny(jti, user_id=None, expires_at=now - over_for, now=now)


def test_session_is_kept_while_a_token_of_it_may_live(
    user: AbstractBaseUser, settings: Settings
) -> None:
    """A session without a row counts as ended, so its row outlives its last access token."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(minutes=30)
    kept = [
        _session(user, over_for=over)
        for over in (-DAY, timedelta(0), DAY - MINUTE, DAY + 20 * MINUTE)
    ]
    gone = _session(user, over_for=DAY + 40 * MINUTE)
    assert "sessions: 1 deleted in all" in _run()
    assert set(RefreshTokenFamily.objects.all()) == set(kept)
    assert gone not in kept


def test_session_that_has_ended_is_kept_as_long(user: AbstractBaseUser) -> None:
    """A consumed token of it is still recognised, and refused as what it is."""
    family = log_in(user).family
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))
    assert "sessions: 0 deleted in all" in _run()
    assert RefreshTokenFamily.objects.filter(pk=family.pk).exists()


def test_recorded_denial_is_kept_for_two_days(user: AbstractBaseUser, settings: Settings) -> None:
    """A day for the longest transaction, and another one for the tokens that it left behind."""
    settings.JWT_AUTH_DENY_FEED = True
    for age in (2 * DAY - MINUTE, 2 * DAY + 10 * MINUTE):
        flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC) - age)
    assert "recorded denials: 1 deleted in all" in _run()
    assert RecordedDenial.objects.count() == 1


def test_denial_is_kept_until_its_token_is_over(db: None, settings: Settings) -> None:
    """With the leeway that verifiers give it, on a node whose clock is 40 s behind this one's."""
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(minutes=30)
    kept = {
        "young": -MINUTE,
        "in leeway": 20 * MINUTE,
        "in leeway elsewhere": 30 * MINUTE + timedelta(seconds=40),
    }
    for jti, over in (*kept.items(), ("old", 40 * MINUTE)):
        _denial(jti, over_for=over)
    assert "denials: 1 deleted in all" in _run()
    assert set(RevokedToken.objects.values_list("jti", flat=True)) == kept.keys()


@pytest.mark.parametrize(
    ("zone", "back"),
    [
        ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("Antarctica/Troll", datetime(2026, 10, 25, 1, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ],
)
def test_denial_is_kept_when_its_hour_comes_twice(
    zone: str, back: datetime, db: None, settings: Settings
) -> None:
    """Without USE_TZ its end has the name of a moment before the clocks went back."""
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    end = back + 20 * MINUTE
    RevokedToken.objects.deny("second", user_id=None, expires_at=end, now=back)
    for minutes in range(0, 200, 10):
        past = latest_past(end - minutes * MINUTE)
        assert not RevokedToken.objects.expired(past).exists()
    assert RevokedToken.objects.expired(latest_past(end + 3 * 60 * MINUTE)).exists()


def test_batches_are_small_statements(user: AbstractBaseUser) -> None:
    """No statement deletes more rows than it was told to, so that none locks for long."""
    for _ in range(5):
        _session(user, over_for=2 * DAY)
    with CaptureQueriesContext(connection) as queries:
        said = _run("--batch-size", "2")
    assert said[:4] == [
        "sessions: 2 deleted so far",
        "sessions: 4 deleted so far",
        "sessions: 5 deleted so far",
        "sessions: 5 deleted in all",
    ]
    deletes = [query for query in queries if query["sql"].startswith("DELETE")]
    assert len(deletes) == 3


@pytest.mark.parametrize("size", ["0", "-1"])
def test_batch_of_nothing_is_refused(size: str, user: AbstractBaseUser) -> None:
    """It would never end."""
    _session(user, over_for=2 * DAY)
    with pytest.raises(CommandError, match="1 or more") as raised:
        _run("--batch-size", size)
    assert raised.value.returncode == 1
    assert RefreshTokenFamily.objects.exists()


def test_batch_size_must_be_a_number(db: None) -> None:
    """Whoever mistypes it is told."""
    with pytest.raises(CommandError, match="invalid int value"):
        _run("--batch-size", "many")


def test_second_run_finds_nothing(user: AbstractBaseUser) -> None:
    """And says so, with exit code 0."""
    log_in(user)
    _session(user, over_for=2 * DAY)
    _run()
    assert _run() == [
        "sessions: 0 deleted in all",
        "denials: 0 deleted in all",
        "used one-time tokens: 0 deleted in all",
        "recorded denials: 0 deleted in all",
    ]
    assert RefreshTokenFamily.objects.count() == 1
