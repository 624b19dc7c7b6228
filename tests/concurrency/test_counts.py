"""Token versions, of which simultaneous writers must lose no count."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser

from jwt_auth import flows
from jwt_auth.models import TokenVersion, token_version_of
from tests.concurrency.threads import at_once
from tests.flows.scene import BROWSER, log_in

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sql,
    pytest.mark.user_model,
]

_AT_ONCE = 12


def _version(user: AbstractBaseUser) -> int:
    return token_version_of(get_user_model()._base_manager.get(pk=user.pk))


def test_first_bumps_at_once_lose_no_count(user: AbstractBaseUser) -> None:
    """Also where all of them find no row yet and make it."""
    at_once([partial(TokenVersion.objects.bump, user.pk)] * _AT_ONCE)
    assert _version(user) == _AT_ONCE


def _end_sessions(user: AbstractBaseUser) -> None:
    flows.log_out_everywhere(user.pk, client=BROWSER, now=datetime.now(UTC))


@pytest.mark.parametrize("bumped_before", [False, True])
def test_logouts_everywhere_at_once_all_count(user: AbstractBaseUser, bumped_before: bool) -> None:
    """Each is done, none deadlocks, and no count is lost inside their transactions."""
    log_in(user)
    if bumped_before:
        TokenVersion.objects.bump(user.pk)
    at_once([partial(_end_sessions, user)] * _AT_ONCE)
    assert _version(user) == _AT_ONCE + bumped_before
