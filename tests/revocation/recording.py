"""A backend that records what the flows tell it, and what the database contained then."""

from __future__ import annotations

from typing import ClassVar

from jwt_auth.models import RefreshTokenFamily
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.database import DatabaseRevocation


class RecordingRevocation(DatabaseRevocation):
    """Records the step, the denial and the number of sessions that had ended by then."""

    notes: ClassVar[list[tuple[str, Denial, int]]] = []

    def deny(self, denial: Denial) -> None:
        self._note("deny", denial)

    def confirm(self, denial: Denial) -> None:
        self._note("confirm", denial)

    def _note(self, step: str, denial: Denial) -> None:
        ended = RefreshTokenFamily.objects.exclude(revoked_at=None).count()
        self.notes.append((step, denial, ended))
