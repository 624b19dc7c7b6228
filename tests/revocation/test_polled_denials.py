"""A process's copy of the deny feed: how old it may be, who waits for a new one, and when none is
good enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

import pytest

from jwt_auth.exceptions import RevocationUnknown
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from jwt_auth.revocation import polled_denials
from jwt_auth.revocation.denials import Denials
from jwt_auth.revocation.polled_denials import PolledDenials
from tests.keys.reloading import holds_in_child
from tests.live.waiting import wait_until

INTERVAL: Final = 5.0
STALENESS: Final = 60.0


class Issuer:
    """Gives denials, of which the number of the fetch is the time; or fails, or keeps waiting."""

    def __init__(self) -> None:
        self.fetches = self.answers = 0
        self.error: Exception | None = None
        self.lets_go = Event()
        self.lets_go.set()
        self.on_fetch: Callable[[], object] = lambda: None

    def fetch(self) -> Denials:
        self.fetches += 1
        number, error = self.fetches, self.error
        self.on_fetch()
        assert self.lets_go.wait(60)
        try:
            if error is not None:
                raise error
            return Denials(
                as_of=number, lifetime=900, users={}, sessions=frozenset(), tokens=frozenset()
            )
        finally:
            self.answers += 1


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(polled_denials, "monotonic", clock)
    # A slow machine may take its time; a test of an issuer that hangs waits for it in vain.
    monkeypatch.setattr(polled_denials, "PATIENCE", 60.0)
    monkeypatch.setattr(polled_denials, "FIRST_PATIENCE", 60.0)
    return clock


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.lets_go.set()
    wait_until(lambda: issuer.answers == issuer.fetches, "no fetch is under way")


@pytest.fixture
def polled(issuer: Issuer, clock: Clock) -> PolledDenials:
    return PolledDenials(issuer.fetch, interval=INTERVAL, max_staleness=STALENESS)


def _number(polled: PolledDenials) -> int | None:
    """The fetch that the copy is from; None if there is no copy that may be used."""
    try:
        return polled.get().as_of
    except RevocationUnknown:
        return None


def test_young_copy_is_used(polled: PolledDenials, issuer: Issuer, clock: Clock) -> None:
    """The first request waits for it; those of the next seconds cost nothing."""
    assert _number(polled) == 1
    clock.time += INTERVAL / 2 - 0.1
    assert (_number(polled), issuer.fetches) == (1, 1)


def test_fetch_in_the_background_delays_no_request(
    polled: PolledDenials, issuer: Issuer, clock: Clock
) -> None:
    """From half the interval on, a request starts it and goes on. There is one at a time."""
    polled.get()
    issuer.lets_go.clear()
    clock.time += INTERVAL / 2
    assert [_number(polled), _number(polled)] == [1, 1]
    issuer.lets_go.set()
    wait_until(lambda: _number(polled) == 2, "the new copy is in use")
    assert issuer.fetches == 2


def test_request_after_a_pause_waits(polled: PolledDenials, clock: Clock) -> None:
    """A process that was idle has missed what was revoked meanwhile."""
    polled.get()
    clock.time += INTERVAL
    assert _number(polled) == 2


def test_requests_share_one_fetch(polled: PolledDenials, issuer: Issuer) -> None:
    """However many come while there is no copy."""
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: _number(polled), range(40))) == {1}
    assert issuer.fetches == 1


def test_copy_is_as_old_as_the_question(
    polled: PolledDenials, issuer: Issuer, clock: Clock
) -> None:
    """The issuer may have read its database as soon as it was asked."""

    def take_long() -> None:
        clock.time += INTERVAL

    issuer.on_fetch = take_long
    assert _number(polled) == 1
    issuer.on_fetch = lambda: None
    assert _number(polled) == 2


def test_first_copy_is_waited_for_longer(
    polled: PolledDenials, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new process has nothing else. After a failure, its requests wait no longer than others."""
    monkeypatch.setattr(polled_denials, "PATIENCE", 0.0)
    issuer.error = RevocationUnknown("The deny feed is away.")
    assert _number(polled) is None
    issuer.lets_go.clear()
    clock.time += INTERVAL
    assert _number(polled) is None
    wait_until(lambda: issuer.fetches == 2, "another fetch was begun")
    issuer.lets_go.set()


