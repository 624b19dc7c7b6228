"""Key stores and revocation backends that a project might name by mistake."""

from __future__ import annotations

from jwt_auth.revocation.database import DatabaseRevocation


class Broken(DatabaseRevocation):
    """Its constructor fails, and quotes an option."""

    def __init__(self, **options: str) -> None:
        raise RuntimeError(f"can't connect with {options}")
