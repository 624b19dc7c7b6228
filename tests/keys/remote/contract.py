"""The contract of the stores behind a network: limits, retries, and errors that help."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from ssl import SSLContext
from typing import Any, ClassVar

import pytest
from pytest_django import Settings

from jwt_auth.checks.keys import find_key_problem
from jwt_auth.exceptions import (
    KeyRingConflict,
    KeyRingExists,
    KeyRingMissing,
    KeyRingTorn,
    KeyStoreError,
    KeyStoreUnavailable,
)
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import get_key_store, save_ring
from jwt_auth.keys.stores.remote import RemoteKeyStore
from tests.keys.contract import (
    KeyStoreContract,
    Storage,
    require_discreet,
    require_nothing_shown,
)
from tests.keys.reloading import holds_in_child
from tests.keys.remote.service import Answer, Request, Service
from tests.keys.remote.waiting import let_deadline_pass, threads_of, wait_until

#: Seconds. Long, for a machine that is busy; a test of what takes too long names shorter ones, or
#: has them pass.
TIMEOUT, DEADLINE = 30, 60

#: The name of the threads that call the service.
THREAD = "jwt_auth-key-store"


def answers(store: RemoteKeyStore) -> bool:
    """Whether the call that was given up has come back, so that the store is asked again."""
    try:
        store.load()
    except KeyStoreUnavailable:
        return False
    return True


class RemoteStorage(Storage):
    """A secret in a service that the test runs."""

    backend: str
    service: Service

    #: The answers of a service that gets too many requests, denies one, or has failed.
    throttled: Answer
    denied: Answer
    failed: Answer = Answer(status=500)

    #: The error's name or code in the messages about these answers.
    throttled_reason: str
    denied_reason: str

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The store's OPTIONS."""

    @abstractmethod
    def open(self, **options: Any) -> RemoteKeyStore: ...

    def unreachable(self) -> AbstractContextManager[None]:
        return self.service.being_away()

    @abstractmethod
    def is_write(self, request: Request) -> bool:
        """Tell whether the request puts a ring into the service."""

    @contextmanager
    def answering(self, answer: Answer) -> Iterator[None]:
        """Have the service give the same answer to every request."""
        self.service.always = answer
        try:
            yield
        finally:
            self.service.always = None

    @contextmanager
    def refusing(
        self, is_refused: Callable[[Request], bool], answer: Answer
    ) -> Iterator[list[Request]]:
        """Have the service refuse such requests, and collect them."""
        respond, refused = self.service.respond, list[Request]()

        def judge(request: Request) -> Answer:
            if not is_refused(request):
                return respond(request)
            refused.append(request)
            return answer

        self.service.respond = judge
        try:
            yield refused
        finally:
            self.service.respond = respond

    @contextmanager
    def overtaken(self, act: Callable[[], None]) -> Iterator[None]:
        """Have this happen after the reads of the next save, and before its write arrives."""
        waiting = [act]

        def act_once(request: Request) -> bool:
            if waiting and self.is_write(request):
                waiting.pop()()
            return False

        with self.refusing(act_once, Answer()):
            yield


