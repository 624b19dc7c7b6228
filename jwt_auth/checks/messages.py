"""The form of all checks of settings: what and why, and the line to write."""

from __future__ import annotations

from django.core.checks import Error, Warning  # noqa: A004  the framework's own name


def error(number: str, setting: str, reason: str, line: str) -> Error:
    return Error(
        f"JWT_AUTH_{setting} {reason}",
        hint=f"Write JWT_AUTH_{setting} = {line}",
        id=f"jwt_auth.{number}",
    )


def warning(number: str, message: str, hint: str) -> Warning:
    return Warning(message, hint=hint, id=f"jwt_auth.{number}")
