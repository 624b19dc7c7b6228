"""One one-time token used many times at once, over connections of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, transaction
from django.db.backends.signals import connection_created
from rest_framework.test import APIClient

from jwt_auth import flows
from jwt_auth.exceptions import NewPasswordRefused, OldPasswordRefused, OneTimeTokenRefused, Refusal
from jwt_auth.models import UsedOneTimeToken
from tests.concurrency.threads import at_once
from tests.flows.scene import BROWSER

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sql,
    pytest.mark.user_model,
]

_MANY = 8

_NEW = "a quite different horse"

#: The strictest level that each database has. SQLite has no other one than its own.
_STRICTEST = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
}

Send = Callable[[str, str, str], int]


def _by_view(path: str, token: str, new: str) -> int:
    body = {"token": token, "new_password": new}
    answer = APIClient().post(f"/api/auth/{path}", body, secure=True)
    if answer.status_code == 400:
        assert answer.json()["code"] == "invalid_token"
    return int(answer.status_code)


def _by_flow(path: str, token: str, new: str) -> int:
    try:
        if path == "email/confirm/":
            flows.confirm_address(token, now=datetime.now(UTC))
        else:
            flows.reset_password(token, new_password=new, now=datetime.now(UTC))
    except OneTimeTokenRefused:
        return 400
    return 204


@pytest.fixture
def send(is_by_flow: bool) -> Send:
    """Use a token, each of the ways there are."""
    return _by_flow if is_by_flow else _by_view


@pytest.fixture(params=["usual", "strictest"] if connection.vendor in _STRICTEST else ["usual"])
def isolation(request: pytest.FixtureRequest) -> Iterator[None]:
    """The isolation level of the connections that the threads open."""

    def isolate(connection: Any, **named: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_STRICTEST[connection.vendor])

    if request.param == "strictest":
        connection_created.connect(isolate)
    yield
    connection_created.disconnect(isolate)


def _issue(user: AbstractBaseUser, purpose: str) -> str:
    return flows.issue_one_time_token(
        user, purpose=purpose, lifetime=timedelta(hours=1), now=datetime.now(UTC)
    )


@pytest.mark.usefixtures("isolation")
def test_one_of_many_resets_succeeds(user: AbstractBaseUser, send: Send) -> None:
    """The others are told that the token is used, and the password is the winner's."""
    token = _issue(user, flows.PASSWORD_RESET)
    new = [f"{_NEW} {number}" for number in range(_MANY)]
    answers = at_once([partial(send, "password/reset/confirm/", token, each) for each in new])
    assert Counter(answers) == {204: 1, 400: _MANY - 1}
    stored = get_user_model()._default_manager.get(pk=user.pk)
    assert stored.check_password(new[answers.index(204)])
    assert UsedOneTimeToken.objects.count() == 1


@pytest.mark.usefixtures("isolation")
def test_one_of_many_confirmations_succeeds(user: AbstractBaseUser, send: Send) -> None:
    """Nothing but the row of the used token tells the second that it is the second."""
    token = _issue(user, flows.EMAIL_CONFIRMATION)
    answers = at_once([partial(send, "email/confirm/", token, "")] * _MANY)
    assert Counter(answers) == {204: 1, 400: _MANY - 1}
    assert flows.is_email_confirmed(user)


def test_use_that_is_rolled_back_leaves_the_token_to_the_one_that_waits(
    user: AbstractBaseUser,
) -> None:
    """The second request waits for the first one's row, and is refused only by a commit."""
    token = _issue(user, "invitation")
    inserted = Event()

    def fail(user: AbstractBaseUser) -> None:
        inserted.set()
        raise NewPasswordRefused([])

    def use(act: Callable[[AbstractBaseUser], None] | None) -> str:
        if act is None:
            inserted.wait()
        try:
            flows.use_one_time_token(token, purpose="invitation", now=datetime.now(UTC), act=act)
        except NewPasswordRefused:
            return "rolled back"
        return "used"

    assert at_once([partial(use, fail), partial(use, None)]) == ["rolled back", "used"]


def test_token_and_password_change_at_once_leave_one_password(
    user: AbstractBaseUser, password: str
) -> None:
    """If the change comes first, the token is dead, although it was good when it was verified."""
    token = _issue(user, flows.PASSWORD_RESET)

    def change() -> bool:
        fresh = get_user_model()._default_manager.get(pk=user.pk)
        try:
            flows.change_password(
                fresh,
                old_password=password,
                new_password="changed by its owner",
                client=BROWSER,
                now=datetime.now(UTC),
            )
        except OldPasswordRefused:
            return False
        return True

    def reset() -> bool:
        return _by_flow("password/reset/confirm/", token, _NEW) == 204

    is_changed, is_reset = at_once([change, reset])
    stored = get_user_model()._default_manager.get(pk=user.pk)
    assert is_changed or is_reset
    # If both have succeeded, the change was the later one.
    assert stored.check_password("changed by its owner" if is_changed else _NEW)
    assert UsedOneTimeToken.objects.exists() is is_reset


def test_change_between_verification_and_use_kills_the_token(
    user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is judged again under the lock of the transaction that uses it."""
    token = _issue(user, flows.PASSWORD_RESET)
    validate = flows.passwords._validate

    def change_meanwhile(new_password: str, verified: AbstractBaseUser) -> None:
        validate(new_password, verified)
        other = get_user_model()._default_manager.get(pk=user.pk)
        other.set_password("changed meanwhile")
        other.save()

    monkeypatch.setattr(flows.passwords, "_validate", change_meanwhile)
    with pytest.raises(OneTimeTokenRefused) as refused:
        flows.reset_password(token, new_password=_NEW, now=datetime.now(UTC))
    assert refused.value.reason == Refusal.TOKEN_VERSION
    stored = get_user_model()._default_manager.get(pk=user.pk)
    assert stored.check_password("changed meanwhile")


def test_transaction_of_the_caller_decides(user: AbstractBaseUser) -> None:
    """A rollback of what the caller does with it leaves the token unused, a commit does not."""
    token = _issue(user, "invitation")
    use = partial(flows.use_one_time_token, token, purpose="invitation", now=datetime.now(UTC))
    with transaction.atomic():
        use()
        transaction.set_rollback(True)
    with transaction.atomic():
        use()
        with pytest.raises(OneTimeTokenRefused):
            use()
        # The refusal has not broken the transaction.
        assert UsedOneTimeToken.objects.count() == 1
    with pytest.raises(OneTimeTokenRefused):
        use()
