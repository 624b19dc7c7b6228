"""Every signal of the flows: its arguments as documented, and receivers that can't do harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.dispatch import Signal

from jwt_auth import flows, signals
from jwt_auth.exceptions import JWTAuthError, RefreshTokenRefused, Refusal
from jwt_auth.flows import Issued
from jwt_auth.models import Reason, RefreshTokenFamily
from jwt_auth.tokens.claims import AccessToken
from tests.flows.scene import BROWSER, STRANGER, log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db, pytest.mark.sql, pytest.mark.user_model, pytest.mark.smoke]

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@contextmanager
def _heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    heard: list[dict[str, Any]] = []

    def hear(sender: Any, signal: Signal, **named: Any) -> None:
        heard.append(named)

    signal.connect(hear)
    try:
        yield heard
    finally:
        signal.disconnect(hear)


def test_session_opened_tells_family_and_client(user: AbstractBaseUser) -> None:
    """A login is reported once."""
    with _heard(signals.session_opened) as heard:
        issued = log_in(user)
    assert heard == [{"family": issued.family, "client": BROWSER}]


def test_session_refreshed_tells_family_and_client(user: AbstractBaseUser) -> None:
    """A rotation is reported with the client that asked for it."""
    issued = log_in(user)
    with _heard(signals.session_refreshed) as heard:
        refresh(issued, client=STRANGER)
    assert heard == [{"family": issued.family, "client": STRANGER}]


def test_refresh_retried_tells_whether_it_came_too_late(user: AbstractBaseUser) -> None:
    """A retry that is answered and one that isn't are distinguished; neither is a refresh."""
    issued = log_in(user)
    successor = refresh(issued, key="k")
    with _heard(signals.refresh_retried) as heard, _heard(signals.session_refreshed) as refreshed:
        refresh(issued, key="k")
        assert refreshed == []
        refresh(successor)
        with suppress(JWTAuthError):
            refresh(issued, key="k")
    assert [told.pop("superseded") for told in heard] == [False, True]
    assert heard == [{"family": issued.family, "client": BROWSER}] * 2


def test_reuse_detected_tells_family_generation_and_hint(user: AbstractBaseUser) -> None:
    """A replay is reported with the generation of the token, after the end of the session."""
    issued = log_in(user)
    refresh(refresh(issued))
    with (
        _heard(signals.reuse_detected) as heard,
        _heard(signals.session_ended) as ended,
        suppress(RefreshTokenRefused),
    ):
        refresh(issued, client=STRANGER)
    expected = {"family": issued.family, "generation": 1, "client": STRANGER, "hint": None}
    assert heard == [expected]
    assert [told["reason"] for told in ended] == [Reason.REUSE_DETECTED]


def test_reuse_by_same_browser_tells_hint(user: AbstractBaseUser) -> None:
    """The log gets the likely cause, too."""
    issued, now = log_in(user), datetime.now(UTC)
    refresh(issued, now=now)
    with _heard(signals.reuse_detected) as heard, suppress(RefreshTokenRefused):
        refresh(issued, now=now)
    assert "Idempotency-Key" in heard[0]["hint"]


def test_forged_token_tells_client_only(user: AbstractBaseUser) -> None:
    """A forged token's content isn't reported. Refresh and logout report it in the same way."""
    with _heard(signals.refresh_token_forged) as heard:
        with suppress(RefreshTokenRefused):
            refresh("x" * 92)
        flows.log_out(refresh_tokens=["x"], access_token=None, client=STRANGER, now=NOW)
    assert heard == [{"client": BROWSER}, {"client": STRANGER}]


def _forget(issued: Issued) -> None:
    RefreshTokenFamily.objects.all().delete()


def _revoke(issued: Issued) -> None:
    RefreshTokenFamily.objects.end(reason=Reason.LOGOUT, ip_address=None, now=NOW)


def _expire(issued: Issued) -> None:
    RefreshTokenFamily.objects.update(expires_at=datetime.now(UTC))


def _deactivate(issued: Issued) -> None:
    type(issued.family.user)._default_manager.update(is_active=False)


def _bump(issued: Issued) -> None:
    RefreshTokenFamily.objects.update(token_version=7)


