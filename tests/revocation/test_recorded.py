"""Every revocation reaches the deny feed, with the commit and not without it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from unittest.mock import Mock
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Reason, RecordedDenial, has_version_field
from jwt_auth.revocation import published as published_module
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of
from tests.revocation.feed import published, refusal_at_service, token_of
from tests.revocation.test_base import FLOWS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql, pytest.mark.user_model]

_QUERYSET = type(RecordedDenial.objects.all())

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _feed(settings: Settings) -> None:
    settings.JWT_AUTH_DENY_FEED = True


def _log_out(issued: Issued) -> None:
    flows.log_out(
        refresh_tokens=[issued.refresh_token.text],
        access_token=issued.access_token.text,
        client=BROWSER,
        now=datetime.now(UTC),
    )


def _log_out_everywhere(issued: Issued) -> None:
    flows.log_out_everywhere(issued.family.user_id, client=BROWSER, now=datetime.now(UTC))


def _revoke_access_tokens(issued: Issued) -> None:
    flows.revoke_access_tokens(issued.family.user_id, client=BROWSER, now=datetime.now(UTC))


def _change_password(issued: Issued) -> None:
    user = _user_of(issued)
    user.set_password("another horse")
    user.save()


def _deactivate(issued: Issued) -> None:
    user = _user_of(issued)
    user.is_active = False
    user.save(update_fields=["is_active"])


def _delete(issued: Issued) -> None:
    get_user_model()._default_manager.filter(pk=issued.family.user_id).delete()


def _reuse(issued: Issued) -> None:
    refresh(issued)
    with pytest.raises(RefreshTokenRefused):
        refresh(issued)


def _revoke_token(issued: Issued) -> None:
    call_command("revoke_tokens", jti=token_of(issued).jti, verbosity=0)


def _revoke_all(issued: Issued) -> None:
    call_command("revoke_tokens", "--all", verbosity=0)


def _user_of(issued: Issued) -> Any:
    return get_user_model()._default_manager.get(pk=issued.family.user_id)


EVENTS: dict[str, tuple[Callable[[Issued], None], Refusal]] = {
    "logout": (_log_out, Refusal.SESSION_ENDED),
    "logout everywhere": (_log_out_everywhere, Refusal.TOKEN_VERSION),
    "access tokens": (_revoke_access_tokens, Refusal.TOKEN_VERSION),
    "password": (_change_password, Refusal.TOKEN_VERSION),
    "deactivation": (_deactivate, Refusal.TOKEN_VERSION),
    "deletion": (_delete, Refusal.USER_UNKNOWN),
    "reuse": (_reuse, Refusal.SESSION_ENDED),
    "one token": (_revoke_token, Refusal.TOKEN_REVOKED),
    "everything": (_revoke_all, Refusal.SESSION_ENDED),
}


@pytest.mark.parametrize("event", EVENTS)
def test_revocation_is_told_to_services(
    user: AbstractBaseUser, make_user: MakeUser, event: str
) -> None:
    """A service refuses what the database refuses, and nobody else's token."""
    issued, other = log_in(user), log_in(make_user("bob"), now=datetime.now(UTC) + SECOND)
    assert refusal_at_service(issued) is None
    happen, refusal = EVENTS[event]
    happen(issued)
    assert refusal_of(issued) is not None
    assert refusal_at_service(issued) is refusal
    concerned = event == "everything"
    assert (refusal_at_service(other) is not None) is concerned


def test_sessions_that_go_on_are_not_told_to_services(user: AbstractBaseUser) -> None:
    """A service accepts the next access token of each, and refuses the former ones for good."""
    issued, other = log_in(user), log_in(user)
    _revoke_access_tokens(issued)
    for session in (issued, other):
        assert refusal_at_service(refresh(session)) is None
        assert refusal_at_service(session) is Refusal.TOKEN_VERSION


def test_repeated_logout_with_one_token_is_recorded_once(user: AbstractBaseUser) -> None:
    """Otherwise a client could fill the feed, and all users' tokens would be refused."""
    issued = log_in(user)
    for _ in range(3):
        _log_out(issued)
    assert RecordedDenial.objects.count() == 2  # the session and the token
    assert published().tokens == {token_of(issued).jti}
    assert not RecordedDenial.objects.filter(committed_at=None).exists()


@pytest.mark.parametrize("event", EVENTS)
def test_rollback_leaves_nothing_in_the_feed(user: AbstractBaseUser, event: str) -> None:
    """The record is written in the transaction of the revocation."""
    if event == "reuse":
        return  # a refresh refuses to run in a transaction
    issued = log_in(user)
    with transaction.atomic():
        EVENTS[event][0](issued)
        transaction.set_rollback(True)
    assert not RecordedDenial.objects.exists()
    assert refusal_at_service(issued) is refusal_of(issued) is None


