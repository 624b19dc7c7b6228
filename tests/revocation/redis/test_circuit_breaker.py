"""The circuit breaker: when it opens, what closes it, and what it survives."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from jwt_auth.revocation.redis import circuit_breaker as module
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from tests.keys.reloading import holds_in_child
from tests.revocation.redis.scene import Clock, probers, state_of

pytestmark = pytest.mark.redis

_ERROR = RedisConnectionError("no route")


class Probe:
    """A Redis that can be reached or not."""

    def __init__(self) -> None:
        self.is_up = False
        self.calls = 0
        self.then: Any = lambda: None

    def __call__(self) -> None:
        self.calls += 1
        self.then()
        if not self.is_up:
            raise _ERROR


@pytest.fixture
def probe() -> Probe:
    """A Redis that can't be reached."""
    return Probe()


@pytest.fixture
def circuit(probe: Probe, clock: Clock, nobody_probes: None) -> Circuit:
    """A circuit that only the test probes."""
    return Circuit(probe, distrust=60, authority="the database", clock=clock)


def test_failure_opens_and_distrust_precedes_closing(
    circuit: Circuit, probe: Probe, clock: Clock
) -> None:
    """It closes when every earlier hash has expired, and not a second sooner."""
    circuit.fail(_ERROR)
    circuit.tick()
    assert state_of(circuit) is State.OPEN
    probe.is_up = True
    for now, state in ((5, State.HALF_OPEN), (64.9, State.HALF_OPEN), (65, State.CLOSED)):
        clock.now = now
        circuit.tick()
        assert state_of(circuit) is state


def test_failure_in_between_starts_anew(circuit: Circuit, probe: Probe, clock: Clock) -> None:
    """The time begins when Redis became reachable for the last time."""
    probe.is_up = True
    circuit.fail(_ERROR)
    circuit.tick()
    clock.now = 59
    probe.is_up = False
    circuit.tick()
    assert state_of(circuit) is State.OPEN
    probe.is_up = True
    circuit.tick()
    clock.now = 118
    circuit.tick()
    assert state_of(circuit) is State.HALF_OPEN


def test_failure_during_the_last_probe_is_not_undone(
    circuit: Circuit, probe: Probe, clock: Clock
) -> None:
    """A request that fails while the probe works keeps the circuit from closing."""
    probe.is_up = True
    circuit.fail(_ERROR)
    circuit.tick()
    clock.now = 60
    probe.then = lambda: circuit.fail(_ERROR)
    circuit.tick()
    assert state_of(circuit) is State.HALF_OPEN


def test_probe_of_closed_circuit_changes_nothing(circuit: Circuit, probe: Probe) -> None:
    """A late thread does no harm."""
    probe.is_up = True
    circuit.tick()
    assert state_of(circuit) is State.CLOSED


def test_operator_is_told_once(
    circuit: Circuit, probe: Probe, clock: Clock, log: pytest.LogCaptureFixture
) -> None:
    """One line when it opens, with the reason, and one when it closes."""
    for _ in range(3):
        circuit.fail(_ERROR)
    probe.is_up = True
    circuit.tick()
    clock.now = 60
    circuit.tick()
    assert [record.levelname for record in log.records] == ["ERROR", "WARNING"]
    assert "no route" in log.messages[0]


@pytest.fixture
def watched(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> Circuit:
    """A circuit with a thread that probes quickly."""
    monkeypatch.setattr(module, "PROBE_INTERVAL", 0.005)
    return Circuit(probe, distrust=0, authority="the database")


def test_thread_closes_it(watched: Circuit, probe: Probe) -> None:
    """One thread at a time, which ends with the outage."""
    watched.fail(_ERROR)
    (thread,) = probers()
    watched.fail(_ERROR)
    assert probers() == [thread]
    probe.is_up = True
    thread.join()
    assert state_of(watched) is State.CLOSED


def test_next_failure_starts_another_thread(watched: Circuit, probe: Probe) -> None:
    """The thread of the last outage has ended."""
    probe.is_up = True
    for _ in range(2):
        watched.fail(_ERROR)
        (thread,) = probers()
        thread.join()
    assert probe.calls >= 4


def test_lack_of_threads_fails_no_request(
    watched: Circuit, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no thread can be started, the next request tries again."""

    class Exhausted(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(module, "Thread", Exhausted)
        watched.fail(_ERROR)
        assert probers() == []
    probe.is_up = True
    watched.watch()
    (thread,) = probers()
    thread.join()
    assert state_of(watched) is State.CLOSED


def test_forked_child_probes_by_itself(watched: Circuit, probe: Probe) -> None:
    """It has the state, but neither the thread nor the holder of the lock."""
    watched.fail(_ERROR)

    def close() -> bool:
        probe.is_up = True
        watched.watch()
        (thread,) = probers()
        thread.join()
        return state_of(watched) is State.CLOSED

    with watched._lock:
        assert holds_in_child(close)
    assert state_of(watched) is State.OPEN
    probe.is_up = True
    (thread,) = probers()
    thread.join()
