"""List the sessions of a user."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from jwt_auth.models import RefreshTokenFamily


def list_sessions(user_id: Any, *, now: datetime) -> QuerySet[RefreshTokenFamily]:
    """List the user's live sessions, the most recently used one first."""
    return (
        RefreshTokenFamily.objects.deciding()
        .filter(user_id=user_id)
        .live(now)
        .order_by("-last_used_at", "pk")
    )