@pytest.mark.parametrize("flow", FLOWS)
def test_feed_that_is_off_costs_nothing(
    user: AbstractBaseUser, settings: Settings, flow: str
) -> None:
    """Each revocation then has the statements that it had before there was a feed."""
    settings.JWT_AUTH_DENY_FEED = False
    issued = log_in(user)
    with CaptureQueriesContext(connection) as captured:
        FLOWS[flow][0](issued)
    text = " ".join(query["sql"] for query in captured.captured_queries)
    assert RecordedDenial._meta.db_table not in text
    assert flow != "session" or len(captured) == 2


def test_record_that_fails_takes_the_revocation_with_it(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller gets the error, and tries again: never one without the other."""
    issued = log_in(user)
    monkeypatch.setattr(_QUERYSET, "bulk_create", Mock(side_effect=DatabaseError))
    with pytest.raises(DatabaseError):
        _log_out(issued)
    assert refusal_of(issued) is None


def test_deadlock_of_the_record_is_retried(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revocation and its record are one transaction, which can be repeated as a whole."""
    issued = log_in(user)
    deadlock = OperationalError()
    deadlock.__cause__ = Exception(1213)
    write = mock.Mock(
        wraps=_QUERYSET.bulk_create, side_effect=[deadlock, mock.DEFAULT, mock.DEFAULT]
    )

    def write_at_the_second_attempt(queryset: Any, rows: Any, **options: Any) -> Any:
        return write(queryset, rows, **options)

    monkeypatch.setattr(_QUERYSET, "bulk_create", write_at_the_second_attempt)
    _log_out(issued)
    assert refusal_at_service(issued) is Refusal.SESSION_ENDED
    assert write.call_count == 3  # the session twice, and the token


def test_session_that_is_opened_after_a_change_goes_on(user: AbstractBaseUser) -> None:
    """Its tokens have the new version, and its refreshed ones, too."""
    former = log_in(user)
    issued = flows.change_password(
        user,
        old_password="correct horse battery staple",
        new_password="another horse",
        client=BROWSER,
        now=datetime.now(UTC),
    )
    assert refusal_at_service(former) is Refusal.TOKEN_VERSION
    assert refusal_at_service(issued) is refusal_at_service(refresh(issued)) is None


def test_surplus_session_is_told(user: AbstractBaseUser, settings: Settings) -> None:
    """The oldest one ends when another is opened."""
    settings.JWT_AUTH_MAX_SESSIONS_PER_USER = 1
    first, second = log_in(user), log_in(user)
    assert refusal_at_service(first) is Refusal.SESSION_ENDED
    assert refusal_at_service(second) is None


def test_end_of_everything_reaches_tokens_of_a_clock_that_is_ahead(user: AbstractBaseUser) -> None:
    """Another node has dated them after the revocation. Their sessions are named."""
    now = datetime.now(UTC)
    ahead, current = log_in(user, now=now + 40 * SECOND), log_in(user, now=now)
    flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now)
    assert refusal_at_service(ahead) is refusal_at_service(current) is Refusal.SESSION_ENDED


def test_client_that_logs_in_again_after_the_end_of_everything_gets_in(
    user: AbstractBaseUser,
) -> None:
    """Within the same second its token is refused; the next token isn't."""
    now = datetime.now(UTC).replace(microsecond=0)
    log_in(user, now=now - 5 * SECOND)
    flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now)
    again = log_in(user, now=now + SECOND / 2)
    assert refusal_at_service(again) is Refusal.SESSION_ENDED
    assert refusal_at_service(refresh(again, now=now + SECOND)) is None


@pytest.mark.parametrize(("ages", "named"), [([60, 100, 200], 2), ([200], 0)])
def test_sessions_that_were_not_in_use_are_not_named(
    user: AbstractBaseUser, ages: list[int], named: int
) -> None:
    """The end of everything would otherwise name every session that there is."""
    now = datetime.now(UTC)
    for age in ages:
        log_in(user, now=now - age * SECOND)
    flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=now)
    assert published().everyone == int(now.timestamp())
    assert len(published().sessions) == named


def test_user_is_named_as_tokens_name_them(user: AbstractBaseUser) -> None:
    """A project may end the sessions of a key that it has as text, in another spelling."""
    key: Any = str(user.pk)
    if isinstance(user.pk, UUID):
        key = key.upper()
    issued = log_in(user)
    flows.end_user_sessions(key, reason=Reason.LOGOUT, client=None, now=datetime.now(UTC))
    assert refusal_at_service(issued) is Refusal.TOKEN_VERSION


