"""Messages by a task queue: Django 6's own tasks, or the backport with Django 5.2."""

from __future__ import annotations

import json
from typing import Any

import django
import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from django.db import transaction
from pytest_django import Settings

from jwt_auth.mail.dispatch import dispatch
from tests.neighbours.packages import optional

if django.VERSION < (6,):
    optional("django_tasks")

from jwt_auth.mail import tasks

pytestmark = [pytest.mark.smoke, pytest.mark.sql, pytest.mark.usefixtures("links")]

ADDRESS = "alice@example.com"
PACKAGE = "django.tasks" if django.VERSION >= (6,) else "django_tasks"


@pytest.fixture
def queue(settings: Settings) -> Any:
    """A backend that stores tasks, for a test to look at."""
    settings.JWT_AUTH_MAIL_DISPATCHER = "jwt_auth.mail.tasks.enqueue"
    settings.TASKS = {"default": {"BACKEND": f"{PACKAGE}.backends.dummy.DummyBackend"}}
    backend: Any = tasks.deliver_message.get_backend()
    backend.clear()
    return backend


@pytest.mark.django_db(transaction=True)
def test_task_carries_no_token(queue: Any, user: AbstractBaseUser, tokens: list[str]) -> None:
    """The worker makes it: what the queue stores is the kind and the arguments, as JSON."""
    dispatch("password_reset", address=ADDRESS, language="en")
    (result,) = queue.results
    expected = ["password_reset", None, {"address": ADDRESS, "language": "en"}]
    assert json.loads(json.dumps(result.args)) == expected
    assert not tokens
    assert not mail.outbox
    result.task.call(*result.args)
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_task_waits_for_the_commit(queue: Any) -> None:
    """Otherwise the worker might look for a user whom it can't see yet."""
    with transaction.atomic():
        dispatch("email_confirmation", user_id="1", language="en")
        assert not queue.results
    assert len(queue.results) == 1


@pytest.mark.django_db(transaction=True)
def test_task_of_a_transaction_that_is_rolled_back_is_not_queued(queue: Any) -> None:
    """The user whom it is about doesn't exist."""
    with transaction.atomic():
        dispatch("email_confirmation", user_id="1", language="en")
        transaction.set_rollback(True)
    assert not queue.results
