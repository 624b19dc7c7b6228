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


def set_defaults() -> None:
    """Complete the environment before the settings load: they read it once."""
    if os.environ.setdefault("DJANGO_SETTINGS_MODULE", SETTINGS) != SETTINGS:
        return
    if any(argument.startswith("--settings") for argument in sys.argv):
        return
    if any(os.environ.get(name) for name in OF_A_DEPLOYMENT):
        return
    for name, value in DEMO_DEFAULTS.items():
        os.environ.setdefault(name, value)
    if sys.argv[1:2] not in SERVERS:
        # A command says itself what it has done. In production, its records belong in the log.
        os.environ.setdefault("LOG_LEVEL", "CRITICAL")


def main() -> None:
    """Choose the settings, then do what the command line says."""
    set_defaults()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"ImproperlyConfigured: {error}")


if __name__ == "__main__":
    main()