def _restore(issued: Issued) -> None:
    RefreshTokenFamily.objects.update(generation=0)


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (_forget, "unknown"),
        (_revoke, "revoked"),
        (_expire, "expired"),
        (_deactivate, "user_inactive"),
        (_bump, "token_version"),
        (_restore, "impossible"),
    ],
)
def test_refused_refresh_tells_reason(
    user: AbstractBaseUser, happen: Callable[[Issued], None], reason: str
) -> None:
    """The client gets one answer for all reasons; the log gets the reason."""
    issued = log_in(user)
    happen(issued)
    with _heard(signals.refresh_token_refused) as heard, pytest.raises(RefreshTokenRefused):
        refresh(issued)
    assert heard == [{"reason": reason, "session_id": issued.family.pk, "client": BROWSER}]


def test_session_ended_tells_user_sessions_and_reason(user: AbstractBaseUser) -> None:
    """One session, all sessions of a user, or all sessions."""
    first, second = log_in(user), log_in(user)
    ids = [first.family.pk, second.family.pk]
    with _heard(signals.session_ended) as heard:
        flows.end_session(ids[0], reason=Reason.ADMINISTRATOR, client=None, now=NOW)
        flows.log_out_everywhere(user.pk, client=BROWSER, now=NOW)
        flows.end_all_sessions(reason=Reason.KEY_COMPROMISE, client=None, now=NOW)
    told = [(one["user_id"], one["session_ids"], one["reason"], one["client"]) for one in heard]
    assert told == [
        (user.pk, ids[:1], Reason.ADMINISTRATOR, None),
        (user.pk, ids[1:], Reason.LOGOUT_ALL, BROWSER),
        (None, None, Reason.KEY_COMPROMISE, None),
    ]


def test_deleted_users_sessions_are_told(user: AbstractBaseUser) -> None:
    """Their rows are deleted, so the log is the only record of them."""
    issued, key = log_in(user), user.pk
    with _heard(signals.session_ended) as heard:
        user.delete()
    assert [(told["user_id"], told["session_ids"]) for told in heard] == [(key, [issued.family.pk])]


def test_denied_token_tells_id_and_user(user: AbstractBaseUser) -> None:
    """The token's ID, never the token."""
    with _heard(signals.token_denied) as heard:
        flows.deny_token("an id", user_id=user.pk, expires_at=NOW, now=NOW)
    assert heard == [{"jti": "an id", "user_id": user.pk}]


def test_revoked_access_tokens_tell_user_and_client(user: AbstractBaseUser) -> None:
    """No session has ended, so none is named."""
    log_in(user)
    with _heard(signals.access_tokens_revoked) as heard, _heard(signals.session_ended) as ended:
        flows.revoke_access_tokens(user.pk, client=BROWSER, now=NOW)
    assert heard == [{"user_id": user.pk, "client": BROWSER}]
    assert ended == []


def test_refused_token_tells_token_where_it_is_ours(user: AbstractBaseUser) -> None:
    """An unverified token reports nothing from its content."""
    issued = log_in(user)
    _revoke(issued)
    with _heard(signals.token_refused) as heard:
        refusal_of(issued)
        refusal_of("a.b.c")
    ours, foreign = heard
    assert (ours["reason"], ours["client"]) == (Refusal.SESSION_ENDED, BROWSER)
    assert isinstance(ours["token"], AccessToken)
    assert (foreign["token"], foreign["client"]) == (None, BROWSER)
    assert isinstance(foreign["reason"], Refusal)


_ALL = [value for value in vars(signals).values() if isinstance(value, Signal)]


@pytest.fixture
def failing_receivers() -> Iterator[None]:
    """Raise an error at every signal."""

    def fail(sender: Any, **named: Any) -> None:
        raise RuntimeError("A receiver of the project's own is broken.")

    for signal in _ALL:
        signal.connect(fail)
    yield
    for signal in _ALL:
        signal.disconnect(fail)


@pytest.mark.usefixtures("failing_receivers")
def test_failing_receivers_change_nothing(user: AbstractBaseUser) -> None:
    """A receiver that raises undoes no revocation and breaks no response."""
    issued = log_in(user)
    successor = refresh(issued, key="k")
    assert refresh(issued, key="k").refresh_token == successor.refresh_token
    with pytest.raises(RefreshTokenRefused):
        refresh(issued, client=STRANGER)
    assert row_of(issued).revocation_reason == Reason.REUSE_DETECTED
    assert refusal_of(successor) is Refusal.SESSION_ENDED
    with pytest.raises(RefreshTokenRefused):
        refresh("forged")
    flows.log_out_everywhere(user.pk, client=BROWSER, now=NOW)
    assert refusal_of(successor) is Refusal.TOKEN_VERSION
