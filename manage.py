#!/usr/bin/env python
"""Run a management command of the example project."""

import os
import sys

from django.core.management import execute_from_command_line

DEMO_DEFAULTS = {
    "DEBUG": "1",
    # The server of the demo runs in another process than `manage.py rotate_keys`: let it
    # see the new key after a second rather than a minute.
    "JWT_AUTH_KEY_RELOAD_INTERVAL": "1",
}


def main() -> None:
    """Choose the settings, then do what the command line says."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    if sys.argv[1:2] == ["demo"]:
        # Before the settings load: they read the environment once.
        for name, value in DEMO_DEFAULTS.items():
            os.environ.setdefault(name, value)
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
