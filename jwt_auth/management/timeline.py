"""Put the key ring's timeline into words, for the key commands."""

from __future__ import annotations

from datetime import UTC, datetime

from jwt_auth.conf import conf
from jwt_auth.keys.ring import UNKNOWN_AGE, KeyRing, KeyState, RingKey


def timestamp(time: datetime) -> str:
    """Format a time as ISO 8601, in UTC and to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def known_timestamp(time: datetime) -> str | None:
    """Format a time of a key's life; ``None`` if the key's age is unknown."""
    return None if time == UNKNOWN_AGE else timestamp(time)


def age(key: RingKey, now: datetime) -> str | None:
    """Say how old the key is, in the largest unit that fits; ``None`` if that is unknown."""
    if key.created_at == UNKNOWN_AGE:
        return None
    seconds = max(0, int((now - key.created_at).total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if number := seconds // size:
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "under a minute"


def rotation_due(ring: KeyRing) -> datetime:
    """Return when ``rotate_keys --if-due`` will publish the next key."""
    return max(key.activates_at for key in ring.keys) + conf.key_rotation_interval


def next_step(ring: KeyRing, key: RingKey, now: datetime) -> str:
    """Say what happens to the key next: a change that comes by itself, or a command to run."""
    match ring.state_of(key, now):
        case KeyState.PUBLISHED:
            return f"signs from {timestamp(key.activates_at)}"
        case KeyState.SIGNING if (waiting := ring.find_waiting(now)) is not None:
            return f"only verifies from {timestamp(waiting.activates_at)}"
        case KeyState.SIGNING:
            return _rotation(key, rotation_due(ring), now)
        case KeyState.VERIFYING if key.expires_at is not None:
            return f"expires {timestamp(key.expires_at)}"
        case KeyState.VERIFYING:
            is_ours = not ring.is_verify_only
            return "gets its expiry at the next rotation" if is_ours else "see the issuer"
        case _:
            return "run `manage.py rotate_keys --retire`"


def _rotation(key: RingKey, due: datetime, now: datetime) -> str:
    if key.activates_at == UNKNOWN_AGE:
        return "its age is unknown: plan a rotation"
    if now < due:
        return f"rotation due {timestamp(due)}"
    return f"rotation was due {timestamp(due)}: run `manage.py rotate_keys`"
