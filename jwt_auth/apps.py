"""The app, and the moment it starts: a wrong setting stops a server there, not at its first
request.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.apps import AppConfig
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.translation import gettext_lazy as _

from jwt_auth import startup


class JWTAuthConfig(AppConfig):
    name = "jwt_auth"
    verbose_name = _("JWT sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jwt_auth import checks, receivers
        from jwt_auth.audit import log

        checks.register()
        receivers.connect_user_receivers()
        log.connect_security_log()
        entry = startup.entry_point()
        if entry == "command":
            return  # commands run the checks by themselves, and can be told not to

        def judge() -> list[CheckMessage]:
            with _queries_allowed():
                return checks.start_problems(serving=entry == "server")

        problems = _outside_event_loop(judge)
        if problems:
            raise ImproperlyConfigured(checks.explain(problems))


def _outside_event_loop(judge: Callable[[], list[CheckMessage]]) -> list[CheckMessage]:
    """Call it in a thread of its own where an event loop runs, in which Django lets nobody query.

    Some ASGI servers import the application inside theirs.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return judge()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(judge).result()


@contextmanager
def _queries_allowed() -> Iterator[None]:
    """Let the key ring be read from the database, where the settings keep it there.

    Django warns of a query before all apps are ready, since it would also run for every command,
    and in tests on the wrong database. Here only a server comes by, and our models are ready.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Accessing the database during app initialization", RuntimeWarning
        )
        yield
    for connection in connections.all(initialized_only=True):
        # A server may fork now, and no two processes can share a connection, nor a pool of them.
        connection.close()
        getattr(connection, "close_pool", _nothing)()


def _nothing() -> None:
    """Stand in for what only some databases have."""
