"""The first load of a process, which the requests wait for: without a key nothing is answered."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from functools import partial
from itertools import count

import pytest

from jwt_auth.exceptions import KeyRingMissing, KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import (
    REQUESTS,
    Clock,
    Hanging,
    at_once,
    stopped,
    use,
)
from tests.keys.stores import HELD, MemoryKeyStore


def test_first_use_without_a_ring_raises_the_stores_error(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """And the next use tries again."""
    for call in (cache.get_signing_key, cache.get_jwk_set):
        with pytest.raises(KeyRingMissing):
            call(now)
    memory_store.ring = ring
    assert use(now) == ring.keys[0].kid


def test_simultaneous_first_uses_load_once(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The others wait for the one that loads."""
    memory_store.ring = ring
    uses = at_once(memory_store, partial(cache.get_signing_key, now))
    assert {use.result().kid for use in uses} == {ring.keys[0].kid}
    assert memory_store.loads == 1


def test_first_use_that_is_overtaken_anywhere_loads_nothing_again(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """Between any two of its steps another request may load, or begin to."""
    memory_store.ring = ring
    for line in count(1):
        cache.reset()
        before = memory_store.loads
        with ThreadPoolExecutor(1) as pool:
            with stopped(partial(cache.get_signing_key, now), line=line) as is_stopped:
                if not is_stopped or memory_store.loads > before:
                    break
                other = pool.submit(cache.get_signing_key, now)
                wait([other], timeout=0.05)  # it may have to wait for the one that is stopped
            assert other.result().kid == ring.keys[0].kid
        assert memory_store.loads == before + 1
    assert line > 10


@pytest.mark.parametrize(
    ("failure", "error"),
    [(KeyRingTorn("It is torn."), KeyRingTorn), (OSError("d=private"), KeyStoreError)],
)
def test_simultaneous_first_uses_share_a_failure(
    memory_store: MemoryKeyStore, now: datetime, failure: Exception, error: type[Exception]
) -> None:
    """Each gets an error of its own, which quotes nothing."""
    memory_store.failure = failure
    uses = at_once(memory_store, partial(cache.get_signing_key, now))
    errors = [use.exception() for use in uses]
    assert {type(raised) for raised in errors} == {error}
    assert len(set(map(id, errors))) == REQUESTS
    assert "private" not in str(errors)
    assert memory_store.loads == 1


def test_simultaneous_first_uses_do_not_share_an_error_of_others(
    memory_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may quote a key; here a stamp raises, which it must not."""
    memory_store.failure = RuntimeError("d=private")
    monkeypatch.setattr(memory_store, "stamp", memory_store.load)
    uses = at_once(memory_store, partial(cache.get_signing_key, now))
    kinds = Counter(type(use.exception()) for use in uses)
    assert kinds == {RuntimeError: 1, KeyStoreError: REQUESTS - 1}


def test_first_use_waits_for_another_one_only_so_long(
    memory_store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that never answers ends in an error, not in threads that wait for ever."""
    monkeypatch.setattr(cache, "_FIRST_PATIENCE", 0.05)
    with memory_store.held(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(cache.get_signing_key, now)
        assert memory_store.asked.wait(HELD)
        with pytest.raises(KeyStoreError):
            cache.get_signing_key(now)
        assert not first.done()
        memory_store.answer.set()
    assert isinstance(first.exception(), KeyRingMissing)


def test_first_load_that_never_returns_is_given_up(
    memory_store: MemoryKeyStore,
    hanging: Hanging,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
) -> None:
    """A later request loads; the one that hung gets what that one has loaded."""
    memory_store.ring = ring
    with ThreadPoolExecutor(1) as pool:
        first: list[Future[KeyRing]] = []
        hanging.hang(lambda: first.append(pool.submit(cache.get_ring)))
        memory_store.ring = following
        clock.time += 121
        assert cache.get_ring() == following
        hanging.let_go()
        assert first[0].result(60) == following
    assert memory_store.loads == 2
