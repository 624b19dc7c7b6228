"""Key stores for tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

from jwt_auth.exceptions import KeyRingConflict, KeyRingMissing
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore
from jwt_auth.keys.stores.database import DatabaseKeyStore
from jwt_auth.keys.stores.file import FileKeyStore

#: Seconds that a store is held at most: no test needs them, only one that fails.
HELD: Final = 30


class MemoryKeyStore(KeyStore):
    """Keeps a ring in memory, counts the loads, and fails when told to."""

    def __init__(self, name: str) -> None:
        self.name = name.strip()
        self.ring: KeyRing | None = None
        self.loads = 0
        self.stamped = True
        self.failure: Exception | None = None
        #: Rings that somebody else saves between our loads and our saves.
        self.intruders: list[KeyRing] = []
        self.asked, self.answer = Event(), Event()
        self.answer.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have the store hang, as one does that nobody can reach, until it may `answer`."""
        self.asked.clear()
        self.answer.clear()
        try:
            yield
        finally:
            self.answer.set()

    def load(self) -> KeyRing:
        self.loads += 1
        ring = self.ring
        self.asked.set()
        assert self.answer.wait(HELD)
        if self.failure is not None:
            raise self.failure
        if ring is None:
            raise KeyRingMissing
        return ring

    def save(self, ring: KeyRing, *, expected_version: int | None) -> None:
        if self.intruders:
            self.ring = self.intruders.pop(0)
        if (self.ring and self.ring.version) != expected_version:
            raise KeyRingConflict
        self.ring = ring

    def describe(self) -> str:
        return "memory"

    def stamp(self) -> object | None:
        # Not the ring's id, which a later one may get.
        return (self.ring,) if self.stamped else None


class Pausing(KeyStore):
    """Says on standard output that it has loaded the ring, and then waits for a line, once."""

    paused = False

    def load(self) -> KeyRing:
        ring = super().load()  # type: ignore[safe-super]  # of the store that it is mixed into
        if not Pausing.paused:
            Pausing.paused = True
            sys.stdout.write("loaded\n")
            sys.stdout.flush()
            sys.stdin.readline()
        return ring


class PausingKeyStore(Pausing, FileKeyStore): ...


class PausingDatabaseKeyStore(Pausing, DatabaseKeyStore): ...
