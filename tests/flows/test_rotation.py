"""The rules of the rotation, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from pytest_django import Settings

from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.flows.rotation import Retried, Verdict, judge, take
from jwt_auth.models import (
    USER_AGENT_LENGTH,
    Client,
    Reason,
    RefreshTokenFamily,
    RefreshTokenFamilyQuerySet,
)
from jwt_auth.tokens.refresh import RefreshToken, issue_first
from tests.flows.scene import BROWSER, STRANGER, log_in, refresh, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model]

_WINDOW = timedelta(seconds=60)
_SECOND = timedelta(seconds=1)


@pytest.fixture
def now() -> datetime:
    """When the session is opened."""
    return datetime.now(UTC)


@pytest.fixture
def issued(user: AbstractBaseUser, now: datetime) -> Issued:
    """A session that has just been opened."""
    return log_in(user, now=now)


def _rotate(token: RefreshToken, *, now: datetime, key: str | None = None) -> Any:
    family = RefreshTokenFamily.objects.load(token.family_id)
    assert family is not None
    verdict = judge(family, token, retry_key=key, now=now)
    if verdict is not Verdict.CURRENT:
        return verdict
    return take(family, token, retry_key=key, client=BROWSER, now=now)


# ---- The successor


def test_rotation_notes_when_and_where(issued: Issued, now: datetime) -> None:
    """The list of sessions shows where a session was used last. A long user agent is cut."""
    later, long = now + _SECOND, Client(ip_address="192.0.2.9", user_agent="x" * 1000)
    refresh(issued, now=later, client=long)
    row = row_of(issued)
    assert (row.last_used_at, row.ip_address) == (later, "192.0.2.9")
    assert row.user_agent == "x" * USER_AGENT_LENGTH


def test_family_in_hand_is_what_was_written(issued: Issued, now: datetime) -> None:
    """The rotated instance need not be read again."""
    family = refresh(issued, now=now + _SECOND).family
    fresh = RefreshTokenFamily.objects.get(pk=family.pk)
    for field in RefreshTokenFamily._meta.concrete_fields:
        assert getattr(family, field.attname) == getattr(fresh, field.attname)


def test_same_token_has_other_successor_in_other_rotation(issued: Issued, now: datetime) -> None:
    """The nonce is fresh each time, so the holder of a token can't compute the next one."""
    nonces = set()
    for _ in range(3):
        issued = refresh(issued, now=now)
        nonces.add(row_of(issued).rotation_nonce)
    assert len(nonces) == 3


def test_use_starts_lifetime_anew(issued: Issued, now: datetime, settings: Settings) -> None:
    """The sliding lifetime begins at the last use."""
    settings.JWT_AUTH_REFRESH_TOKEN_LIFETIME = timedelta(hours=2)
    later = now + timedelta(hours=1)
    successor = refresh(issued, now=later)
    assert row_of(issued).expires_at == later + timedelta(hours=2)
    assert successor.refresh_expires_in == 7200


def test_session_ends_at_absolute_lifetime(
    issued: Issued, now: datetime, settings: Settings
) -> None:
    """However often a session is used, it ends at a fixed moment."""
    end = now + timedelta(days=30)
    for day in range(6, 30, 6):
        issued = refresh(issued, now=now + timedelta(days=day))
    assert row_of(issued).expires_at == row_of(issued).absolute_expires_at == end
    issued = refresh(issued, now=end - _SECOND)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, now=end)


def test_unused_token_expires(issued: Issued, now: datetime) -> None:
    """At its last moment it has expired; a moment before, it is valid."""
    end = now + timedelta(days=7)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, now=end)
    refresh(issued, now=end - _SECOND)


# ---- Retries


@pytest.mark.parametrize("age", [0, 1, 60])
def test_retry_with_key_gets_same_successor(issued: Issued, now: datetime, age: int) -> None:
    """A lost answer is given again until the last second of the window, and the row stays."""
    first = refresh(issued, key="k", now=now)
    before = row_of(issued).__dict__
    again = refresh(issued, key="k", now=now + age * _SECOND)
    assert again.refresh_token == first.refresh_token
    assert {**row_of(issued).__dict__, "_state": None} == {**before, "_state": None}


@pytest.mark.parametrize(
    ("key", "age"),
    [(None, 0), ("", 0), ("other", 0), ("K", 0), ("k", 61)],
    ids=["no key", "empty", "another", "other case", "too late"],
)
def test_replay_that_is_no_retry_ends_family(
    issued: Issued, now: datetime, key: str | None, age: int
) -> None:
    """Only the same key within the window distinguishes a retry from a theft."""
    successor = refresh(issued, key="k", now=now)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, key=key, now=now + age * _SECOND, client=STRANGER)
    row = row_of(issued)
    assert row.revocation_reason == Reason.REUSE_DETECTED
    assert row.revoked_by_ip == STRANGER.ip_address
    with pytest.raises(RefreshTokenRefused):
        refresh(successor, now=now)


