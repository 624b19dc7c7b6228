"""The hook of logins from new devices: it notes whom it was called for."""

from typing import Any

#: The addresses of the users, in order.
noted: list[str] = []


def note(user: Any, session: Any) -> None:
    """Note the user's address, which says the tenant."""
    noted.append(user.email)
