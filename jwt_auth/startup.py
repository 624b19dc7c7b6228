"""Which process this is, for the audit of who touched the keys."""

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
    # The first of what is missing on Windows; the app's configuration comes by here.
    raise ImproperlyConfigured(
        "jwt_auth runs on Linux and macOS. On Windows develop within WSL or a container."
    ) from None

#: Modules whose frames say what called ``django.setup()``.
_SERVERS: Final = frozenset({"django.core.wsgi", "django.core.asgi"})
_COMMANDS: Final = "django.core.management"

#: The command's module is called after it.
_COMMAND_FOLDER: Final = ".management.commands."


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process id, what it runs, and the operating-system user it runs as."""

    pid: int
    #: The management command's name, ``"server"`` under WSGI or ASGI, else the script's name.
    command: str
    system_user: str


_started_as: str | None = None


def entry_point() -> str:
    """What is starting: ``"server"``, ``"command"``, or ``"script"`` for anything else.

    Django runs system checks for management commands only, so a WSGI or ASGI server would start
    with settings that ``check`` refuses. Nothing but the callers of ``setup()`` tells the two
    apart.
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
    """Give this process as it is now; a fork has another id, a command may be run within it."""
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
    """Give the effective user, from the kernel: ``$USER`` says what whoever started it wrote."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container there may be none of that number
        return f"uid {os.geteuid()}"
