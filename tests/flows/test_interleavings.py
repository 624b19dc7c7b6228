"""Refreshes whose steps are interleaved, and the reason for each rule of the rotation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_django import Settings

from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.flows import end_session, refreshing, rotation
from jwt_auth.flows.rotation import Verdict
from jwt_auth.models import Reason, RefreshTokenFamilyQuerySet
from tests.flows.machine import Rotation
from tests.live.length import LONG

pytestmark = pytest.mark.sql


@pytest.fixture(autouse=True)
def _lifetimes(settings: Settings) -> None:
    settings.JWT_AUTH_SESSION_LIFETIMES = "tests.flows.machine.lifetimes_for"


def _run(user: AbstractBaseUser, *, examples: int, **world: Any) -> None:
    machine = type("World", (Rotation,), {"user": user, **world})
    chosen = hypothesis_settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        database=None,
        derandomize=True,
        # Without shrinking: it is enough to notice that a rule is broken.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)


@pytest.mark.parametrize("with_thief", [False, True])
def test_any_interleaving_keeps_promises(user: AbstractBaseUser, with_thief: bool) -> None:
    """In every order of events the browser stays logged in and the thief is caught."""
    # The tests below notice each rule that is removed within thirty examples.
    _run(user, examples=500 if LONG else 50, with_thief=with_thief)


def _overwrite(families: RefreshTokenFamilyQuerySet, family: Any, **changes: Any) -> bool:
    return bool(families.filter(pk=family.pk).update(**changes))


def _lost_is_reused(family: Any, token: Any, *, now: datetime, **kwargs: Any) -> Any:
    successor = rotation.take(family, token, now=now, **kwargs)
    if successor is None:
        end_session(family.pk, reason=Reason.REUSE_DETECTED, client=None, now=now)
        raise RefreshTokenRefused
    return successor


def _superseded_is_reused(*args: Any, **kwargs: Any) -> Any:
    verdict = rotation.judge(*args, **kwargs)
    return Verdict.REUSED if verdict is Verdict.SUPERSEDED else verdict


def _any_key(family: Any, token: Any, **kwargs: Any) -> bool:
    return any(consumed == token.generation for consumed, _, _, *_ in family.recent_rotations)


def _by_the_settings(family: Any, *, now: datetime) -> datetime:
    end: datetime = family.absolute_expires_at
    return min(now + conf.refresh_token_lifetime, end)


def _longer_each_time(family: Any, *, now: datetime) -> datetime:
    expires_at: datetime = now + family.refresh_lifetime
    return expires_at


#: Each rule, and the code that replaces it when it is removed.
_WITHOUT: dict[str, tuple[Any, str, Any]] = {
    "compare_and_set": (RefreshTokenFamilyQuerySet, "rotate", _overwrite),
    "read_again": (refreshing, "take", _lost_is_reused),
    "retry_key": (rotation, "_is_honest_retry", lambda *args, **kwargs: False),
    "superseded_is_soft": (refreshing, "judge", _superseded_is_reused),
    "key_must_match": (rotation, "_is_honest_retry", _any_key),
    "own_lifetime": (rotation, "expiry", _by_the_settings),
    "end_stays": (rotation, "expiry", _longer_each_time),
}


@pytest.mark.parametrize("rule", _WITHOUT)
def test_rule_taken_out_is_noticed(
    user: AbstractBaseUser, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any one of the rules, an honest user is logged out or a thief isn't caught."""
    monkeypatch.setattr(*_WITHOUT[rule])
    with pytest.raises(AssertionError):
        _run(user, examples=1000, with_thief=rule == "key_must_match")


def test_client_that_forgets_key_on_reload_is_logged_out(user: AbstractBaseUser) -> None:
    """The browser has to cooperate: a retry with another key doesn't count as a retry."""
    with pytest.raises(AssertionError):
        _run(user, examples=1000, keeps_key_on_reload=False)
