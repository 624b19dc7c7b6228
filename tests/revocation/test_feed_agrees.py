"""The deny feed against the database: whatever happens at the issuer, both say the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from jwt_auth import flows
from jwt_auth.exceptions import RefreshTokenRefused, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Reason, RecordedDenial
from jwt_auth.revocation.denials import Denials
from jwt_auth.tokens.claims import AccessToken
from tests.conftest import MakeUser
from tests.flows.scene import BROWSER, log_in, refresh, refusal_of
from tests.live.length import LONG
from tests.revocation.feed import published, token_of

pytestmark = pytest.mark.django_db(transaction=True)

#: Between two events. Sessions that aren't used for some of them are not named after the end of
#: everything.
STEP = timedelta(seconds=20)

_PICK = st.integers(0, 5)
_REVOCATIONS = st.sampled_from(["session", "jti", "user", "access tokens"])
_names = count()


class Issuer(RuleBasedStateMachine):
    """Users who log in, refresh, and lose what they have, one event after the other."""

    make_user: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        RecordedDenial.objects.all().delete()  # of the former example, whose clock was ahead
        # In the past, so that a token of the present is valid by any clock.
        self.now = datetime.now(UTC) - timedelta(minutes=10)
        self.users = [type(self).make_user(f"user{next(_names)}") for _ in range(2)]
        self.sessions: list[Issued] = []
        self.tokens: list[Issued] = []
        for user in self.users:
            self._open(user)

    def _open(self, user: Any) -> None:
        issued = log_in(user, now=self.now)
        self.sessions.append(issued)
        self.tokens.append(issued)

    def _session(self, pick: int) -> Issued:
        return self.sessions[pick % len(self.sessions)]

    @rule(pick=_PICK)
    def log_in(self, pick: int) -> None:
        self.now += STEP
        user = get_user_model()._default_manager.filter(pk=self.users[pick % 2].pk).first()
        if user is not None and user.is_active:
            self._open(user)

    @rule(pick=_PICK)
    def refresh(self, pick: int) -> None:
        """Refresh, or replay: the same token may have been used before, which ends the session."""
        self.now += STEP
        try:
            issued = refresh(self._session(pick), now=self.now)
        except RefreshTokenRefused:
            return
        self.sessions[pick % len(self.sessions)] = issued
        self.tokens.append(issued)

    @rule(pick=_PICK)
    def replay(self, pick: int) -> None:
        self.now += STEP
        try:
            refresh(self.tokens[pick % len(self.tokens)], now=self.now)
        except RefreshTokenRefused:
            return

    @rule(pick=_PICK, is_committed=st.booleans(), what=_REVOCATIONS)
    def revoke(self, pick: int, is_committed: bool, what: str) -> None:
        """In a transaction that is committed or not."""
        self.now += STEP
        issued = self._session(pick)
        with transaction.atomic():
            self._revoke(issued, what)
            transaction.set_rollback(not is_committed)

    def _revoke(self, issued: Issued, what: str) -> None:
        owner, now = issued.family.user_id, self.now
        if what == "session":
            flows.end_session(issued.family.pk, reason=Reason.LOGOUT, client=BROWSER, now=now)
        elif what == "jti":
            token = token_of(issued)
            flows.deny_token(token.jti, user_id=owner, expires_at=token.expires_at, now=now)
        elif get_user_model()._default_manager.filter(pk=owner).exists():
            revoke = flows.log_out_everywhere if what == "user" else flows.revoke_access_tokens
            revoke(owner, client=BROWSER, now=now)

    @rule(pick=_PICK, what=st.sampled_from(["password", "deactivate", "reactivate", "delete"]))
    def change_user(self, pick: int, what: str) -> None:
        """As the admin does, by saving the user; deletions are rare enough to leave some."""
        self.now += STEP
        user = get_user_model()._default_manager.filter(pk=self.users[pick % 2].pk).first()
        if user is None:
            return
        if what == "delete":
            if pick == 0:
                user.delete()
            return
        if what == "password":
            user.set_password(f"another horse {pick}")
        else:
            user.is_active = what == "reactivate"
        user.save()

    @rule(rare=_PICK)
    def end_everything(self, rare: int) -> None:
        if rare % 2 == 0:
            self.now += STEP
            flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=self.now)

    @rule(pick=_PICK)
    def lose_the_time_of_a_commit(self, pick: int) -> None:
        """As a process that dies right after its commit does."""
        first = RecordedDenial.objects.first()
        if first is not None and pick == 0:
            RecordedDenial.objects.filter(pk=first.pk).update(committed_at=None)

    @invariant()
    def both_say_the_same(self) -> None:
        denials, now = published(), datetime.now(UTC)
        for issued in self.tokens:
            by_feed = denials.find_refusal(token_of(issued), now=now.timestamp())
            by_database = refusal_of(issued, now=now)
            assert (by_feed is None) is (by_database is None), (by_feed, by_database)


def _run(make_user: MakeUser, *, examples: int) -> None:
    machine = type("World", (Issuer,), {"make_user": staticmethod(make_user)})
    chosen = hypothesis_settings(
        max_examples=examples,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.fixture(autouse=True)
def _feed(settings: Settings) -> None:
    settings.JWT_AUTH_DENY_FEED = True


@pytest.mark.sql
@pytest.mark.user_model
def test_feed_and_database_agree(make_user: MakeUser) -> None:
    """About every token that was ever issued, after every event."""
    _run(make_user, examples=100 if LONG else 12)


@pytest.mark.parametrize(
    ("member", "nothing"),
    [("sessions", frozenset()), ("tokens", frozenset()), ("users", {}), ("everyone", None)],
)
def test_denial_that_is_left_out_is_noticed(
    make_user: MakeUser, monkeypatch: pytest.MonkeyPatch, member: str, nothing: Any
) -> None:
    """The comparison finds a difference if there is one, of each kind."""
    find_refusal = Denials.find_refusal

    def find_without(denials: Denials, token: AccessToken, *, now: float) -> Refusal | None:
        return find_refusal(replace(denials, **{member: nothing}), token, now=now)

    monkeypatch.setattr(Denials, "find_refusal", find_without)
    with pytest.raises(AssertionError):
        _run(make_user, examples=100)
