"""Read settings from environment variables, with their types.

A variable that the example project itself reads must be right, or the start stops and says
which one is wrong. A `JWT_AUTH_…` variable is passed on as it is where it makes no sense, and
where its name is not known either: jwt_auth's own checks then name it, as they would in a
settings file.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured

PREFIX = "JWT_AUTH_"

#: Keys, which key stores read by themselves.
KEY_VARIABLES = frozenset({"JWT_AUTH_KEYS", "JWT_AUTH_KEY_ENCRYPTION_KEYS"})

DURATIONS = frozenset(
    {
        "JWT_AUTH_ACCESS_TOKEN_LIFETIME",
        "JWT_AUTH_REFRESH_TOKEN_LIFETIME",
        "JWT_AUTH_SESSION_LIFETIME",
        "JWT_AUTH_CLOCK_LEEWAY",
        "JWT_AUTH_REFRESH_RETRY_WINDOW",
        "JWT_AUTH_REFRESH_REUSE_LEEWAY",
        "JWT_AUTH_KEY_ROTATION_INTERVAL",
        "JWT_AUTH_KEY_PUBLISH_AHEAD",
        "JWT_AUTH_KEY_RELOAD_INTERVAL",
    }
)
FLAGS = frozenset({"JWT_AUTH_REFRESH_COOKIE_PARTITIONED", "JWT_AUTH_REFRESH_COOKIE_SECURE"})

_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False}


def jwt_auth_settings(environ: Mapping[str, str]) -> dict[str, object]:
    """Return every `JWT_AUTH_…` setting that the environment holds.

    Not the keys that key stores read from there: a secret is no setting.
    """
    return {
        name: _jwt_auth_value(name, text)
        for name, text in environ.items()
        if name.startswith(PREFIX) and name not in KEY_VARIABLES
    }


def flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return a yes or no: true, false, 1 or 0.

    Raises:
        ImproperlyConfigured: the variable says anything else. A typing error in DEBUG must not
            be taken for either answer.
    """
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    try:
        return _FLAG_WORDS[text]
    except KeyError:
        raise ImproperlyConfigured(f"{name} must be true, false, 1 or 0.") from None


def number(environ: Mapping[str, str], name: str, *, default: int) -> int:
    """Return a whole number, zero or more.

    Raises:
        ImproperlyConfigured: the variable holds something else.
    """
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number, zero or more.")
    return int(text)


def items(environ: Mapping[str, str], name: str) -> list[str]:
    """Return a list that is written with commas; empty where the variable is."""
    parts = (part.strip() for part in environ.get(name, "").split(","))
    return [part for part in parts if part]


def _jwt_auth_value(name: str, text: str) -> object:
    if name in DURATIONS:
        return _duration(text)
    if name in FLAGS:
        return _FLAG_WORDS.get(text.strip().lower(), text)
    return _json(text)


def _duration(text: str) -> timedelta | str:
    """Read seconds, or leave the text alone."""
    match _json(text):
        case bool():  # an int to Python, but no number of seconds to anybody
            return text
        case int() | float() as seconds:
            try:
                return timedelta(seconds=seconds)
            except (OverflowError, ValueError):
                return text
        case _:
            return text


def _json(text: str) -> object:
    """Read a list, dict, number, true, false or null; anything else is the text itself."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    # A quoted string keeps its quotation marks: nobody has to quote a string here, and
    # whoever did it by mistake should see them in the check's message.
    return text if isinstance(value, str) else value
