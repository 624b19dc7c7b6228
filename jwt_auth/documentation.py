"""Addresses of the documentation, for messages that a developer or an operator reads."""

from __future__ import annotations

from typing import Final

ROOT: Final = "https://django-jwt-sessions.readthedocs.io/en/stable/"


def address(page: str, anchor: str) -> str:
    """Give the address of a place on a page, such as ``reference/errors`` and ``invalid-token``."""
    return f"{ROOT}{page}.html#{anchor}"
