"""Find out what is starting: a server, a management command, or another script.

The app's configuration asks, to decide whether to run the checks itself. The security log asks, to
record which process loaded or changed the keys.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from django.core.exceptions import ImproperlyConfigured

try:
    import pwd
except ImportError:
    # Windows lacks this module and others that the package needs. The app's configuration imports
    # this module first, so a start on Windows fails here.
    raise ImproperlyConfigured(
        "jwt_auth runs on Linux and macOS only: on Windows, develop in WSL or a container."
    ) from None

#: Modules from which a server calls ``django.setup()``, and the one from which a command does.
_SERVERS: Final = frozenset({"django.core.wsgi", "django.core.asgi"})
_COMMANDS: Final = "django.core.management"

#: A command's module is named after the command and is in this folder of an app.
_COMMAND_FOLDER: Final = ".management.commands."

#: The commands that make or change tables, Django's and django-tenants'.
MIGRATIONS: Final = frozenset({"migrate", "migrate_schemas"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process's id, the program that it runs, and the operating-system user that runs it."""

    pid: int
    #: The management command's name, ``"server"`` under WSGI or ASGI, otherwise the script's name.
    command: str
    system_user: str


_started_as: str | None = None


def entry_point() -> str:
    """Return what is starting: ``"server"``, ``"command"``, or ``"script"`` for anything else.

    Django runs system checks for management commands only, so a WSGI or ASGI server would start
    with settings that ``manage.py check`` refuses. Only the callers of ``django.setup()`` on the
    stack show whether a server or a command is starting.
    """
    global _started_as  # noqa: PLW0603
    _started_as = "script"
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if module in _SERVERS:
            _started_as = "server"
            break
        if module == _COMMANDS:
            _started_as = "command"
            break
        frame = frame.f_back
    return _started_as


def this_process() -> Process:
    """Describe this process, anew at each call.

    A forked process has another id, and a process may run a command with ``call_command()``.
    """
    return Process(pid=os.getpid(), command=_command(), system_user=_system_user())


def _command() -> str:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        package, found, name = str(frame.f_globals.get("__name__")).rpartition(_COMMAND_FOLDER)
        if found and package:
            return name
        frame = frame.f_back
    if _started_as == "server":
        return "server"
    if _started_as == "command" and len(sys.argv) > 1:
        return sys.argv[1]
    script = Path(sys.argv[0] if sys.argv else "")
    # `python -m celery` runs celery/__main__.py.
    return (script.parent.name if script.stem == "__main__" else script.name) or "python"


def _system_user() -> str:
    """Return the effective user, as the kernel knows it: a caller can set ``$USER`` to anything."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a user id that has no entry in its passwd file
        return f"uid {os.geteuid()}"
