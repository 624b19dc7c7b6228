"""The words that tests of checks are written in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage
from pytest_django import Settings

from jwt_auth.checks.settings import check_settings

PAGE = "https://django-jwt-sessions.readthedocs.io/en/stable/reference/checks.html"


def messages_of(settings: Settings, **changes: Any) -> list[CheckMessage]:
    """Change settings of this package, and give what the checks say of them all."""
    for name, value in changes.items():
        setattr(settings, f"JWT_AUTH_{name}", value)
    return check_settings(None)


def ids_of(messages: Iterable[CheckMessage]) -> list[str]:
    """Give their ids without the name of the app."""
    return [str(message.id).removeprefix("jwt_auth.") for message in messages]


def advice_of(message: CheckMessage) -> str:
    """Give a message's hint without its last line, the address of the documentation."""
    advice, separator, address = str(message.hint).partition("\n\tSEE: ")
    assert separator, f"{message.id} has no address"
    assert address == f"{PAGE}#{str(message.id).removeprefix('jwt_auth.').lower()}"
    return advice


def change_key(ring: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first key in a ring's file."""
    document = json.loads(ring.read_text())
    change(document["keys"][0])
    ring.write_text(json.dumps(document))
