"""The one form of a system check's message: an id, the problem, the line to write, and a link.

Every module that checks something uses it, the key stores and the Redis backend as well.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from django.core.checks import Error, Warning  # noqa: A004  the framework's own name

from jwt_auth.conf import DEFAULTS, PREFIX
from jwt_auth.documentation import address

#: A value for JWT_AUTH_KEY_STORE that works on every server.
FILE_STORE: Final = (
    '{"BACKEND": "jwt_auth.keys.stores.file.FileKeyStore", '
    '"OPTIONS": {"PATH": "/etc/example/keys"}}'
)

_UNITS: Final = ("days", "hours", "minutes", "seconds")


def error(number: str, message: str, hint: str) -> Error:
    return Error(message, hint=_with_link(hint, number), id=f"jwt_auth.{number}")


def warning(number: str, message: str, hint: str) -> Warning:
    return Warning(message, hint=_with_link(hint, number), id=f"jwt_auth.{number}")


def _with_link(hint: str, number: str) -> str:
    # Django prints the hint on a line that begins with a tab.
    return f"{hint}\n\tSEE: {address('reference/checks', number.lower())}"


def setting_error(number: str, setting: str, reason: str, value: str | None = None) -> Error:
    """Say what is wrong with a setting; its name and ``reason`` make one sentence."""
    return error(number, f"{PREFIX}{setting} {reason}", setting_line(setting, value))


def option_error(number: str, reason: str, options: str) -> Error:
    """Say what is wrong with an option of the key store, and which ``options`` to write instead."""
    hint = f"Write {options} in the OPTIONS of {PREFIX}KEY_STORE"
    return error(number, f"{PREFIX}KEY_STORE: {reason}.", hint)


def setting_line(setting: str, value: str | None = None) -> str:
    """Give the hint to write a setting, with a value in Python or with its default."""
    return f"Write {PREFIX}{setting} = {_in_python(DEFAULTS[setting]) if value is None else value}"


def _in_python(value: Any) -> str:
    if value == timedelta(0):
        return "timedelta(0)"
    if isinstance(value, timedelta):
        # The largest unit that gives a whole number.
        unit = next(unit for unit in _UNITS if not value % timedelta(**{unit: 1}))
        return f"timedelta({unit}={value // timedelta(**{unit: 1})})"
    # In double quotes, as the documentation writes it.
    return json.dumps(value) if isinstance(value, str | dict) else repr(value)
