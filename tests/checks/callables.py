"""Callables that a project may name in its settings, with various parameters."""

from __future__ import annotations

from functools import wraps
from typing import Any

VALUE = "correct horse battery staple"


def nothing() -> None:
    """Take no argument."""


def one(user: Any) -> None:
    """Take what most of them are given."""


def two(user: Any, session: Any) -> None:
    """Take what a hook is given."""


def anything(*args: Any, **arguments: Any) -> None:
    """Take what any of them is given."""


def claims_of_session(user: Any, *, session_claims: Any) -> None:
    """Take the claims of the session, too."""


def lifetimes(user: Any, *, remember_me: bool, client: Any) -> None:
    """Take what decides how long a session lasts."""


def lifetimes_of_staff(user: Any, is_staff: bool, *, remember_me: bool, client: Any) -> None:
    """Take more than that."""


def dispatch(kind: str, language: str, **arguments: str) -> None:
    """Take a message of any kind."""


def dispatch_addresses(kind: str, *, address: str, language: str) -> None:
    """Take one kind only."""


def _with_audit(function: Any) -> Any:
    @wraps(function)
    def one(user: Any) -> Any:
        return function(user, audit=print)

    return one


@_with_audit
def decorated(user: Any, *, audit: Any) -> None:
    """Take one more argument, which a decorator gives."""
