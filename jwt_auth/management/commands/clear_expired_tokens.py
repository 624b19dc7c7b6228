"""``manage.py clear_expired_tokens``: delete what can no longer matter, in small transactions
beside the traffic.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from jwt_auth.conf import MAX_ACCESS_TOKEN_LIFETIME
from jwt_auth.management.database import requires_tables
from jwt_auth.models import RefreshTokenFamily, RevokedToken, latest_past


class Command(BaseCommand):
    help = "Deletes sessions and denials that can no longer matter to any token."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch-size", type=int, default=1000, metavar="N", help="rows a statement (1000)"
        )

    @requires_tables
    def handle(self, *args: Any, **options: Any) -> None:
        size = options["batch_size"]
        if size < 1:
            raise CommandError("--batch-size must be 1 or more.")
        past = latest_past(datetime.now(UTC))
        # A session's row outlives every access token of it: one whose row is gone counts as ended.
        ended_before = past - MAX_ACCESS_TOKEN_LIFETIME
        self._clear("sessions", RefreshTokenFamily.objects.expired(ended_before), size)
        self._clear("denials", RevokedToken.objects.expired(past), size)

    def _clear(self, what: str, expired: QuerySet[Any], size: int) -> None:
        deleted = 0
        # By primary key, a batch at a time: no long lock, and nothing lost when interrupted.
        while batch := list(expired.order_by().values_list("pk", flat=True)[:size]):
            deleted += expired.filter(pk__in=batch).delete()[0]
            self.stdout.write(f"{what}: {deleted} deleted so far")
        self.stdout.write(f"{what}: {deleted} deleted in all")
