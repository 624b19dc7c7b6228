"""A key's age, as commands print it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.timeline import age


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "under a minute"),
        (timedelta(seconds=59), "under a minute"),
        (timedelta(seconds=60), "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=23, minutes=59), "23 hours"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=91, hours=5), "91 days"),
    ],
)
def test_age_is_in_the_largest_unit(
    ring: KeyRing, now: datetime, passed: timedelta, text: str
) -> None:
    """A clock that is behind the one that made the key counts no negative time."""
    (key,) = ring.keys
    assert age(key, now + passed) == text
