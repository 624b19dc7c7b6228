"""Key stores and revocation backends that a project might name by mistake."""

from __future__ import annotations

from django.core.checks import CheckMessage, Warning  # noqa: A004  the framework's own name

from jwt_auth.revocation.database import DatabaseRevocation


class Broken(DatabaseRevocation):
    """Its constructor fails, and quotes an option."""

    def __init__(self, **options: str) -> None:
        raise RuntimeError(f"can't connect with {options}")


class Worried(DatabaseRevocation):
    """Has something to say of its settings, and of its server."""

    def check(self) -> list[CheckMessage]:
        return [Warning("Its cache is small.", hint="Write more.", id="example.W001")]

    def check_server(self) -> list[CheckMessage]:
        return [Warning("Its server is old.", hint="Write another.", id="example.W002")]
