"""A process with its copy of the ring, a key store that may fail or hang, and a clock.

Each step checks the promises of the cache, so that any order of steps is a test.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any, Final

import pytest
from pytest_django import Settings

from jwt_auth import signals
from jwt_auth.exceptions import KeyStoreError
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store
from tests.keys.reloading import Clock, finish_reloads, holds_in_child, knows, reloads
from tests.keys.stores import HELD, MemoryKeyStore

#: Seconds: the reload interval, the age at which a load is abandoned, the time between log records.
INTERVAL, ABANDONED, MINUTE = 60.0, 120.0, 60.0

#: The most loads at the same time.
MOST_LOADS: Final = 4

_LEEWAY: Final = timedelta(minutes=16)
_NAMES: Final = count()


@dataclass(eq=False)
class Load:
    """A call of the store's ``load()``."""

    started: float
    answer: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False
    has_ended: bool = False
    ring: KeyRing | None = None


class WillfulKeyStore(MemoryKeyStore):
    """A store that answers, fails or hangs as a test wants."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.clock = Clock()
        self.started_at = self.clock.time, datetime(2030, 1, 1, 12, tzinfo=UTC)
        self.hangs = False
        self.begun: list[Load] = []
        self.ended_at = 0.0

    def load(self) -> KeyRing:
        load = Load(self.clock.time)
        self.begun.append(load)
        try:
            if self.hangs:
                load.hangs = True
                assert load.answer.wait(HELD)
                load.hangs = False
            load.ring = super().load()
            return load.ring
        finally:
            if load is self.begun[-1]:
                self.ended_at = self.clock.time
            load.has_ended = True

    def now(self, zone: object = None) -> datetime:
        """The time of day."""
        seconds, time_of_day = self.started_at
        return time_of_day + timedelta(seconds=self.clock.time - seconds)

    def under_way(self) -> list[Load]:
        return [load for load in self.begun if not load.has_ended]

    def hanging(self) -> list[Load]:
        return [load for load in self.begun if load.hangs]


class World:
    """The steps, and the promises."""

    def __init__(self, ring: KeyRing, *, stamped: bool) -> None:
        store = get_key_store()
        assert isinstance(store, WillfulKeyStore)
        self.store, self.clock = store, store.clock
        self.store.stamped = stamped
        #: When unknown kids have started loads since the store's ring has changed, and whether it
        #: has changed since the last of these.
        self._guesses: list[float] = []
        self._has_new_stamp = False
        #: The rings that the store has had, and since when.
        self.rings: list[tuple[float, KeyRing]] = [(self.clock.time, ring)]
        #: Since when the store has answered all loads.
        self._well_since = self.clock.time
        #: Since when the store has had older rings, as far as the cache can know.
        self._older_since: float | None = None
        self._may_wait = True
        self.records: list[tuple[float, str]] = []
        self.events: list[tuple[str, str]] = []
        #: The promises that were broken in another thread.
        self.broken: list[str] = []
        self.ring = cache.get_ring()
        self._last = self.store.begun[-1]

    # ---- Steps

    def request(self) -> None:
        """A request gets a ring, and a recent one if the store is well."""
        idle = self.clock.time - self.store.ended_at
        self._may_wait = idle >= INTERVAL
        before, has_older = self.clock.time, self._older_since is not None
        ring = cache.get_ring()
        self._may_wait = True
        self._settle()
        if self._is_well(before) and not has_older:
            recent = [ring for until, ring in self._rings_until() if until >= before - INTERVAL]
            assert ring in recent, "the copy is too old"
        self.check()

    def ask_for_unknown_kid(self) -> None:
        """A request with an invented kid is refused, and starts few loads."""
        begun = len(self.store.begun)
        is_old = self.clock.time - self.store.ended_at >= INTERVAL / 2
        excused = int(is_old) + int(self.store.stamped and self._has_new_stamp)
        assert not knows("made up", self.store.now())
        self._settle()
        loads = self.store.begun[begun:]
        self._has_new_stamp = self._has_new_stamp and not loads
        self._guesses += [load.started for load in loads[excused:]]
        for one, other in zip(self._guesses, self._guesses[1:], strict=False):
            assert other - one >= 1, "unknown kids drive loads"

    def ask_for_new_kid(self) -> None:
        """A key that the store says it has is known immediately, if the store is well."""
        kid = self.rings[-1][1].keys[-1].kid
        is_well = self._is_well(self.clock.time) and self._older_since is None
        is_known = knows(kid, self.store.now())
        self._settle()
        assert is_known or not (is_well and self.store.stamped), "a new key is not known"

    def let_pass(self, seconds: float) -> None:
        self.clock.time += seconds

    def request_after(self, seconds: float) -> None:
        """Let time pass without a request, and then have one."""
        self.let_pass(seconds)
        self.request()

    def rotate(self, *, withdraws: bool = False) -> None:
        """Another process adds a key, and may withdraw the others."""
        ring = self.rings[-1][1]
        # A little later than any other key, even if no time has passed.
        now = self.store.now() + timedelta(microseconds=len(self.rings))
        following = ring.with_next_key(jwk.generate("EdDSA"), now, now, _LEEWAY)
        for key in ring.keys if withdraws or len(ring.keys) > 3 else ():
            following = following.without(key.kid)
        self._put(following)

    def set_back(self) -> None:
        """The store gives a ring that it had before, as a replica that lags."""
        older = [ring for _, ring in self.rings if ring.version < self.ring.version]
        if older:
            self._put(older[-1])
            if self._older_since is None:
                self._older_since = self.clock.time

    def come_back(self) -> None:
        """The replica has caught up."""
        newest = max((ring for _, ring in self.rings), key=lambda ring: ring.version)
        self._put(newest)

    def fail(self) -> None:
        self.store.failure, self.store.hangs = KeyStoreError("It is down."), False

    def hang(self) -> None:
        self.store.failure, self.store.hangs = None, True

    def recover(self) -> None:
        if self.store.failure or self.store.hangs:
            self._well_since = self.clock.time
        self.store.failure, self.store.hangs = None, False

    def let_go(self) -> None:
        """The load that has hung for longest comes back."""
        if hanging := self.store.hanging():
            hanging[0].answer.set()
            _wait_until(lambda: hanging[0].has_ended)
        self._settle()

    def fork(self) -> None:
        """A child has the copy, and loads from a store that it opens."""
        now = self.store.now()
        newest = max((ring for _, ring in self.rings), key=lambda ring: ring.version)
        child_ring = newest.with_next_key(jwk.generate("EdDSA"), now, now, _LEEWAY)

        def loads() -> bool:
            own = get_key_store()
            assert isinstance(own, WillfulKeyStore)
            own.ring = child_ring
            self.clock.time += INTERVAL + 1
            return cache.get_ring() == child_ring

        assert holds_in_child(loads), "a forked child does not load"

    def close(self) -> None:
        self.store.hangs = False
        for load in self.store.hanging():
            load.answer.set()
        finish_reloads()

    # ---- Promises

    def check(self) -> None:
        """Check what must hold at any moment."""
        assert not self.broken, self.broken
        under_way = self.store.under_way()
        assert len(under_way) <= MOST_LOADS, "hanging loads have too many threads"
        young = [load for load in under_way if self.clock.time - load.started <= ABANDONED]
        assert len(young) <= 1, "two loads are under way"
        self._check_records()
        for kid in {kid for _, kid in self.events}:
            # With an older ring, a key returns to its former state. That is another event.
            events = [event for event, of in self.events if of == kid]
            assert all(map(str.__ne__, events, events[1:])), "an event was sent twice"

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for a load as a request. If the load hangs, the clock moves instead."""
        _wait_until(lambda: event.is_set() or len(self.store.hanging()) == len(reloads()))
        if not event.is_set() and seconds > 0:
            if not self._may_wait:
                self.broken.append("a request waits for the store")
            self.clock.time += seconds
        return event.is_set()

    def _is_well(self, moment: float) -> bool:
        """Whether the store has answered for an interval, and all hanging loads are abandoned."""
        hanging = self.store.hanging()
        return (
            not (self.store.failure or self.store.hangs)
            and self._well_since <= moment - INTERVAL
            and len(hanging) < MOST_LOADS
            and all(moment - load.started > ABANDONED for load in hanging)
        )

    def _check_version(self, ring: KeyRing, former: KeyRing) -> None:
        if ring.version < former.version and ring.keys[-1].created_at <= former.keys[-1].created_at:
            since = self._older_since
            assert since is not None, "an older ring came from nowhere"
            assert self.clock.time - since >= INTERVAL, "an older ring was taken at once"

    def _check_records(self) -> None:
        failed_at = None
        for moment, text in self.records:
            if "again" in text:
                assert failed_at is not None, "a recovery was logged without a failure"
                failed_at = None
            elif "could not be reloaded" in text:
                assert failed_at is None or moment - failed_at >= MINUTE, "the log is flooded"
                failed_at = moment

    def _rings_until(self) -> Iterator[tuple[float, KeyRing]]:
        """The store's rings, and until when it had each."""
        ends = [*(since for since, _ in self.rings[1:]), float("inf")]
        yield from zip(ends, (ring for _, ring in self.rings), strict=True)

    def _put(self, ring: KeyRing) -> None:
        self.rings.append((self.clock.time, ring))
        self.store.ring = ring
        self._guesses, self._has_new_stamp = [], True

    def _settle(self) -> None:
        """Wait until each load has ended or hangs, and look at the copy."""
        _wait_until(lambda: len(self.store.hanging()) == len(reloads()))
        copy = cache._cache._copy
        assert copy is not None
        former, self.ring = self.ring, copy.loaded.ring
        self._check_version(self.ring, former)
        last = self.store.begun[-1]
        if last is not self._last and last.ring and last.ring.version >= former.version:
            self._older_since = None  # the cache has seen that it was a replica
        self._last = last


