"""The ring's timeline, as commands print it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.management.timeline import age, next_step

DAY = timedelta(days=1)


@pytest.fixture
def now() -> datetime:
    return datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def ring(now: datetime) -> KeyRing:
    return KeyRing(version=0).with_next_key(jwk.generate("ES256"), now, now, DAY)


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


def test_next_step_of_a_key_past_its_interval_names_the_command(
    ring: KeyRing, now: datetime, settings: Settings
) -> None:
    """Nothing rotates by itself."""
    settings.JWT_AUTH_KEY_ROTATION_INTERVAL = timedelta(days=1)
    later = now + timedelta(days=2)
    step = next_step(ring, ring.signing_key(later), later)
    assert re.fullmatch(r"rotation was due \S+: run `manage.py rotate_keys`", step)


def test_next_step_of_a_key_without_an_expiry(ring: KeyRing, now: datetime) -> None:
    """A ring that was written by hand may have two such keys."""
    other = ring.with_next_key(jwk.generate("ES256"), now, now, DAY).keys[1]
    both = KeyRing(version=1, keys=(ring.keys[0], other))
    assert next_step(both, both.keys[0], now) == "gets its expiry at the next rotation"


def test_next_step_of_a_key_of_unknown_age_names_no_date(now: datetime) -> None:
    """Nor a command: the environment store can't be written. A next key has a date again."""
    ring = KeyRing.of_unknown_age(jwk.generate("ES256"))
    (key,) = ring.keys
    assert age(key, now) is None
    assert next_step(ring, key, now) == "its age is unknown: plan a rotation"
    ring = ring.with_next_key(jwk.generate("ES256"), now, now + DAY, DAY)
    assert next_step(ring, ring.keys[0], now) == "only verifies from 2030-01-02T00:00:00Z"
