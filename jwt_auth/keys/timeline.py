"""The ring's timeline in words, for the commands."""

from __future__ import annotations

from datetime import UTC, datetime

from jwt_auth.conf import conf
from jwt_auth.keys.ring import KeyRing, KeyState, RingKey


def timestamp(time: datetime) -> str:
    """ISO 8601, in UTC and to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def rotation_due(ring: KeyRing) -> datetime:
    """When ``rotate_keys --if-due`` will publish the next key."""
    return max(key.activates_at for key in ring.keys) + conf.key_rotation_interval


def next_step(ring: KeyRing, key: RingKey, now: datetime) -> str:
    """What happens to the key next, by itself or by whom."""
    match ring.state_of(key, now):
        case KeyState.PUBLISHED:
            return f"signs from {timestamp(key.activates_at)}"
        case KeyState.SIGNING:
            waiting = ring.find_waiting(now)
            if waiting is None:
                return f"rotation due {timestamp(rotation_due(ring))}"
            return f"only verifies from {timestamp(waiting.activates_at)}"
        case KeyState.VERIFYING if key.expires_at is not None:
            return f"expires {timestamp(key.expires_at)}"
        case KeyState.VERIFYING:
            return "gets its expiry at the next rotation"
        case _:
            return "run `manage.py rotate_keys --retire`"
