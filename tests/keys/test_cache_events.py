"""The events that a process sends about its copy: each load, and each key that changes state."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from unittest.mock import Mock

import pytest

from jwt_auth.exceptions import KeyRingTorn
from jwt_auth.keys import cache, jwk
from tests.keys.reloading import Process, told

SetTime = Callable[[int], None]


@pytest.fixture
def waiting(starting: Process) -> Process:
    """A process with a ring whose second key signs in ten minutes; the first expires in 27."""
    now = starting.now
    starting.store.ring = starting.ring.with_next_key(
        jwk.generate("ES256"), now, now + timedelta(minutes=10), timedelta(minutes=17)
    )
    return starting


@pytest.fixture
def set_time(starting: Process, monkeypatch: pytest.MonkeyPatch) -> SetTime:
    """Set the time of day, in minutes from the start."""
    start = starting.now

    def set_time(minutes: int) -> None:
        starting.now = start + timedelta(minutes=minutes)
        monkeypatch.setattr(cache, "datetime", Mock(now=Mock(return_value=starting.now)))

    return set_time


def test_every_load_is_an_event(starting: Process) -> None:
    """Also one that is refused. One that brings the same ring is routine."""
    store = starting.store
    with told() as events:
        for store.ring in (starting.ring, starting.ring, starting.following):
            starting.use()
            starting.let_pass(30)
        store.failure = KeyRingTorn()
        starting.use()
    assert [(event["event"], event["kids"], event["routine"]) for event in events] == [
        ("loaded", [starting.kid], False),
        ("loaded", [starting.kid], True),
        ("loaded", [starting.kid, starting.new_kid], False),
        ("refused", [], False),
    ]
    assert {event["store"] for event in events} == {"memory"}
    assert {event["process"].pid for event in events} == {os.getpid()}
    assert (events[-1]["operation"], events[-1]["reason"]) == ("load", "key_ring_torn")


def test_change_by_the_clock_is_an_event(waiting: Process, set_time: SetTime) -> None:
    """A key changes state without a command. Each serving process sends the event once.

    It does so at the next load, even if that fails.
    """
    assert waiting.store.ring is not None
    former, successor = (key.kid for key in waiting.store.ring.keys)
    sent: list[tuple[int, str, str]] = []
    with told() as events:
        for minutes in (0, 9, 10, 11, 26, 27, 28):
            set_time(minutes)
            waiting.store.failure = KeyRingTorn() if minutes in (10, 27) else None
            waiting.use()
            sent += [(minutes, event["event"], event["kid"]) for event in events if event["kid"]]
            events.clear()
            waiting.let_pass(30)
    assert sent == [
        (10, "superseded", former),
        (10, "activated", successor),
        (27, "expired", former),
    ]


def test_new_key_of_another_process_is_no_event(starting: Process, set_time: SetTime) -> None:
    """The process that made the key has sent it. The key before it is superseded here, too."""
    store = starting.store
    set_time(0)
    with told() as events:
        for store.ring in (starting.ring, starting.following):
            starting.use()
            starting.let_pass(30)
    assert [(event["event"], event["kid"]) for event in events if event["kid"]] == [
        ("superseded", starting.kid)
    ]


def test_first_load_after_a_reset_sends_no_key_event(waiting: Process, set_time: SetTime) -> None:
    """As after a restart."""
    with told() as events:
        for minutes in (0, 10):
            set_time(minutes)
            cache.reset()
            for _ in range(2):
                waiting.use()
                waiting.let_pass(30)
    assert {event["event"] for event in events} == {"loaded"}
