"""Read settings from environment variables, with their types.

If a variable that the example project reads itself has an invalid value, the start stops and names
the variable. A `JWT_AUTH_…` variable with an unknown name or an unusable value is passed on
unchanged: jwt_auth's checks then report it, as they would for a settings file.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

import django
from django.core.exceptions import ImproperlyConfigured

PREFIX = "JWT_AUTH_"

#: Keys, which the key stores read from the environment themselves.
KEY_VARIABLES = frozenset({"JWT_AUTH_KEYS", "JWT_AUTH_KEY_ENCRYPTION_KEYS"})

DURATIONS = frozenset(
    {
        "JWT_AUTH_ACCESS_TOKEN_LIFETIME",
        "JWT_AUTH_REFRESH_TOKEN_LIFETIME",
        "JWT_AUTH_SESSION_LIFETIME",
        "JWT_AUTH_CLOCK_LEEWAY",
        "JWT_AUTH_REFRESH_RETRY_WINDOW",
        "JWT_AUTH_REFRESH_REUSE_LEEWAY",
        "JWT_AUTH_PASSWORD_RESET_LIFETIME",
        "JWT_AUTH_EMAIL_CONFIRMATION_LIFETIME",
        "JWT_AUTH_KEY_ROTATION_INTERVAL",
        "JWT_AUTH_KEY_PUBLISH_AHEAD",
        "JWT_AUTH_KEY_RELOAD_INTERVAL",
    }
)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FLAGS = frozenset({"JWT_AUTH_REFRESH_COOKIE_PARTITIONED", "JWT_AUTH_REFRESH_COOKIE_SECURE"})

_FLAG_WORDS = {"true": True, "1": True, "false": False, "0": False}


def jwt_auth_settings(environ: Mapping[str, str]) -> dict[str, object]:
    """Return every `JWT_AUTH_…` setting that the environment holds.

    Keys are left out: a secret doesn't belong in the settings.
    """
    return {
        name: _jwt_auth_value(name, text)
        for name, text in environ.items()
        if name.startswith(PREFIX) and name not in KEY_VARIABLES
    }


def mail_settings(environ: Mapping[str, str], *, printed_by: str | None) -> dict[str, object]:
    """Return the settings of the mail server, or of a backend that prints the mails.

    From Django 6.1 on, one setting replaces those whose names begin with `EMAIL_`.
    """
    smtp = {
        "host": environ.get("EMAIL_HOST") or "localhost",
        "port": number(environ, "EMAIL_PORT", default=25),
        "username": environ.get("EMAIL_HOST_USER", ""),
        "password": environ.get("EMAIL_HOST_PASSWORD", ""),
        "use_tls": flag(environ, "EMAIL_USE_TLS", default=False),
        "timeout": number(environ, "EMAIL_TIMEOUT", default=10),  # seconds
    }
    backend = printed_by or "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION >= (6, 1):
        mailer = {"BACKEND": backend, "OPTIONS": {} if printed_by else smtp}
        return {"MAILERS": {"default": mailer}}
    names = {"username": "HOST_USER", "password": "HOST_PASSWORD"}
    return {
        "EMAIL_BACKEND": backend,
        **{f"EMAIL_{names.get(name, name.upper())}": value for name, value in smtp.items()},
    }


def flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return a boolean, written as true, false, 1 or 0.

    Raises:
        ImproperlyConfigured: the variable has another value. A typing error in DEBUG must be taken
            neither for true nor for false.
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
        ImproperlyConfigured: the variable has another value.
    """
    text = environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number, zero or more.")
    return int(text)


def choice(environ: Mapping[str, str], name: str, *, among: Sequence[str], default: str) -> str:
    """Return one of several words, which may be written in lower case.

    Raises:
        ImproperlyConfigured: the variable has another value.
    """
    text = environ.get(name, "").strip().upper() or default
    if text not in among:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(among)}.")
    return text


def items(environ: Mapping[str, str], name: str) -> list[str]:
    """Return the items of a comma-separated list, which is empty if the variable is."""
    parts = (part.strip() for part in environ.get(name, "").split(","))
    return [part for part in parts if part]


def page_of(allowed_hosts: Sequence[str]) -> str:
    """Return the page's address at the first host, or at this machine without a particular host."""
    host = next(iter(allowed_hosts), "*")
    return "http://127.0.0.1:8000/" if host.startswith(("*", ".")) else f"https://{host}/"


def _jwt_auth_value(name: str, text: str) -> object:
    if name in DURATIONS:
        return _duration(text)
    if name in FLAGS:
        return _FLAG_WORDS.get(text.strip().lower(), text)
    return _json(text)


def _duration(text: str) -> timedelta | str:
    """Read a number of seconds, or return the text unchanged."""
    match _json(text):
        case bool():  # for Python, true is an int, too
            return text
        case int() | float() as seconds:
            try:
                return timedelta(seconds=seconds)
            except (OverflowError, ValueError):
                return text
        case _:
            return text


def _json(text: str) -> object:
    """Read a list, dict, number, true, false or null; return any other text unchanged."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    # A quoted string keeps its quotation marks. They aren't needed here, and a user who wrote them
    # by mistake should see them in the check's message.
    return text if isinstance(value, str) else value