def test_key_given_to_rotation_without_one_is_no_retry(issued: Issued, now: datetime) -> None:
    """A key that a thief invents doesn't match a rotation without a key."""
    refresh(issued, now=now)
    assert _rotate(issued.refresh_token, key="", now=now) is Verdict.REUSED
    assert _rotate(issued.refresh_token, key="None", now=now) is Verdict.REUSED


def test_key_is_stored_as_digest(issued: Issued, now: datetime) -> None:
    """An attacker can't retry with what is stored in the row. Odd keys are valid keys."""
    key = "\udcff secret \N{SNOWMAN}"
    first = refresh(issued, key=key, now=now)
    assert "secret" not in str(row_of(issued).recent_rotations)
    assert refresh(issued, key=key, now=now).refresh_token == first.refresh_token


@pytest.mark.parametrize(("age", "expected"), [(0, Retried), (5, Retried), (6, Verdict)])
def test_leeway_gives_same_successor_without_key(
    issued: Issued, now: datetime, settings: Settings, age: int, expected: type
) -> None:
    """Clients without keys get the leeway, to its last second."""
    settings.JWT_AUTH_REFRESH_REUSE_LEEWAY = 5 * _SECOND
    refresh(issued, now=now)
    outcome = _rotate(issued.refresh_token, now=now + age * _SECOND)
    assert isinstance(outcome, expected)


def test_leeway_longer_than_window_counts_for_keys_too(
    issued: Issued, now: datetime, settings: Settings
) -> None:
    """A client with a key is never worse off than a client without one."""
    settings.JWT_AUTH_REFRESH_RETRY_WINDOW = _SECOND
    settings.JWT_AUTH_REFRESH_REUSE_LEEWAY = 5 * _SECOND
    refresh(issued, key="k", now=now)
    assert isinstance(_rotate(issued.refresh_token, key="k", now=now + 5 * _SECOND), Retried)
    assert _rotate(issued.refresh_token, key="k", now=now + 6 * _SECOND) is Verdict.REUSED


# ---- Late retries and replays


def test_late_retry_outside_window_is_replay(issued: Issued, now: datetime) -> None:
    """A minute is enough for a stuck request; after that, the same bytes are a stolen cookie."""
    second = refresh(issued, key="1", now=now)
    refresh(second, key="2", now=now + _WINDOW)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, key="1", now=now + _WINDOW + _SECOND)
    assert row_of(issued).revocation_reason == Reason.REUSE_DETECTED


def test_token_consumed_long_ago_ends_family(issued: Issued, now: datetime) -> None:
    """The row is enough to recognize every former token, however old."""
    newest = issued
    for hour in range(20):
        newest = refresh(newest, now=now + timedelta(hours=hour))
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, key="k", now=now + timedelta(hours=20))
    assert row_of(issued).revoked_at == now + timedelta(hours=20)


@pytest.mark.parametrize(("window", "leeway", "remembered"), [(60, 5, 60), (5, 30, 30), (5, 0, 10)])
def test_row_remembers_as_long_as_anything_asks_for(
    issued: Issued, now: datetime, settings: Settings, window: int, leeway: int, remembered: int
) -> None:
    """The retry window, the leeway, and the seconds in which a replay may be a mistake."""
    settings.JWT_AUTH_REFRESH_RETRY_WINDOW = timedelta(seconds=window)
    settings.JWT_AUTH_REFRESH_REUSE_LEEWAY = timedelta(seconds=leeway)
    issued = refresh(issued, key="1", now=now)
    issued = refresh(issued, key="2", now=now + timedelta(seconds=remembered))
    assert [entry[0] for entry in row_of(issued).recent_rotations] == [1, 2]
    issued = refresh(issued, key="3", now=now + timedelta(seconds=remembered) + _SECOND)
    assert [entry[0] for entry in row_of(issued).recent_rotations] == [2, 3]


def test_row_remembers_a_dozen_at_most(issued: Issued, now: datetime) -> None:
    """A client that refreshes all the time doesn't fill the table."""
    for _ in range(15):
        issued = refresh(issued, key="k", now=now)
    assert [entry[0] for entry in row_of(issued).recent_rotations] == list(range(4, 16))


