"""The app's configuration. A wrong setting stops a server here, at its start, and not at its first
request.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from django.apps import AppConfig, apps
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
        from jwt_auth import checks, receivers, signals
        from jwt_auth.audit import log
        from jwt_auth.mail.logins import compare_login

        checks.register()
        receivers.connect_user_receivers()
        log.connect_security_log()
        signals.session_opened.connect(compare_login, dispatch_uid="jwt_auth.new_device")
        if apps.is_installed("drf_spectacular"):
            from jwt_auth import openapi  # noqa: F401  # registers how it describes the endpoints

        entry = startup.entry_point()
        if entry == "command":
            return  # commands run the checks themselves, unless --skip-checks is given

        def judge() -> list[CheckMessage]:
            with _queries_allowed():
                return checks.start_problems(serving=entry == "server")

        problems = _outside_event_loop(judge)
        if problems:
            raise ImproperlyConfigured(checks.explain(problems))


def _outside_event_loop(judge: Callable[[], list[CheckMessage]]) -> list[CheckMessage]:
    """Call it in a separate thread if an event loop runs in this one: there Django forbids queries.

    Some ASGI servers import the application inside their event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return judge()
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(judge).result()


@contextmanager
def _queries_allowed() -> Iterator[None]:
    """Let the key ring be read from the database, if JWT_AUTH_KEY_STORE keeps it there.

    Django warns of a query before all apps are ready, because every command would run it as well,
    and tests would run it on the wrong database. Only a server runs this one, and the models of
    this app are ready.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Accessing the database during app initialization", RuntimeWarning
        )
        yield
    for connection in connections.all(initialized_only=True):
        # A server may fork now, and two processes can't share a connection or a pool of them.
        connection.close()
        getattr(connection, "close_pool", _nothing)()


def _nothing() -> None:
    """Stand in for a method that only some database backends have."""
