"""What every key store promises, whatever it keeps the ring in.

A store's test module says how to reach its storage and runs the contract by subclassing it::

    @pytest.fixture
    def storage() -> ExampleStorage:
        return ExampleStorage(…)


    class TestExampleKeyStore(KeyStoreContract): ...

Stores that can only be read run :class:`ReadOnlyContract`.
"""

from __future__ import annotations

import json
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from jwt_auth.checks.keys import check_keys
from jwt_auth.exceptions import (
    KeyFailure,
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTooNew,
    KeyRingTorn,
    KeyStoreError,
    KeyStoreReadOnly,
)
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore, load_ring, save_ring
from tests.keys.frames import shown_of
from tests.keys.life import life_on, live

#: Nothing that lies in the storage may be quoted.
MARK = "hunter2"

#: What a half-written document, an accident or another program leaves.
FOREIGN = [
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"hunter2",
    b'{"format": 1, "version": 3, "keys": [{"hunter2": ',
    b'{"format": 1, "version": 3, "keys": [{"jwk": {"d": "hunter2"}}]}',
    b'{"format": 1, "hunter2": true}',
    b'{"password": "hunter2"}',
    pytest.param(b'{"a":' * 10_000, id="nesting without end"),
]


class Storage(ABC):
    """Where the store under test keeps its ring, with what the tests do there behind its back."""

    #: Credentials, which no text of the store may hold.
    secrets: tuple[str, ...] = ()

    #: A part of what a store says of a storage that it can't reach (a regular expression).
    outage: str = "."

    @abstractmethod
    def open(self) -> KeyStore:
        """Make a store of this storage; each call gives one that shares nothing with the others."""

    @abstractmethod
    def put(self, content: bytes) -> None:
        """Write this in the ring's place, as it is or as near to it as the storage can hold it."""

    def put_ring(self, ring: KeyRing) -> None:
        """Write a ring into the empty storage."""
        self.open().save(ring, expected_version=None)

    @abstractmethod
    def empty(self) -> None:
        """Take away what lies in the ring's place."""

    @abstractmethod
    def unreachable(self) -> AbstractContextManager[None]:
        """Have the storage not answer, for stores that were opened before, too."""

    def end_thread(self) -> None:  # noqa: B027  most have nothing
        """Give back what a thread of the test has opened."""


class ReadingContract:
    """What holds for stores that can be written and for those that can't."""

    #: What the text about a missing ring, and about a torn one, says to do (regular expressions).
    if_missing: ClassVar[str] = r"run `manage\.py generate_keys`"
    if_torn: ClassVar[str] = r"backup.*`manage\.py generate_keys`"

    @pytest.fixture
    def store(self, storage: Storage) -> KeyStore:
        return storage.open()

    @pytest.fixture
    def saved(self, storage: Storage, ring: KeyRing) -> KeyStore:
        """A store with a ring in it, which another instance has put there."""
        storage.put_ring(ring)
        return storage.open()

    def test_ring_is_loaded_as_it_was_saved(self, saved: KeyStore, ring: KeyRing) -> None:
        """Keys, times and version, again and again."""
        assert [saved.load(), saved.load()] == [ring, ring]
        assert [key.jwk for key in saved.load().keys] == [key.jwk for key in ring.keys]

    def test_empty_storage_has_no_ring(self, store: KeyStore, storage: Storage) -> None:
        """The text says where it was looked for, and what to do."""
        with pytest.raises(KeyRingMissing, match=self.if_missing) as missing:
            store.load()
        assert store.describe() in str(missing.value)
        require_discreet(missing.value, storage)

    def test_ring_that_was_taken_away_is_missing(self, saved: KeyStore, storage: Storage) -> None:
        """No copy stays behind in the store."""
        storage.empty()
        with pytest.raises(KeyRingMissing, match=self.if_missing):
            saved.load()

    @pytest.mark.parametrize("content", FOREIGN)
    def test_foreign_content_is_named_and_not_quoted(
        self, saved: KeyStore, storage: Storage, content: bytes
    ) -> None:
        """A torn document, or somebody else's: the text says where it lies, and the way out."""
        storage.put(content)
        with pytest.raises(KeyRingTorn, match=self.if_torn) as torn:
            saved.load()
        assert not isinstance(torn.value, KeyRingTooNew)
        assert saved.describe() in str(torn.value)
        require_discreet(torn.value, storage)

    def test_ring_of_a_newer_version_is_not_to_be_thrown_away(
        self, saved: KeyStore, storage: Storage
    ) -> None:
        """It is whole: the text says to upgrade, and nothing of a new ring."""
        storage.put(b'{"format": 9, "version": 3, "keys": [], "hunter2": true}')
        with pytest.raises(KeyRingTooNew, match="upgrade jwt_auth") as too_new:
            saved.load()
        assert saved.describe() in str(too_new.value)
        assert "generate_keys" not in str(too_new.value)
        require_discreet(too_new.value, storage)

    def test_error_about_a_torn_ring_leads_to_no_private_key(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, following: KeyRing
    ) -> None:
        """An error report that shows variables is no way out for a ring, or for a single key, that
        can't be read.
        """
        key = json.dumps({**ring.keys[0].jwk, "alg": "RS256"})
        for content in (ring.to_json().replace('"version": 1', '"version": 0'), key):
            storage.put(content.encode())
            with pytest.raises(KeyRingTorn) as torn:
                load_ring(saved)
            require_nothing_shown(torn.value, storage, ring)
            with pytest.raises(KeyFailure) as refused:
                save_ring(saved, following, expected_version=None)
            require_nothing_shown(refused.value, storage, ring, following)

    def test_description_names_the_storage_and_no_secret(
        self, saved: KeyStore, storage: Storage, ring: KeyRing
    ) -> None:
        """One line for messages and events, the same from every instance; so with ``repr``."""
        assert storage.open().describe() == saved.describe()
        assert len(saved.describe().splitlines()) == 1
        saved.load()
        for text in (saved.describe(), repr(saved), str(saved)):
            assert_without_secrets(text, storage, ring)

    def test_stamp_changes_with_the_ring_or_is_none(
        self, saved: KeyStore, storage: Storage, following: KeyRing
    ) -> None:
        """And stays the same as long as the ring does."""
        before = saved.stamp()
        assert saved.stamp() == before
        storage.empty()
        storage.put_ring(following)
        assert before is None or saved.stamp() != before

    def test_stamp_of_an_empty_storage_is_no_error(self, store: KeyStore) -> None:
        """A request asks for it, and must not fail for it."""
        assert store.stamp() == store.stamp()


