"""Gather the denials that the issuer publishes: all that can concern a token that hasn't expired.

Each answer holds the whole of it, not what is new since the last one. A transaction that commits
late, a service that restarts and an answer that is lost therefore make no difference.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

from jwt_auth.conf import CLOCK_DIFFERENCE, conf
from jwt_auth.models import RecordedDenial
from jwt_auth.revocation.denials import Denials
from jwt_auth.stored_times import latest_past

#: How many recorded denials an answer can hold. If there are more, tokens from before the time of
#: the others are refused as a whole. Their sessions go on with the next access token.
MOST_DENIALS: Final = 50_000

#: A service's clock may be slow, and its leeway longer than the issuer's: a minute each.
_AT_SERVICES: Final = 2 * CLOCK_DIFFERENCE

Kind: Final = RecordedDenial.Kind


def find_denials(now: datetime) -> Denials:
    """Read what is denied from the database."""
    lifetime = timedelta(seconds=math.ceil(conf.access_token_lifetime.total_seconds()))
    recorded = RecordedDenial.objects.in_force(latest_past(now) - lifetime - _AT_SERVICES)
    rows = list(
        recorded.values_list("kind", "value", "token_version", "committed_at")[: MOST_DENIALS + 1]
    )
    everyone: list[int] = []
    users: dict[str, int | None] = {}
    sessions: set[str] = set()
    tokens: set[str] = set()
    for kind, value, version, _ in rows[:MOST_DENIALS]:
        match kind:
            case Kind.SESSIONS:
                sessions.update(value.split())
            case Kind.TOKEN:
                tokens.add(value)
            case Kind.USER:
                users[value] = _stricter(version, users.get(value, 0))
            case _:
                everyone.append(int(value))
    for *_, committed_at in rows[MOST_DENIALS:]:
        # No token that it denies was issued after the commit, by any node's clock.
        latest = (committed_at or now) + CLOCK_DIFFERENCE
        everyone.append(math.ceil(latest.timestamp()))
    return Denials(
        as_of=int(now.timestamp()),
        lifetime=int(lifetime.total_seconds()),
        everyone=max(everyone, default=None),
        users=users,
        sessions=frozenset(sessions),
        tokens=frozenset(tokens),
    )


def _stricter(version: int | None, other: int | None) -> int | None:
    return None if version is None or other is None else max(version, other)
