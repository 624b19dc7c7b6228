"""``manage.py clear_expired_tokens``: delete sessions and denials that no token can need any more.

It deletes in small transactions, so that requests can go on while it runs.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from jwt_auth.conf import MAX_ACCESS_TOKEN_LIFETIME
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.models import RecordedDenial, RefreshTokenFamily, RevokedToken, UsedOneTimeToken
from jwt_auth.stored_times import latest_past

#: How long a transaction that revokes something is assumed to last at most.
_LONGEST_TRANSACTION: Final = timedelta(hours=24)


class Command(JWTAuthCommand):
    help = "Deletes expired sessions and denials that no token can need any more."
    needs_sessions = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch-size", type=int, default=1000, metavar="N", help="rows per statement (1000)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        size = options["batch_size"]
        if size < 1:
            raise CommandError("--batch-size must be 1 or more.")
        past = latest_past(datetime.now(UTC))
        # A session's row must outlive all its access tokens: without the row, the session counts as
        # ended and they are refused.
        ended_before = past - MAX_ACCESS_TOKEN_LIFETIME
        self._clear("sessions", RefreshTokenFamily.objects.expired(ended_before), size)
        self._clear("denials", RevokedToken.objects.expired(past), size)
        self._clear("used one-time tokens", UsedOneTimeToken.objects.expired(past), size)
        # Its tokens expire a lifetime after the commit, which may be long after the row was made.
        recorded_before = ended_before - _LONGEST_TRANSACTION
        self._clear("recorded denials", RecordedDenial.objects.expired(recorded_before), size)

    def _clear(self, what: str, expired: QuerySet[Any], size: int) -> None:
        deleted = 0
        # In batches, by primary key: no lock is held for long, and an interrupted run keeps its
        # progress.
        while batch := list(expired.order_by().values_list("pk", flat=True)[:size]):
            deleted += expired.filter(pk__in=batch).delete()[0]
            self.stdout.write(f"{what}: {deleted} deleted so far")
        self.stdout.write(f"{what}: {deleted} deleted in all")