def test_issuer_that_hangs_delays_a_request_for_a_short_while(
    polled: PolledDenials, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the former copy is used, until it is too old."""
    polled.get()
    monkeypatch.setattr(polled_denials, "PATIENCE", 0.01)
    issuer.lets_go.clear()
    clock.time += INTERVAL
    assert _number(polled) == 1
    clock.time += STALENESS
    assert _number(polled) is None


def test_fetch_that_does_not_end_is_left_alone(
    polled: PolledDenials, issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one takes its place, and a late result doesn't replace a newer one."""
    monkeypatch.setattr(polled_denials, "FIRST_PATIENCE", 0.01)
    first_goes, issuer.lets_go = Event(), Event()
    issuer.on_fetch = lambda: first_goes.wait(60) if issuer.fetches == 1 else None
    issuer.lets_go.set()
    assert _number(polled) is None
    clock.time += 14
    assert (_number(polled), issuer.fetches) == (None, 1)
    clock.time += 1
    wait_until(lambda: _number(polled) == 2, "the second fetch has brought a copy")
    first_goes.set()
    wait_until(lambda: issuer.answers == 2, "the first fetch has ended")
    assert _number(polled) == 2


# ---- While the issuer fails


@pytest.fixture
def _failing(polled: PolledDenials, issuer: Issuer) -> None:
    polled.get()
    issuer.error = RevocationUnknown("The deny feed is away.")


@pytest.mark.usefixtures("_failing")
def test_copy_is_used_until_it_is_too_old(
    polled: PolledDenials, issuer: Issuer, clock: Clock
) -> None:
    """Then nothing is accepted, until the issuer answers again."""
    clock.time += STALENESS - 0.1
    assert _number(polled) == 1
    clock.time += 0.2
    assert _number(polled) is None
    issuer.error = None
    clock.time += INTERVAL
    number = _number(polled)
    assert number == issuer.fetches


@pytest.mark.usefixtures("_failing")
def test_failing_issuer_is_asked_with_pauses(
    polled: PolledDenials, issuer: Issuer, clock: Clock
) -> None:
    """However many requests come, and with no copy as well."""
    clock.time += STALENESS
    assert [_number(polled) for _ in range(20)] == [None] * 20
    assert issuer.fetches == 2
    clock.time += INTERVAL / 2
    assert _number(polled) is None
    assert issuer.fetches == 3


@pytest.mark.usefixtures("_failing")
def test_failing_issuer_delays_no_request_that_has_a_copy(
    polled: PolledDenials, issuer: Issuer, clock: Clock
) -> None:
    """They would all wait in vain."""
    clock.time += INTERVAL
    assert _number(polled) == 1
    issuer.lets_go.clear()
    clock.time += INTERVAL
    assert _number(polled) == 1
    wait_until(lambda: issuer.fetches == 3, "another fetch was begun")


@pytest.mark.usefixtures("_failing")
def test_failure_is_logged_once_a_minute(
    polled: PolledDenials, clock: Clock, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """With what follows from it; and once that it has ended."""
    clock.time += INTERVAL
    _number(polled)
    wait_until(lambda: len(caplog.records) == 1, "it is in the log")
    for fetches in (3, 4):
        clock.time += INTERVAL
        wait_until(
            lambda fetches=fetches: _number(polled) and issuer.answers == fetches,  # type: ignore[misc]
            "the issuer was asked",
        )
    assert len(caplog.records) == 1
    clock.time += STALENESS
    _number(polled)
    wait_until(lambda: len(caplog.records) == 2, "it is in the log again")
    issuer.error = None
    clock.time += INTERVAL
    assert _number(polled) is not None
    wait_until(lambda: len(caplog.records) == 3, "the log says that it has ended")
    clock.time += INTERVAL
    assert _number(polled) is not None
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "ERROR",
            "The deny feed is away. The last answer is used until it is 60 seconds old.",
        ),
        ("ERROR", "The deny feed is away. Access tokens can't be accepted until it can."),
        ("WARNING", "The deny feed can be read again."),
    ]


def test_unexpected_error_is_no_answer(
    polled: PolledDenials, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text may quote a secret, so that only its type is logged."""
    issuer.error = LookupError("s3cret")
    assert _number(polled) is None
    wait_until(lambda: caplog.text, "it is in the log")
    assert "(LookupError)" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("error", [StillWaiting, RuntimeError])
def test_process_without_a_free_thread_accepts_nothing_for_long(
    polled: PolledDenials,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    """The copy is used as if the issuer didn't answer."""
    polled.get()

    def submit(*args: object) -> None:
        raise error

    monkeypatch.setattr(BoundedExecutor, "submit", submit)
    clock.time += INTERVAL
    assert _number(polled) == 1
    clock.time += STALENESS
    assert _number(polled) is None


def test_forked_child_fetches_by_itself(
    polled: PolledDenials, issuer: Issuer, clock: Clock
) -> None:
    """Its parent's fetch never ends there."""
    polled.get()
    clock.time += INTERVAL / 2
    issuer.lets_go.clear()
    polled.get()

    def fetches() -> bool:
        issuer.lets_go = Event()
        issuer.lets_go.set()
        clock.time += INTERVAL
        return _number(polled) != 1

    with polled._lock:
        assert holds_in_child(fetches)