class KeyStoreContract(ReadingContract):
    """What holds for stores that can be written."""

    #: Saves at once, of which one may win.
    writers: ClassVar[int] = 8

    def test_first_ring_is_saved_once(
        self, store: KeyStore, storage: Storage, ring: KeyRing, following: KeyRing
    ) -> None:
        """Whatever its version, so that a ring can move here; the second one is refused."""
        ring = replace(ring, version=7)
        store.save(ring, expected_version=None)
        assert storage.open().load() == ring
        with pytest.raises(KeyRingExists) as exists:
            storage.open().save(following, expected_version=None)
        require_discreet(exists.value, storage, ring, following)
        assert store.load() == ring

    def test_save_replaces_the_version_that_was_expected(
        self, saved: KeyStore, storage: Storage, following: KeyRing
    ) -> None:
        """Every other instance sees the new ring at its next load."""
        other = storage.open()
        other.load()
        saved.save(following, expected_version=1)
        assert [saved.load(), other.load()] == [following, following]

    def test_save_over_another_version_is_a_conflict(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, following: KeyRing
    ) -> None:
        """Somebody was faster, and keeps the word."""
        saved.save(following, expected_version=1)
        for store in (saved, storage.open()):
            with pytest.raises(KeyRingConflict) as conflict:
                store.save(following, expected_version=1)
            require_discreet(conflict.value, storage, ring, following)
        assert saved.load() == following

    def test_save_over_a_ring_that_is_gone_is_a_conflict(
        self, saved: KeyStore, storage: Storage, following: KeyRing
    ) -> None:
        """Nothing is brought back."""
        storage.empty()
        with pytest.raises(KeyRingConflict):
            saved.save(following, expected_version=1)
        with pytest.raises(KeyRingMissing):
            saved.load()

    def test_ring_can_be_made_anew_where_one_was_taken_away(
        self, saved: KeyStore, storage: Storage, following: KeyRing
    ) -> None:
        """As the message about a torn ring says."""
        storage.empty()
        saved.save(following, expected_version=None)
        assert storage.open().load() == following

    def test_foreign_content_is_not_overwritten(
        self, saved: KeyStore, storage: Storage, following: KeyRing
    ) -> None:
        """A torn ring may be mended, and another program's data may matter."""
        storage.put(b'{"password": "hunter2"}')
        with pytest.raises(KeyFailure) as refused:
            saved.save(following, expected_version=None)
        require_discreet(refused.value, storage)
        with pytest.raises(KeyRingTorn):
            saved.load()

    def test_of_many_simultaneous_saves_one_wins(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, now: datetime
    ) -> None:
        """The comparison and the exchange are one step."""
        winner = self._winner(storage, [_next(ring, now) for _ in range(self.writers)], 1)
        assert saved.load() == winner

    def test_of_many_simultaneous_first_saves_one_wins(
        self, store: KeyStore, storage: Storage, now: datetime
    ) -> None:
        """Five nodes that are set up at once have one ring in the end."""
        rings = [_next(KeyRing(version=0), now) for _ in range(self.writers)]
        assert self._winner(storage, rings, None) == store.load()

    def _winner(self, storage: Storage, rings: list[KeyRing], expected: int | None) -> KeyRing:
        """Save all at once, each from a thread and a store of its own; give the one that won."""
        start = threading.Barrier(len(rings))

        def save(ring: KeyRing) -> type[KeyFailure] | None:
            try:
                store = storage.open()
                start.wait(30)
                store.save(ring, expected_version=expected)
            except KeyFailure as failure:
                return type(failure)
            finally:
                storage.end_thread()
            return None

        with ThreadPoolExecutor(len(rings)) as pool:
            outcomes = list(pool.map(save, rings))
        lost = KeyRingConflict if expected is not None else KeyRingExists
        assert Counter(outcomes) == {None: 1, lost: len(rings) - 1}
        return rings[outcomes.index(None)]

    def test_life_of_keys_is_told_without_a_secret(
        self, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By every command, and when the ring is torn or away: in no output, log record, signal,
        error, ``repr`` or key set there is a private member or a credential.
        """
        with life_on(storage.open, tmp_path) as life:
            live(life, tmp_path, monkeypatch)
            with storage.unreachable():
                life.run("list_keys")
                life.run("rotate_keys")
                life.said += map(repr, check_keys(None))
            said = len(life.said)
            storage.put(b'{"format": 1, "version": 3, "keys": [{"hunter2": ')
            del life.said[said:]  # the test's own client may say what it puts there
            life.run("list_keys")
            life.run("rotate_keys")
            life.said += map(repr, check_keys(None))
        assert ("refused", None) in life.events
        assert len(life.private) >= 8
        # Numbers only: a failing test would print the secret.
        assert life.revealed(MARK, *storage.secrets) == []

    def test_storage_that_is_away_is_a_store_error(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, following: KeyRing
    ) -> None:
        """With the reason; it is never taken for an empty one, and is used again once it is
        back.
        """
        with storage.unreachable():
            for attempt in (saved.load, lambda: saved.save(following, expected_version=1)):
                with pytest.raises(KeyStoreError, match=storage.outage) as away:
                    attempt()
                assert not isinstance(away.value, KeyRingMissing | KeyRingTorn)
                require_discreet(away.value, storage, ring, following)
        assert saved.load() == ring
        saved.save(following, expected_version=1)
        assert saved.load() == following

    def test_errors_of_a_save_lead_to_no_private_key(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, following: KeyRing
    ) -> None:
        """An error report that shows variables is no way out for the ring that was to be saved."""
        for expected in (None, 5):
            with pytest.raises(KeyFailure) as refused:
                save_ring(saved, following, expected_version=expected)
            require_nothing_shown(refused.value, storage, ring, following)
        with storage.unreachable():
            for attempt in (
                lambda: load_ring(saved),
                lambda: save_ring(saved, following, expected_version=1),
            ):
                with pytest.raises(KeyStoreError) as away:
                    attempt()
                require_nothing_shown(away.value, storage, ring, following)

    def test_first_save_to_a_storage_that_is_away_is_a_store_error(
        self, store: KeyStore, storage: Storage, ring: KeyRing
    ) -> None:
        """Nobody is told that a ring exists, or that one was made."""
        with (
            storage.unreachable(),
            pytest.raises(KeyStoreError, match=storage.outage) as away,
        ):
            store.save(ring, expected_version=None)
        require_discreet(away.value, storage, ring)
        with pytest.raises(KeyRingMissing):
            store.load()

    def test_stamp_of_a_storage_that_is_away_is_no_error(
        self, saved: KeyStore, storage: Storage
    ) -> None:
        """A request with an unknown kid asks for it, and must not fail for it."""
        with storage.unreachable():
            saved.stamp()


class ReadOnlyContract(ReadingContract):
    """What holds for stores that can only be read."""

    #: A part of the sentence that says where a ring is changed instead (a regular expression).
    instead: ClassVar[str]

    def test_save_is_refused_and_says_what_to_do(
        self, saved: KeyStore, storage: Storage, ring: KeyRing, following: KeyRing
    ) -> None:
        """Also where there is no ring yet; nothing is changed."""
        for expected in (1, None):
            with pytest.raises(KeyStoreReadOnly, match=self.instead) as refused:
                saved.save(following, expected_version=expected)
            require_discreet(refused.value, storage, ring, following)
        assert saved.load() == ring


def require_discreet(failure: KeyFailure, storage: Storage, *rings: KeyRing) -> None:
    """Fail where the error, or one that it came from, quotes content, a credential or a key."""
    text = "".join(traceback.TracebackException.from_exception(failure).format())
    # Without the source lines: those of these tests have the marker in them.
    lines = [line for line in text.splitlines() if not line.startswith("  ")]
    for line in lines:
        assert MARK not in line
        assert_without_secrets(line, storage, *rings)


def require_nothing_shown(failure: KeyFailure, storage: Storage, *rings: KeyRing) -> None:
    """Fail where a variable on the way to the error holds a credential or a key."""
    for text in shown_of(failure):
        assert_without_secrets(text, storage, *rings)


def assert_without_secrets(text: str, storage: Storage, *rings: KeyRing) -> None:
    """Fail where the text has a credential of the storage, or a private member of a key."""
    keys = [key.jwk for ring in rings for key in ring.keys]
    private = [jwk[name] for jwk in keys for name in ("d", "k") if name in jwk]
    # Not `secret not in text`: a failing test would print the secret.
    assert not any(secret in text for secret in (*storage.secrets, *private))


def _next(ring: KeyRing, now: datetime) -> KeyRing:
    return ring.with_next_key(jwk.generate("ES256"), now, now, timedelta(minutes=16))
