"""The words that tests of checks are written in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage
from pytest_django import Settings

from jwt_auth.checks.settings import check_settings


def messages_of(settings: Settings, **changes: Any) -> list[CheckMessage]:
    """Change settings of this package, and give what the checks say of them all."""
    for name, value in changes.items():
        setattr(settings, f"JWT_AUTH_{name}", value)
    return check_settings(None)


def ids_of(messages: Iterable[CheckMessage]) -> list[str]:
    """Give their ids without the name of the app."""
    return [str(message.id).removeprefix("jwt_auth.") for message in messages]


def change_key(ring: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the first key in a ring's file."""
    document = json.loads(ring.read_text())
    change(document["keys"][0])
    ring.write_text(json.dumps(document))