@pytest.mark.parametrize(
    ("keys", "known"),
    [
        (["k", "k", "k"], [1, 2]),
        (["k"] * 6, [2, 3, 4, 5]),
        ([None, None, None], []),
        (["k", None, "k"], []),
        (["k", "k", "other"], []),
        (["other", "k", "k"], [2]),
        ([None, "k", "k"], [2]),
    ],
    ids=str,
)
def test_row_keeps_nonces_of_rotations_with_one_key_only(
    issued: Issued, now: datetime, keys: list[str | None], known: list[int]
) -> None:
    """Only the last few keep them, and none does after a rotation with another key."""
    for key in keys:
        issued = refresh(issued, key=key, now=now)
    entries = row_of(issued).recent_rotations
    assert [entry[0] for entry in entries] == list(range(1, len(keys) + 1))
    assert [entry[0] for entry in entries if len(entry) > 3] == known


@pytest.mark.parametrize("key", [None, "k"])
def test_revoked_family_stays_revoked(
    issued: Issued, now: datetime, key: str | None, settings: Settings
) -> None:
    """No window, key or leeway revives a session that was ended on purpose."""
    settings.JWT_AUTH_REFRESH_REUSE_LEEWAY = 60 * _SECOND
    successor = refresh(issued, key=key, now=now)
    RefreshTokenFamily.objects.end(reason=Reason.LOGOUT, ip_address=None, now=now)
    for presented in (issued, successor):
        with pytest.raises(RefreshTokenRefused):
            refresh(presented, key=key, now=now)
    assert row_of(issued).revocation_reason == Reason.LOGOUT


# ---- Impossible tokens


def test_generation_ahead_of_row_revokes_nothing(issued: Issued, now: datetime) -> None:
    """After a restore from a backup, the browser is refused, and its session isn't ended."""
    before = row_of(issued)
    successor = refresh(issued, now=now)
    before.save()
    assert _rotate(successor.refresh_token, now=now) is Verdict.IMPOSSIBLE
    with pytest.raises(RefreshTokenRefused):
        refresh(successor, now=now)
    assert row_of(issued).revoked_at is None


def test_retry_beside_lineage_is_replay(issued: Issued, now: datetime) -> None:
    """The key alone is not enough: the derived successor must be the current token."""
    refresh(issued, key="k", now=now)
    beside = issue_first(issued.family.pk)
    assert _rotate(beside, key="k", now=now) is Verdict.REUSED


# ---- Races


def test_lost_race_changes_nothing(issued: Issued, now: datetime) -> None:
    """Of two requests that have read the same row, one writes. That isn't proof of a theft."""
    stale = RefreshTokenFamily.objects.load(issued.family.pk)
    assert stale is not None
    winner = _rotate(issued.refresh_token, now=now)
    taken = take(stale, issued.refresh_token, retry_key=None, client=BROWSER, now=now)
    assert taken is None
    assert row_of(issued).current_digest == winner.digest
    assert stale.generation == 1


def test_row_that_never_takes_the_write_is_given_up(
    issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the UPDATE never matches, the request is refused without a loop and no session ends."""
    monkeypatch.setattr(RefreshTokenFamilyQuerySet, "rotate", lambda *args, **changes: False)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued)
    assert row_of(issued).revoked_at is None


# ---- The likely cause of a replay


def _hint(issued: Issued, *, now: datetime, key: str | None, client: Client) -> str | None:
    with pytest.raises(RefreshTokenRefused) as refused:
        refresh(issued, key=key, now=now, client=client)
    return refused.value.hint


def test_replay_by_same_browser_within_seconds_gets_hint(issued: Issued, now: datetime) -> None:
    """If a component mounts twice, its developer gets advice, and no session."""
    refresh(issued, now=now)
    hint = _hint(issued, key=None, now=now + 10 * _SECOND, client=BROWSER)
    assert hint is not None
    assert "Idempotency-Key" in hint
    assert row_of(issued).revoked_at is not None


@pytest.mark.parametrize(
    ("key", "age", "client"),
    [
        ("k", 0, BROWSER),
        (None, 11, BROWSER),
        (None, 0, STRANGER),
        (None, 0, Client(ip_address=BROWSER.ip_address, user_agent="other")),
    ],
    ids=["with key", "late", "stranger", "other browser"],
)
def test_replay_that_looks_like_theft_gets_no_hint(
    issued: Issued, now: datetime, key: str | None, age: int, client: Client
) -> None:
    """A possible thief gets no explanation."""
    refresh(issued, now=now)
    assert _hint(issued, key=key, now=now + age * _SECOND, client=client) is None
