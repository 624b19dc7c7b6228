"""Hand a message over, so that the request doesn't wait for it.

A request that looked the user up, signed a token and talked to the mail server would take longer
for an address that has an account. A request that failed with the mail server would answer 500 for
such addresses only (CVE-2024-45231). So a request only names the message. Everything else happens
where the dispatcher of ``JWT_AUTH_MAIL_DISPATCHER`` takes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Final

from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.utils.module_loading import import_string
from django.views.decorators.debug import sensitive_variables

from jwt_auth.conf import conf
from jwt_auth.exceptions import MailNotSent
from jwt_auth.mail.background import BackgroundQueue, QueueFull
from jwt_auth.mail.delivery import deliver
from jwt_auth.mail.tenants import current_schema, inside_schema
from jwt_auth.models import write_database

logger: Final = logging.getLogger("jwt_auth")

#: Messages that wait for a thread. A message takes about 2 KB.
_CAPACITY: Final = 1000

#: Messages that are sent at the same time.
_THREADS: Final = 2

#: Where :func:`in_thread` puts messages.
queue: Final = BackgroundQueue(capacity=_CAPACITY, threads=_THREADS, name="jwt_auth-mail")


@sensitive_variables()
def dispatch(kind: str, **arguments: str) -> None:
    """Hand a message to the project's dispatcher.

    It never raises, and takes the same time whatever the arguments are. The arguments are those of
    the kind and ``language``; they are strings, so that a task queue can store them.
    """
    try:
        import_string(conf.mail_dispatcher)(kind, **arguments)
    except Exception as error:  # noqa: BLE001  a request must not fail because of a message
        # Neither the error's text nor a traceback: both may show the address or the token.
        logger.error("A message (%s) was not accepted: %s.", kind, type(error).__name__)


@sensitive_variables()
def in_thread(kind: str, **arguments: str) -> None:
    """Have a thread of this process send the message; the default.

    Inside a transaction, that is after its commit, and not at all if it is rolled back.
    """
    # The context holds what the project's router or JWT_AUTH_TENANT may look at.
    send = partial(copy_context().run, _send_quietly, current_schema(), kind, arguments)
    after_commit(partial(_put, kind, send))


@sensitive_variables()
def at_once(kind: str, **arguments: str) -> None:
    """Send the message before the request goes on: for tests, which look at ``mail.outbox``."""
    try:
        deliver(kind, **arguments)
    except MailNotSent as error:
        logger.error("%s", error)


def after_commit(function: Callable[[], None]) -> None:
    """Call it at once, or after the commit of the transaction that the users' database is in.

    Before the commit, another thread or process doesn't see a user that the transaction creates.
    """
    database = write_database(get_user_model())
    if connections[database].in_atomic_block:
        transaction.on_commit(function, using=database)
    else:
        function()


def _put(kind: str, send: partial[None]) -> None:
    try:
        queue.put(send)
    except QueueFull:
        logger.error(
            "A message (%s) was dropped, because %d others are waiting to be sent. This process "
            "has dropped %d so far.",
            kind,
            _CAPACITY,
            queue.dropped,
        )
    except RuntimeError:
        logger.error("A message (%s) was dropped: the system refuses to start a thread.", kind)


@sensitive_variables()
def _send_quietly(schema: str | None, kind: str, arguments: dict[str, str]) -> None:
    try:
        with inside_schema(schema):
            at_once(kind, **arguments)
    except Exception as error:  # noqa: BLE001  the thread goes on with the next message
        logger.error("A message (%s) could not be sent: %s.", kind, type(error).__name__)
    finally:
        # No request ends here, and closes them. The next message may come hours later.
        connections.close_all()