def test_unknown_user_is_refused(user: AbstractBaseUser) -> None:
    """As after raw SQL that has deleted the user."""
    issued, user_id = log_in(user), user.pk
    user.delete()
    RecordedDenial.objects.all().delete()
    if not has_version_field(type(user)):
        return  # the version would be in a row that refers to the user
    flows.end_user_sessions(
        user_id, reason=Reason.ADMINISTRATOR, client=None, now=datetime.now(UTC)
    )
    assert refusal_at_service(issued) is Refusal.USER_UNKNOWN


# ---- How long a denial is told


def _deny_one(commit_age: timedelta | None) -> None:
    now = datetime.now(UTC)
    flows.deny_token("j", user_id=None, expires_at=now, now=now - DAY)
    date = None if commit_age is None else now - commit_age
    RecordedDenial.objects.update(committed_at=date)


@pytest.mark.parametrize("lifetime", [timedelta(minutes=15), timedelta(hours=4)])
def test_denial_is_told_until_its_tokens_have_expired(
    db: None, settings: Settings, lifetime: timedelta
) -> None:
    """From the commit on, however long before it the row was written."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = lifetime
    _deny_one(lifetime + timedelta(minutes=2))
    assert published().tokens == {"j"}
    assert published().lifetime == lifetime.total_seconds()
    RecordedDenial.objects.update(committed_at=datetime.now(UTC) - lifetime - timedelta(minutes=5))
    assert published().tokens == set()


def test_denial_of_a_process_that_died_is_told(db: None) -> None:
    """After its commit, before it could date it. It is told for longer than needed."""
    _deny_one(None)
    assert published().tokens == {"j"}


def test_commit_is_dated_after_it(user: AbstractBaseUser) -> None:
    """Until then, the session could be refreshed elsewhere."""
    with transaction.atomic():
        _log_out_everywhere(log_in(user))
        assert RecordedDenial.objects.get().committed_at is None
        before = datetime.now(UTC)
    committed_at = RecordedDenial.objects.get().committed_at
    assert committed_at is not None
    assert before <= committed_at <= datetime.now(UTC)


def test_failure_to_date_the_commit_fails_no_logout(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The revocation is committed, and told."""
    issued = log_in(user)
    monkeypatch.setattr(_QUERYSET, "update", Mock(side_effect=DatabaseError))
    _log_out(issued)
    assert "could not be dated" in caplog.text
    assert refusal_at_service(issued) is Refusal.SESSION_ENDED


def test_strictest_denial_of_a_user_counts(user: AbstractBaseUser) -> None:
    """Of several, in any order."""
    issued = log_in(user)
    _log_out_everywhere(issued)
    _log_out_everywhere(issued)
    assert published().users == {str(issued.family.user_id): 2}
    _delete(issued)
    assert published().users == {str(issued.family.user_id): None}


# ---- The bound


@pytest.mark.parametrize("is_dated", [True, False])
def test_denials_beyond_the_bound_refuse_all_earlier_tokens(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch, is_dated: bool
) -> None:
    """The answer becomes stricter, never shorter. Sessions go on with their next token."""
    now = datetime.now(UTC)
    revoked, other = log_in(user, now=now), log_in(user, now=now)
    _log_out(revoked)
    assert refusal_at_service(other) is None
    monkeypatch.setattr(published_module, "MOST_DENIALS", 0)
    if not is_dated:
        RecordedDenial.objects.update(committed_at=None)
    assert refusal_at_service(revoked) is refusal_at_service(other) is Refusal.SESSION_ENDED
    later = refresh(other, now=now + timedelta(seconds=90))
    assert refusal_at_service(later) is None


def test_newest_denials_are_told_one_by_one(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earliest ones are summed up, so that they concern tokens that soon expire."""
    monkeypatch.setattr(published_module, "MOST_DENIALS", 2)
    now = datetime.now(UTC)
    for jti, age in (("c", 300), ("a", 100), ("b", 200)):
        flows.deny_token(jti, user_id=None, expires_at=now, now=now)
        RecordedDenial.objects.filter(value=jti).update(committed_at=now - age * SECOND)
    assert published().tokens == {"a", "b"}
    everyone = published().everyone
    assert everyone is not None
    assert 0 <= everyone - (now.timestamp() - 240) < 2
    assert conf.access_token_lifetime > 240 * SECOND