class RemoteContract(KeyStoreContract):
    def refuse(self, store: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing) -> str:
        """Return the reason for which a load fails. It is never a missing ring."""
        with pytest.raises(KeyStoreError) as refused:
            store.load()
        assert not isinstance(refused.value, KeyRingMissing | KeyRingTorn)
        assert str(refused.value).startswith(store.describe())
        require_discreet(refused.value, storage, ring)
        return str(refused.value)

    def test_slow_answers_end_at_the_time_outs(
        self,
        saved: RemoteKeyStore,
        storage: RemoteStorage,
        ring: KeyRing,
        pauses: list[float],
    ) -> None:
        """Each of the three attempts ends at them."""
        with storage.service.holding():
            assert "Timeout" in self.refuse(storage.open(TIMEOUT=0.1), storage, ring)
        assert len(pauses) == 2

    def test_load_ends_at_the_deadline_whatever_the_time_outs(
        self,
        saved: RemoteKeyStore,
        storage: RemoteStorage,
        ring: KeyRing,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The next load doesn't start another thread while the first one still waits."""
        with storage.service.holding():
            with monkeypatch.context() as patched:
                storage.service.asked.clear()
                let_deadline_pass(patched, after=storage.service.asked.wait)
                assert f"within {DEADLINE} seconds" in self.refuse(saved, storage, ring)
            threads = threads_of(THREAD)
            for _ in range(5):
                assert "earlier requests" in self.refuse(saved, storage, ring)
            assert threads_of(THREAD) <= threads
        wait_until(lambda: answers(saved))
        assert saved.load() == ring

    def test_answer_that_drips_ends_at_the_deadline(
        self,
        saved: RemoteKeyStore,
        storage: RemoteStorage,
        ring: KeyRing,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Each byte comes within the time-outs, but the whole answer never does."""
        dripping = Answer(body=b"x" * 1000, drip=0.05)
        with storage.answering(dripping), monkeypatch.context() as patched:
            let_deadline_pass(patched, after=storage.service.dripped.wait)
            assert f"within {DEADLINE} seconds" in self.refuse(saved, storage, ring)
        wait_until(lambda: answers(saved))

    def test_passing_trouble_is_tried_again(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing
    ) -> None:
        """Overload, a failure inside and a torn answer, one after another."""
        saved.load()
        for answer in (storage.throttled, storage.failed):
            storage.service.next.append(answer)
        assert saved.load() == ring
        storage.service.next.append(Answer(body=b"{}" * 100, cut=10))
        assert saved.load() == ring

    def test_throttled_store_says_so(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing
    ) -> None:
        """After three attempts, with the code."""
        saved.load()
        asked = len(storage.service.requests)
        with storage.answering(storage.throttled):
            assert storage.throttled_reason in self.refuse(saved, storage, ring)
        assert len(storage.service.requests) - asked == 3

    def test_denied_load_says_so(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing
    ) -> None:
        """After at most one more request, with a credential that was read again."""
        saved.load()
        asked = len(storage.service.requests)
        with storage.answering(storage.denied):
            assert storage.denied_reason in self.refuse(saved, storage, ring)
        assert len(storage.service.requests) - asked <= 2
        assert saved.load() == ring

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(body=b'{"hunter2": 1}' * 100, cut=30, headers={"Content-Type": "text/plain"}),
            Answer.json({"hunter2": "hunter2"}),
            Answer.json(["hunter2"]),
            Answer(body=b"<html>hunter2</html>", headers={"Content-Type": "text/html"}),
            Answer(body=b""),
            Answer(status=404, body=b"<html>hunter2</html>", headers={"Content-Type": "text/html"}),
            Answer(status=500, body=b"hunter2"),
            Answer(status=302, headers={"Location": "http://127.0.0.1:9/hunter2"}),
        ],
        ids=lambda answer: f"{answer.status} {answer.body[:20]!r}",
    )
    def test_answer_that_makes_no_sense_is_not_quoted(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing, answer: Answer
    ) -> None:
        """A proxy's page, half an answer or another service is an error, never a missing ring."""
        saved.load()
        with storage.answering(answer):
            self.refuse(saved, storage, ring)

    def test_unknown_error_is_named_by_its_type(
        self,
        saved: RemoteKeyStore,
        storage: RemoteStorage,
        ring: KeyRing,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Its text may be anything."""

        def fail(client: Any) -> Any:
            raise RuntimeError("hunter2")

        monkeypatch.setattr(saved, "_find", fail)
        assert "RuntimeError" in self.refuse(saved, storage, ring)

    def test_write_is_sent_once_and_its_outcome_reported_as_unsure(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing, following: KeyRing
    ) -> None:
        """A second request could collide with the first one."""
        with (
            storage.refusing(storage.is_write, storage.failed) as writes,
            pytest.raises(KeyStoreError, match=r"may have been saved.*list_keys") as unsure,
        ):
            save_ring(saved, following, expected_version=1)
        assert len(writes) == 1
        require_discreet(unsure.value, storage, ring, following)
        require_nothing_shown(unsure.value, storage, ring, following)

    def test_denied_write_is_not_reported_as_unsure(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing, following: KeyRing
    ) -> None:
        """The service has answered that it did nothing."""
        with (
            storage.refusing(storage.is_write, storage.denied),
            pytest.raises(KeyStoreError, match="can't be written") as denied,
        ):
            saved.save(following, expected_version=1)
        assert "may have been saved" not in str(denied.value)
        assert saved.load() == ring

    @pytest.mark.parametrize("expected", [None, 1])
    def test_write_between_our_read_and_our_write_wins(
        self, storage: RemoteStorage, ring: KeyRing, expected: int | None
    ) -> None:
        """Even if both found nothing."""
        if expected:
            storage.put_ring(ring)
        with (
            storage.overtaken(lambda: storage.put(b'{"of": "somebody else"}')),
            pytest.raises(KeyRingConflict if expected else KeyRingExists),
        ):
            storage.open().save(ring, expected_version=expected)
        with pytest.raises(KeyRingTorn):
            storage.open().load()

    def test_ring_that_is_too_large_is_refused_before_it_is_sent(
        self, saved: RemoteKeyStore, storage: RemoteStorage, ring: KeyRing
    ) -> None:
        """With what to do."""
        (key,) = ring.keys
        large = replace(ring, keys=(replace(key, jwk=key.jwk | {"x": "x" * saved.limit}),))
        asked = len(storage.service.requests)
        with pytest.raises(KeyStoreError, match=r"bytes at most.*--retire"):
            saved.save(large, expected_version=1)
        assert len(storage.service.requests) == asked

    def test_forked_process_connects_anew(
        self,
        saved: RemoteKeyStore,
        storage: RemoteStorage,
        ring: KeyRing,
    ) -> None:
        """On a shared connection each process would read the other's answers."""
        parents = self.connections(saved, storage)
        assert self.connections(saved, storage) == parents
        before = len(storage.service.requests)
        assert holds_in_child(lambda: saved.load() == ring)
        child_connections = {request.connection for request in storage.service.requests[before:]}
        assert child_connections
        assert child_connections.isdisjoint(parents)
        assert self.connections(saved, storage) == parents

    def connections(self, store: RemoteKeyStore, storage: RemoteStorage) -> set[int]:
        """Load, and return the numbers of the connections that this took."""
        before = len(storage.service.requests)
        store.load()
        return {request.connection for request in storage.service.requests[before:]}

    def test_start_with_keys_finds_no_problem(
        self, storage: RemoteStorage, settings: Settings, now: datetime
    ) -> None:
        """Neither with the options nor with the ring."""
        settings.JWT_AUTH_KEY_STORE = {"BACKEND": storage.backend, "OPTIONS": storage.options()}
        zero = timedelta(0)
        storage.put_ring(KeyRing(version=0).with_next_key(jwk.generate("EdDSA"), now, now, zero))
        assert get_key_store().check() == []
        assert find_key_problem() is None


class AddressContract(RemoteContract):
    """What holds where an option is the service's address, and no library adds certificates."""

    #: The option's name.
    address: ClassVar[str]

    def test_certificate_that_is_not_trusted_is_not_waited_for(
        self, storage: RemoteStorage, tls: SSLContext
    ) -> None:
        """An operator has to mend it."""
        with (
            Service(storage.service.respond, tls).running() as service,
            pytest.raises(KeyStoreError, match="SSLError") as refused,
        ):
            storage.open(**{self.address: f"https://127.0.0.1:{service.port}"}).load()
        assert not isinstance(refused.value, KeyStoreUnavailable)
