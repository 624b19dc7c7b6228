"""A backend that notes what it is told, and what the database said at that moment."""

from __future__ import annotations

from typing import ClassVar

from jwt_auth.models import RefreshTokenFamily
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.database import DatabaseRevocation


class RecordingRevocation(DatabaseRevocation):
    """Notes the step, the denial and how many sessions were ended by then."""

    notes: ClassVar[list[tuple[str, Denial, int]]] = []

    def deny(self, denial: Denial) -> None:
        self._note("deny", denial)

    def confirm(self, denial: Denial) -> None:
        self._note("confirm", denial)

    def _note(self, step: str, denial: Denial) -> None:
        ended = RefreshTokenFamily.objects.exclude(revoked_at=None).count()
        self.notes.append((step, denial, ended))