def _wait_until(condition: Any) -> None:
    end = time.monotonic() + HELD
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0005)


@contextmanager
def world_of(ring: KeyRing, settings: Settings, *, stamped: bool = True) -> Iterator[World]:
    """Open a world with a process that has loaded its ring."""
    backend = f"{WillfulKeyStore.__module__}.{WillfulKeyStore.__name__}"
    settings.JWT_AUTH_KEY_STORE = {"BACKEND": backend, "OPTIONS": {"name": str(next(_NAMES))}}
    store = get_key_store()
    assert isinstance(store, WillfulKeyStore)
    world: World | None = None

    class Waiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert world is not None
            assert timeout is not None
            return world.wait(self, timeout)

    class Records(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if world is not None:
                world.records.append((world.clock.time, record.getMessage()))

    def receive(*, event: str, kid: str | None, **rest: Any) -> None:
        if world is not None and kid is not None:
            world.events.append((event, kid))

    records = Records()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cache, "monotonic", store.clock)
        patched.setattr(cache, "Event", Waiting)
        patched.setattr(cache, "datetime", SimpleNamespace(now=store.now))
        signals.key_event.connect(receive)
        logging.getLogger("jwt_auth").addHandler(records)
        store.ring = ring
        cache.reset()
        world = World(ring, stamped=stamped)
        try:
            yield world
        finally:
            world.close()
            signals.key_event.disconnect(receive)
            logging.getLogger("jwt_auth").removeHandler(records)
    cache.reset()
