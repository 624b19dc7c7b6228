"""``manage.py list_keys``: show the ring's keys, their states and the next step for each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.management.timeline import age, known_timestamp, next_step, timestamp

_FORMATS: Final = ("table", "json")

#: If one of these is empty, it is unknown. An empty ``expires_at`` means that nothing is planned.
_UNKNOWN: Final = frozenset({"age", "created_at", "activates_at"})


class Command(JWTAuthCommand):
    help = "Lists the keys of the ring. Private keys are never shown."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", default="table", help=" or ".join(_FORMATS))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["format"] not in _FORMATS:
            raise CommandError(f"The format must be {' or '.join(_FORMATS)}.")
        rows = _rows(load_ring(get_key_store()), datetime.now(UTC))
        if options["format"] == "json":
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            self.stdout.write(_table(rows))


def _rows(ring: KeyRing, now: datetime) -> list[dict[str, str | None]]:
    rows = _timeline(ring, now)
    if any(key.signer is not None for key in ring.keys):
        for row, key in zip(rows, ring.keys, strict=True):
            signer = key.signer
            row["signer"] = None if signer is None else f"{signer.backend}: {signer.key}"
    return rows


def _timeline(ring: KeyRing, now: datetime) -> list[dict[str, str | None]]:
    return [
        {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "state": ring.state_of(key, now),
            "age": age(key, now),
            "created_at": known_timestamp(key.created_at),
            "activates_at": known_timestamp(key.activates_at),
            "expires_at": None if key.expires_at is None else timestamp(key.expires_at),
            "next_step": next_step(ring, key, now),
        }
        for key in ring.keys
    ]


def _table(rows: list[dict[str, str | None]]) -> str:
    lines = [list(rows[0]), *([_cell(*item) for item in row.items()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(column: str, value: str | None) -> str:
    return value or ("unknown" if column in _UNKNOWN else "-")
