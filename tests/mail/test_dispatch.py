"""Dispatchers: what a request hands over, and what a thread of the process does with it."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Thread, current_thread
from typing import Any, NoReturn

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import connection, connections, transaction
from pytest_django import Settings

from jwt_auth.mail import dispatch as dispatch_module
from jwt_auth.mail.background import BackgroundQueue
from jwt_auth.mail.dispatch import dispatch
from jwt_auth.mail.tenants import current_schema, inside_schema
from tests.mailbox import Mailbox

pytestmark = pytest.mark.sql

ADDRESS = "alice@example.com"
PATIENT = 60

_tenant: ContextVar[str] = ContextVar("tenant", default="none")


@pytest.fixture
def threaded(settings: Settings, prompt: None) -> BackgroundQueue:
    """The default dispatcher."""
    settings.JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.dispatch.in_thread"
    return dispatch_module.queue


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Instead of sending: a query, the thread, its connection and its context."""
    seen: list[Any] = []

    def deliver(kind: str, **arguments: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        seen.append((current_thread(), connections["default"], _tenant.get()))

    monkeypatch.setattr(dispatch_module, "deliver", deliver)
    return seen


def fail(kind: str, **arguments: str) -> NoReturn:
    """A project's dispatcher that fails, and quotes the address."""
    raise LookupError(f"{arguments}")


@pytest.mark.django_db(transaction=True)
def test_thread_sends_the_message(
    threaded: BackgroundQueue, mailbox: Mailbox, user: AbstractBaseUser
) -> None:
    """To a user whom another connection has committed."""
    dispatch("password_reset", address=ADDRESS, language="en")
    assert threaded.flush(PATIENT)
    (sent,) = mailbox.mails
    assert sent.recipient == ADDRESS


@pytest.mark.django_db(transaction=True)
def test_thread_has_the_request_s_context_and_keeps_no_connection(
    threaded: BackgroundQueue, delivered: list[Any]
) -> None:
    """A router may look at the context. Nobody uses the connection until the next message."""
    _tenant.set("acme")
    dispatch("new_device", user_id="1", session_id="1")
    assert threaded.flush(PATIENT)
    ((thread, used, tenant),) = delivered
    assert thread is not current_thread()
    assert tenant == "acme"
    assert used is not connections["default"]
    assert used.connection is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_rolled_back", [False, True])
def test_message_waits_for_the_commit(
    threaded: BackgroundQueue, delivered: list[Any], is_rolled_back: bool
) -> None:
    """Before it, no other connection sees the user; after a rollback there is nobody to write."""
    with transaction.atomic():
        dispatch("email_confirmation", user_id="1")
        assert threaded.flush(PATIENT)
        assert not delivered
        transaction.set_rollback(is_rolled_back)
    assert threaded.flush(PATIENT)
    assert len(delivered) == (0 if is_rolled_back else 1)


def test_dispatcher_that_fails_costs_no_request_its_answer(
    settings: Settings, log: pytest.LogCaptureFixture
) -> None:
    """The log has the kind and the error's class, and not what the error says."""
    settings.JWT_AUTH_MAIL_DISPATCHER = f"{__name__}.fail"
    dispatch("password_reset", address=ADDRESS)
    assert log.messages == ["A message (password_reset) was not accepted: LookupError."]
    assert not any(record.exc_info for record in log.records)


def test_unknown_kind_is_logged(settings: Settings, log: pytest.LogCaptureFixture) -> None:
    """It is an error of the code that calls, and still no reason to fail a request."""
    dispatch("greeting", address=ADDRESS)
    assert log.messages == ["A message (greeting) could not be sent: KeyError."]


@pytest.mark.django_db(transaction=True)
def test_thread_survives_an_error_outside_of_the_message(
    threaded: BackgroundQueue, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a schema that is gone. The next message is sent."""
    monkeypatch.setattr(dispatch_module, "deliver", fail)
    dispatch("password_reset", address=ADDRESS)
    assert threaded.flush(PATIENT)
    assert log.messages == ["A message (password_reset) could not be sent: LookupError."]


@pytest.mark.django_db(transaction=True)
def test_message_that_finds_the_queue_full_is_dropped(
    threaded: BackgroundQueue, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log counts them."""
    full = BackgroundQueue(capacity=0, threads=1, name="jwt_auth-mail-test")
    monkeypatch.setattr(dispatch_module, "queue", full)
    for _ in range(2):
        dispatch("password_reset", address=ADDRESS)
    assert "has dropped 2 so far" in log.messages[-1]
    assert ADDRESS not in "".join(log.messages)


@pytest.mark.django_db(transaction=True)
def test_process_without_threads_drops_the_message(
    threaded: BackgroundQueue, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has reached the system's limit, for example."""

    def refuse(thread: Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    empty = BackgroundQueue(capacity=9, threads=1, name="jwt_auth-mail-test")
    monkeypatch.setattr(dispatch_module, "queue", empty)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        dispatch("password_reset", address=ADDRESS)
    assert "refuses to start a thread" in log.messages[-1]


def test_message_is_sent_in_the_schema_of_its_tenant(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection of a thread that has sent another tenant's message looks at this one's."""
    schemas = ["public"]
    monkeypatch.setattr(connection, "schema_name", "public", raising=False)

    def set_schema(name: str) -> None:
        schemas.append(name)

    monkeypatch.setattr(connection, "set_schema", set_schema, raising=False)
    assert current_schema() == "public"
    with inside_schema("acme"):
        assert schemas[-1] == "acme"
    assert schemas[-1] == "public"
