"""The events that a process sends about its copy: each load, and each key that changes state."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from unittest.mock import Mock

import pytest

from jwt_auth.exceptions import KeyRingTorn
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import Clock, told, use
from tests.keys.stores import MemoryKeyStore

SetTime = Callable[[Callable[..., datetime]], None]


@pytest.fixture
def waiting_ring(ring: KeyRing, now: datetime) -> KeyRing:
    """A ring whose second key signs in ten minutes; the first one expires in 27."""
    return ring.with_next_key(
        jwk.generate("ES256"), now, now + timedelta(minutes=10), timedelta(minutes=17)
    )


@pytest.fixture
def set_time(monkeypatch: pytest.MonkeyPatch) -> SetTime:
    """Replace the time of day of the copy."""
    return lambda tell: monkeypatch.setattr(cache, "datetime", Mock(now=tell))


def test_every_load_is_an_event(
    memory_store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Also one that is refused. One that brings the same ring is routine."""
    with told() as events:
        for memory_store.ring in (ring, ring, following):
            use(now)
            clock.time += 30
        memory_store.failure = KeyRingTorn()
        use(now)
    first, both = ring.keys[0].kid, [key.kid for key in following.keys]
    assert [(event["event"], event["kids"], event["routine"]) for event in events] == [
        ("loaded", [first], False),
        ("loaded", [first], True),
        ("loaded", both, False),
        ("refused", [], False),
    ]
    assert {event["store"] for event in events} == {"memory"}
    assert {event["process"].pid for event in events} == {os.getpid()}
    assert (events[-1]["operation"], events[-1]["reason"]) == ("load", "key_ring_torn")


def test_change_by_the_clock_is_an_event(
    memory_store: MemoryKeyStore,
    waiting_ring: KeyRing,
    clock: Clock,
    now: datetime,
    set_time: SetTime,
) -> None:
    """A key changes state without a command. Each serving process sends the event once.

    It does so at the next load, even if that fails.
    """
    memory_store.ring = waiting_ring
    former, waiting = (key.kid for key in waiting_ring.keys)
    sent: list[tuple[int, str, str]] = []
    with told() as events:
        for minutes in (0, 9, 10, 11, 26, 27, 28):
            moment = now + timedelta(minutes=minutes)
            set_time(Mock(return_value=moment))
            memory_store.failure = KeyRingTorn() if minutes in (10, 27) else None
            use(moment)
            sent += [(minutes, event["event"], event["kid"]) for event in events if event["kid"]]
            events.clear()
            clock.time += 30
    assert sent == [
        (10, "superseded", former),
        (10, "activated", waiting),
        (27, "expired", former),
    ]


def test_new_key_of_another_process_is_no_event(
    memory_store: MemoryKeyStore,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    set_time: SetTime,
) -> None:
    """The process that made the key has sent it. The key before it is superseded here, too."""
    set_time(Mock(return_value=now))
    with told() as events:
        for memory_store.ring in (ring, following):
            use(now)
            clock.time += 30
    assert [(event["event"], event["kid"]) for event in events if event["kid"]] == [
        ("superseded", ring.keys[0].kid)
    ]


def test_first_load_after_a_reset_sends_no_key_event(
    memory_store: MemoryKeyStore,
    waiting_ring: KeyRing,
    clock: Clock,
    now: datetime,
    set_time: SetTime,
) -> None:
    """As after a restart."""
    memory_store.ring = waiting_ring
    with told() as events:
        for minutes in (0, 10):
            set_time(Mock(return_value=now + timedelta(minutes=minutes)))
            cache.reset()
            for _ in range(2):
                use(now)
                clock.time += 30
    assert {event["event"] for event in events} == {"loaded"}
