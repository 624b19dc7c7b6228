"""A revocation is committed before its 401: nothing that rolls a request back may undo it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connections, transaction
from rest_framework.test import APIClient
from rest_framework.views import set_rollback

from jwt_auth.conf import conf
from jwt_auth.exceptions import Refusal
from jwt_auth.models import Reason
from jwt_auth.signals import reuse_detected
from tests.flows.scene import log_in, refresh, refusal_of, row_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sql, pytest.mark.smoke]


def _roll_back(sender: Any, **named: Any) -> None:
    """Do what REST framework does for any error that comes later in the request."""
    set_rollback()


@pytest.fixture(autouse=True)
def _atomic_requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    reuse_detected.connect(_roll_back)
    yield
    reuse_detected.disconnect(_roll_back)


@pytest.mark.parametrize("mount", ["/api/auth/", "/api/mobile/auth/"])
def test_reuse_answered_401_has_ended_family(
    mount: str, user: AbstractBaseUser, api: APIClient
) -> None:
    """REST framework rolls a request back that it answers with an error; this stays."""
    issued = log_in(user)
    successor = refresh(issued)
    token = issued.refresh_token.text
    if "mobile" in mount:
        answer = api.post(f"{mount}refresh/", {"refresh_token": token}, format="json", secure=True)
    else:
        api.cookies[conf.refresh_cookie_name] = token
        answer = api.post(f"{mount}refresh/", secure=True)
    assert answer.status_code == 401
    assert row_of(issued).revocation_reason == Reason.REUSE_DETECTED
    assert refusal_of(successor) is Refusal.SESSION_ENDED


def test_refresh_in_a_transaction_is_refused_with_the_line_to_write(user: AbstractBaseUser) -> None:
    """A project's own view under ATOMIC_REQUESTS would roll the end of the session back."""
    issued = log_in(user)
    with (
        transaction.atomic(),
        pytest.raises(RuntimeError, match=r"@transaction\.non_atomic_requests "),
    ):
        refresh(issued)
    assert row_of(issued).generation == 1
    successor = refresh(issued)
    with transaction.atomic(), pytest.raises(RuntimeError):
        refresh(issued)
    assert refusal_of(successor) is None


@pytest.mark.django_db(transaction=False)
def test_refresh_in_a_transaction_of_a_test_case_is_run(user: AbstractBaseUser) -> None:
    """Django's own are passed over, and a block in them is refused all the same."""
    issued = refresh(log_in(user))
    with transaction.atomic(), pytest.raises(RuntimeError):
        refresh(issued)
