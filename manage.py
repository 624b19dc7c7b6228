#!/usr/bin/env python
"""Run a management command of the example project.

In a fresh clone, a command runs with the demo's values and so on the demo's data. A server that
WSGI or ASGI starts has no such defaults.
"""

import os
import sys

try:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
except ModuleNotFoundError:
    sys.exit("This Python has no Django: run `make demo`, then `.venv/bin/python manage.py ...`.")

SETTINGS = "example_project.settings"
DEMO_DEFAULTS = {
    "DEBUG": "1",
    # The server of the demo runs in another process than `manage.py rotate_keys`: let it
    # see the new key after a second rather than a minute.
    "JWT_AUTH_KEY_RELOAD_INTERVAL": "1",
}
#: With one of them set, this is not the demo, which has DEBUG on, and users with a published
#: password. Without allowed hosts, Django then answers on loopback addresses only.
OF_A_DEPLOYMENT = ("SECRET_KEY", "DEBUG", "ALLOWED_HOSTS", "DATABASE_URL")
SERVERS = (["demo"], ["runserver"])


def set_defaults() -> bool:
    """Complete the environment before the settings load: they read it once.

    Returns:
        Whether a command, other than one that serves, runs on the demo's data.
    """
    if os.environ.setdefault("DJANGO_SETTINGS_MODULE", SETTINGS) != SETTINGS:
        return False
    if any(argument.startswith("--settings") for argument in sys.argv):
        return False
    if any(os.environ.get(name) for name in OF_A_DEPLOYMENT):
        return False
    for name, value in DEMO_DEFAULTS.items():
        os.environ.setdefault(name, value)
    if sys.argv[1:2] in SERVERS:
        return False
    # A command says itself what it has done. In production, its records belong in the log.
    os.environ.setdefault("LOG_LEVEL", "CRITICAL")
    return True


def main() -> None:
    """Choose the settings, then do what the command line says."""
    is_demo = set_defaults()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"ImproperlyConfigured: {error}")
    if is_demo:
        names = ", ".join(OF_A_DEPLOYMENT)
        sys.stderr.write(f"(With the demo's data: none of {names} is set.)\n")


if __name__ == "__main__":
    main()
