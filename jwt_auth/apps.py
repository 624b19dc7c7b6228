"""The app, and the moment it starts: a wrong setting stops a server there, not at its first
request.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

#: Modules whose frames say what called ``django.setup()``.
_SERVERS: Final = frozenset({"django.core.wsgi", "django.core.asgi"})
_COMMANDS: Final = "django.core.management"


class JWTAuthConfig(AppConfig):
    name = "jwt_auth"
    verbose_name = _("JWT sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from jwt_auth import checks, receivers
        from jwt_auth.audit import log

        checks.register()
        receivers.connect()
        log.connect()
        entry = _entry_point()
        if entry == "command":
            return  # commands run the checks by themselves, and can be told not to
        problems = checks.start_problems(serving=entry == "server")
        if problems:
            raise ImproperlyConfigured(checks.explain(problems))


def _entry_point() -> str:
    """What is starting: ``"server"``, ``"command"``, or ``"script"`` for anything else.

    Django runs system checks for management commands only, so a WSGI or ASGI server would start
    with settings that ``check`` refuses. Nothing but the callers of ``setup()`` tells the two
    apart.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module in _SERVERS:
            return "server"
        if module == _COMMANDS:
            return "command"
        frame = frame.f_back
    return "script"
