"""The first load of a process: all requests wait for it, because none can do without a key."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from threading import current_thread
from unittest.mock import Mock

import pytest

from jwt_auth.exceptions import KeyRingMissing, KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import REQUESTS, Hanging, Process, signing_key
from tests.keys.stores import HELD


def test_first_use_without_a_ring_raises_the_stores_error(starting: Process) -> None:
    """The next use tries again."""
    for call in (signing_key, cache.get_jwk_set):
        with pytest.raises(KeyRingMissing):
            call(starting.now)
    starting.store.ring = starting.ring
    assert starting.use() == starting.kid


def test_simultaneous_first_uses_load_once(starting: Process) -> None:
    """The other requests wait for the one that loads."""
    starting.store.ring = starting.ring
    requests = starting.at_once(starting.request)
    assert {request.result() for request in requests} == {starting.kid}
    assert starting.store.loads == 1


def test_first_load_runs_in_the_requests_thread(
    starting: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project's test with keys in the database has them in a transaction of that thread."""
    threads = []

    def load_here() -> KeyRing:
        threads.append(current_thread())
        return starting.ring

    monkeypatch.setattr(starting.store, "load", load_here)
    starting.use()
    assert threads == [current_thread()]


def test_first_load_that_is_interrupted_is_followed_by_another(
    starting: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is told to stop, or a greenlet's time-out, raises what is no ``Exception``."""
    starting.store.ring = starting.ring
    with monkeypatch.context() as patched:
        patched.setattr(starting.store, "load", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            starting.request()
    assert starting.use() == starting.kid


@pytest.mark.parametrize(
    ("failure", "error"),
    [(KeyRingTorn("It is torn."), KeyRingTorn), (OSError("d=private"), KeyStoreError)],
)
def test_simultaneous_first_uses_share_a_failure(
    starting: Process, failure: Exception, error: type[Exception]
) -> None:
    """Each request gets a separate instance, which quotes nothing."""
    starting.store.failure = failure
    errors = [request.exception() for request in starting.at_once(starting.request)]
    assert {type(raised) for raised in errors} == {error}
    assert len(set(map(id, errors))) == REQUESTS
    assert "private" not in str(errors)
    assert starting.store.loads == 1


def test_simultaneous_first_uses_do_not_share_a_foreign_error(
    starting: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its text may quote a key. Here ``stamp()`` raises one, which it must not."""
    starting.store.failure = RuntimeError("d=private")
    monkeypatch.setattr(starting.store, "stamp", starting.store.load)
    requests = starting.at_once(starting.request)
    kinds = Counter(type(request.exception()) for request in requests)
    assert kinds == {RuntimeError: 1, KeyStoreError: REQUESTS - 1}


def test_first_use_does_not_wait_for_another_one_forever(
    starting: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the store never answers, the waiting requests end in an error."""
    monkeypatch.setattr(cache, "_LONGEST_LOAD", 0.05)
    with starting.store.held(), ThreadPoolExecutor(1) as pool:
        first = pool.submit(starting.request)
        assert starting.store.asked.wait(HELD)
        with pytest.raises(KeyStoreError):
            starting.request()
        assert not first.done()
        starting.store.answer.set()
    assert isinstance(first.exception(), KeyRingMissing)


@pytest.mark.parametrize("has_ring", [True, False])
def test_first_load_that_never_returns_is_abandoned(
    starting: Process, hanging: Hanging, has_ring: bool
) -> None:
    """A later request has another one started. The request that hung uses the copy of that one."""
    starting.store.ring = starting.ring if has_ring else None
    with ThreadPoolExecutor(1) as pool:
        first: list[Future[str]] = []
        hanging.hang(lambda: first.append(pool.submit(starting.request)))
        starting.store.ring = starting.following
        starting.let_pass(121)
        assert starting.request() == starting.new_kid
        hanging.let_go()
        assert first[0].result(60) == starting.new_kid
    assert starting.store.loads == 2
