"""The first load of a process: all requests wait for it, because none can do without a key."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from threading import current_thread

import pytest

from jwt_auth.exceptions import KeyRingMissing, KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import REQUESTS, Clock, Hanging, at_once, signing_key, use
from tests.keys.stores import HELD, MemoryKeyStore


def test_first_use_without_a_ring_raises_the_stores_error(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The next use tries again."""
    for call in (signing_key, cache.get_jwk_set):
        with pytest.raises(KeyRingMissing):
            call(now)
    memory_store.ring = ring
    assert use(now) == ring.keys[0].kid


def test_simultaneous_first_uses_load_once(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The other requests wait for the one that loads."""
    memory_store.ring = ring
    uses = at_once(memory_store, partial(signing_key, now))
    assert {use.result().kid for use in uses} == {ring.keys[0].kid}
    assert memory_store.loads == 1


def test_first_load_runs_in_the_requests_thread(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project's test with keys in the database has them in a transaction of that thread."""
    memory_store.ring, threads, load = ring, [], memory_store.load

    def load_here() -> KeyRing:
        threads.append(current_thread())
        return load()

    monkeypatch.setattr(memory_store, "load", load_here)
    use(now)
    assert threads == [current_thread()]


def test_first_load_that_is_interrupted_is_followed_by_another(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is told to stop, or a greenlet's time-out, raises what is no ``Exception``."""

    def interrupt() -> KeyRing:
        raise KeyboardInterrupt

    memory_store.ring = ring
    with monkeypatch.context() as patched:
        patched.setattr(memory_store, "load", interrupt)
        with pytest.raises(KeyboardInterrupt):
            signing_key(now)
    assert use(now) == ring.keys[0].kid


@pytest.mark.parametrize(
    ("failure", "error"),
    [(KeyRingTorn("It is torn."), KeyRingTorn), (OSError("d=private"), KeyStoreError)],
)
def test_simultaneous_first_uses_share_a_failure(
    memory_store: MemoryKeyStore, now: datetime, failure: Exception, error: type[Exception]
) -> None:
    """Each request gets a separate instance, which quotes nothing."""
    memory_store.failure = failure
    uses = at_once(memory_store, partial(signing_key, now))
    errors = [use.exception() for use in uses]
    assert {type(raised) for raised in errors} == {error}
    assert len(set(map(id, errors))) == REQUESTS
    assert "private" not in str(errors)
    assert memory_store.loads == 1


def test_simultaneous_first_uses_do_not_share_a_foreign_error(
    memory_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text may quote a key. Here ``stamp()`` raises one, which it must not."""
    memory_store.failure = RuntimeError("d=private")
    monkeypatch.setattr(memory_store, "stamp", memory_store.load)
    uses = at_once(memory_store, partial(signing_key, now))
    kinds = Counter(type(use.exception()) for use in uses)
    assert kinds == {RuntimeError: 1, KeyStoreError: REQUESTS - 1}


def test_first_use_does_not_wait_for_another_one_forever(
    memory_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store never answers, the waiting requests end in an error."""
    monkeypatch.setattr(cache, "_LONGEST_LOAD", 0.05)
    with memory_store.held(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(signing_key, now)
        assert memory_store.asked.wait(HELD)
        with pytest.raises(KeyStoreError):
            signing_key(now)
        assert not first.done()
        memory_store.answer.set()
    assert isinstance(first.exception(), KeyRingMissing)


@pytest.mark.parametrize("has_ring", [True, False])
def test_first_load_that_never_returns_is_abandoned(
    memory_store: MemoryKeyStore,
    hanging: Hanging,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    has_ring: bool,
) -> None:
    """A later request has another one started. The request that hung uses the copy of that one."""
    memory_store.ring = ring if has_ring else None
    with ThreadPoolExecutor(1) as pool:
        first: list[Future[KeyRing]] = []
        hanging.hang(lambda: first.append(pool.submit(cache.get_ring)))
        memory_store.ring = following
        clock.time += 121
        assert cache.get_ring() == following
        hanging.let_go()
        assert first[0].result(60) == following
    assert memory_store.loads == 2
