"""Messages by a task queue: ``django.tasks`` of Django 6, or its backport ``django-tasks``.

A task carries the kind and the arguments of a message. The token is made in the worker, so the
queue's storage never holds one.
"""

from __future__ import annotations

from functools import partial

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task  # type: ignore[no-redef]  # Django's own by another name

from jwt_auth.mail.delivery import deliver
from jwt_auth.mail.dispatch import after_commit
from jwt_auth.mail.tenants import current_schema, inside_schema


@task()
def deliver_message(kind: str, schema: str | None, arguments: dict[str, str]) -> None:
    """Compose and send one message, in the schema of the tenant whose request it came from.

    Raises:
        MailNotSent: the task fails. Its text holds neither the address nor the link.
    """
    with inside_schema(schema):
        deliver(kind, **arguments)


def enqueue(kind: str, **arguments: str) -> None:
    """Have a worker of the backend ``default`` of ``TASKS`` send the message, after the commit."""
    after_commit(partial(_enqueue, kind, current_schema(), arguments))


def _enqueue(kind: str, schema: str | None, arguments: dict[str, str]) -> None:
    deliver_message.enqueue(kind, schema, arguments)
