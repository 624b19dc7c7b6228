"""Moments in the database: how they are stored, and when they are past on every node."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import models
from django.utils import timezone

from jwt_auth.conf import conf

#: The largest difference that is assumed between the clocks of two nodes.
_CLOCKS_APART: Final = timedelta(minutes=1)

#: When summer time ends, a part of the local time is repeated: at most two hours, anywhere.
_REPEATED: Final = timedelta(hours=2)


class InstantField(models.DateTimeField):  # type: ignore[type-arg]  # not at run time
    """A moment that is aware in Python, whatever ``USE_TZ`` is, so that it is the same everywhere.

    Without ``USE_TZ``, the database stores local time, as it does for Django's field. Migrations
    contain a plain ``DateTimeField``.
    """

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, datetime) and timezone.is_aware(value) and not settings.USE_TZ:
            value = timezone.make_naive(value, timezone.get_default_timezone())
        return super().get_prep_value(value)

    def from_db_value(
        self, value: datetime | None, expression: Any, connection: Any
    ) -> datetime | None:
        if value is None or timezone.is_aware(value):
            return value
        return timezone.make_aware(value, timezone.get_default_timezone())

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs


def latest_past(now: datetime) -> datetime:
    """The latest stored moment that is past on every node, if it is ``now`` on this one.

    Another node's clock may be slow, and that node accepts a token until the leeway has passed.
    Without ``USE_TZ``, a stored local time may occur twice, and is then read as the first of them.
    """
    repeated = timedelta(0) if settings.USE_TZ else _REPEATED
    return now - conf.clock_leeway - _CLOCKS_APART - repeated
