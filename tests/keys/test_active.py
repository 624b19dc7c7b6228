"""The process's copy: loaded once, renewed beside the requests, never lost."""

from __future__ import annotations

import logging
import os
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from jwt_auth import signals
from jwt_auth.exceptions import KeyRingMissing, KeyRingTorn, KeyStoreError, UnknownKey
from jwt_auth.keys import active, jwk
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.stores import MemoryKeyStore


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(active, "monotonic", clock)
    return clock


@pytest.fixture
def store(memory_store: MemoryKeyStore, ring: KeyRing, clock: Clock) -> MemoryKeyStore:
    """A store with a ring of one key, loaded once."""
    memory_store.ring = ring
    active.reset()
    active.signing_key(ring.keys[0].created_at)
    assert memory_store.loads == 1
    return memory_store


@pytest.fixture
def following(ring: KeyRing, now: datetime) -> KeyRing:
    return ring.with_next_key(jwk.generate("EdDSA"), now, now, timedelta(minutes=16))


def finish_reload() -> None:
    for thread in threading.enumerate():
        if thread.name == "jwt_auth-keys":
            thread.join(10)


def use(now: datetime) -> str:
    kid = active.signing_key(now).kid
    finish_reload()
    return kid


def test_ring_is_loaded_once(store: MemoryKeyStore, ring: KeyRing, now: datetime) -> None:
    """However many requests use it."""
    for _ in range(3):
        assert active.signing_key(now).kid == ring.keys[0].kid
        assert active.verification_key(ring.keys[0].kid, now).kid == ring.keys[0].kid
        active.jwk_set(now)
    assert store.loads == 1


def test_first_use_without_a_ring_raises_the_stores_error(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """And the next use tries again."""
    for call in (active.signing_key, active.jwk_set):
        with pytest.raises(KeyRingMissing):
            call(now)
    memory_store.ring = ring
    assert use(now) == ring.keys[0].kid


def test_simultaneous_first_uses_load_once(
    memory_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The others wait for the one who loads."""
    memory_store.ring = ring
    threads = [threading.Thread(target=active.signing_key, args=[now]) for _ in range(8)]
    with active._active._loading:  # all of them get here before the first may load
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert memory_store.loads == 1


def test_jwk_set_has_public_members_only(store: MemoryKeyStore, now: datetime) -> None:
    """RFC 7517 §5."""
    assert store.ring is not None
    (key,) = active.jwk_set(now)["keys"]
    assert key == jwk.public_jwk(store.ring.keys[0].jwk)
    assert "d" not in key


def test_waiting_key_signs_when_its_time_has_come(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """By the clock alone."""
    later = now + timedelta(minutes=10)
    store.ring = ring.with_next_key(jwk.generate("ES256"), now, later, timedelta(minutes=16))
    active.reset()
    assert use(now) == ring.keys[0].kid
    assert use(later) == store.ring.keys[1].kid
    assert store.loads == 2


def test_expired_key_is_unknown(store: MemoryKeyStore, following: KeyRing, now: datetime) -> None:
    """By the clock alone, too."""
    store.ring = following
    active.reset()
    kid = following.keys[0].kid
    assert active.verification_key(kid, now).kid == kid
    with pytest.raises(UnknownKey):
        active.verification_key(kid, now + timedelta(minutes=16))


def test_old_copy_is_given_and_renewed_beside(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """The request that finds it old does not wait."""
    store.ring = following
    clock.time += 59
    assert use(now) == following.keys[0].kid
    assert store.loads == 1
    clock.time += 1
    with active._active._loading:  # the store takes its time
        assert active.signing_key(now).kid == following.keys[0].kid
        assert active.signing_key(now).kid == following.keys[0].kid
    finish_reload()
    assert store.loads == 2
    assert use(now) == following.keys[1].kid


def test_overdue_copy_is_loaded_before_the_answer(
    store: MemoryKeyStore, ring: KeyRing, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """After a quiet hour a key that was withdrawn meanwhile verifies nothing."""
    store.ring = following.without(ring.keys[0].kid)
    clock.time += 3600
    with pytest.raises(UnknownKey):
        active.verification_key(ring.keys[0].kid, now)
    assert active.signing_key(now).kid == following.keys[1].kid
    assert store.loads == 2


def test_overdue_copy_stays_where_the_store_is_down(
    store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime
) -> None:
    """The request waits for the store once, and gets what there is."""
    store.failure = KeyStoreError("It is down.")
    clock.time += 3600
    for _ in range(3):
        assert active.signing_key(now).kid == ring.keys[0].kid
    assert store.loads == 2


def test_overdue_copy_is_loaded_once_for_all_who_wait(
    store: MemoryKeyStore, clock: Clock, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second in the queue takes what the first has loaded."""
    clock.time += 3600
    decided, load = threading.Event(), active._ActiveRing._load_overdue

    def announced(*args: Any) -> Any:
        decided.set()
        return load(*args)

    monkeypatch.setattr(active._ActiveRing, "_load_overdue", announced)
    with active._active._loading:
        waiting = threading.Thread(target=active.signing_key, args=(now,))
        waiting.start()
        assert decided.wait(10)
        active._active._reload(store)
    waiting.join(10)
    assert store.loads == 2


def test_failed_reload_keeps_the_copy_and_says_so_once_a_minute(
    store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store is named; what an unknown error says is not repeated, it may quote a key."""
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(seconds=10)):
        for failure in (KeyStoreError("It is down."), RuntimeError("d=private")):
            store.failure = failure
            caplog.clear()
            for _ in range(5):
                clock.time += 12
                assert use(now) == ring.keys[0].kid
            (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
            assert "from memory" in record.getMessage()
            assert ("It is down." in record.getMessage()) == isinstance(failure, KeyStoreError)
            assert "private" not in caplog.text
    assert store.loads == 11


def test_failed_reload_is_tried_again_after_the_interval(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Not at every request in between."""
    store.failure = KeyRingTorn()
    clock.time += 60
    for _ in range(3):
        use(now)
    assert store.loads == 2
    store.failure, store.ring = None, following
    clock.time += 60
    use(now)
    assert use(now) == following.keys[1].kid


def test_thread_that_can_not_start_is_tried_again(
    store: MemoryKeyStore,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The request goes on."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    clock.time += 60
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        active.signing_key(now)
    use(now)
    assert store.loads == 2


def test_reset_during_a_reload_leaves_nothing_behind(
    store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """What the thread was started for is forgotten."""
    clock.time += 60
    active._active._loading.acquire()
    active.signing_key(now)
    active._active._copy = None
    active._active._loading.release()
    finish_reload()
    assert store.loads == 1


def test_new_kid_is_known_at_once(store: MemoryKeyStore, following: KeyRing, now: datetime) -> None:
    """Another process has rotated."""
    store.ring = following
    kid = following.keys[1].kid
    assert active.verification_key(kid, now).kid == kid
    assert store.loads == 2


def test_unknown_kids_read_nothing(store: MemoryKeyStore, now: datetime) -> None:
    """One look at the stamp, however many are made up."""
    for n in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key(f"made up {n}", now)
    assert store.loads == 1


def test_unknown_kids_do_not_keep_out_a_new_key(
    file_store: FileKeyStore, ring: KeyRing, following: KeyRing, now: datetime
) -> None:
    """Whatever came before in the same second."""
    file_store.save(ring, expected_version=None)
    for _ in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key("made up", now)
    file_store.save(following, expected_version=1)
    kid = following.keys[1].kid
    assert active.verification_key(kid, now).kid == kid


def test_ring_that_can_not_be_loaded_is_not_read_for_every_unknown_kid(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Once a second, for what was wrong may have been put right."""
    store.ring, store.failure = following, KeyRingTorn()
    for _ in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key("made up", now)
    assert store.loads == 3  # when the stamp changed, and the first of this second
    store.failure = None
    clock.time += 1
    kid = following.keys[1].kid
    assert active.verification_key(kid, now).kid == kid


def test_store_without_stamps_is_read_once_a_second(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """So a new key is known a second later."""
    store.stamped = False
    for _ in range(100):
        with pytest.raises(UnknownKey):
            active.verification_key("made up", now)
    assert store.loads == 2
    store.ring = following
    clock.time += 1
    kid = following.keys[1].kid
    assert active.verification_key(kid, now).kid == kid


@pytest.mark.parametrize("stamped", [True, False])
def test_simultaneous_new_kids_load_once(
    store: MemoryKeyStore, following: KeyRing, now: datetime, stamped: bool
) -> None:
    """The others take what the first one has loaded."""
    copy = active._active.get()
    store.stamped, store.ring = stamped, following
    newer = active._active.get_for_unknown_kid(copy)
    active._active._next_guess = 0.0
    assert active._active.get_for_unknown_kid(copy) is newer
    assert store.loads == 2


def test_copy_that_is_older_than_the_stamp_seen_is_loaded_again(
    store: MemoryKeyStore, following: KeyRing, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one waited for the lock, somebody loaded the ring from before the change."""
    old = active._active.get()
    stale = active._active._load(store, stamp="before")
    store.ring = following
    assert stale is not old
    assert active._active.get_for_unknown_kid(old).ring == following


def test_generation_goes_up_when_the_ring_differs(
    store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """And only then: the memory of verified signatures is emptied by it."""
    first = active.generation()
    clock.time += 60
    use(now)
    assert (store.loads, active.generation()) == (2, first)
    store.ring = following
    clock.time += 60
    use(now)
    assert (store.loads, active.generation()) == (3, first + 1)


def test_generation_is_never_used_twice(store: MemoryKeyStore, now: datetime) -> None:
    """A reset may be followed by another store's ring."""
    seen = [active.generation()]
    active.reset()
    seen.append(active.generation())
    use(now)
    seen.append(active.generation())
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("name", "value", "loads"),
    [
        ("JWT_AUTH_ISSUER", "https://other.example", 2),
        ("JWT_AUTH_AUDIENCE", "other", 1),
    ],
)
def test_changed_setting_resets_the_copy(
    store: MemoryKeyStore, now: datetime, name: str, value: str, loads: int
) -> None:
    """Only a setting that the store depends on."""
    with override_settings(**{name: value}):
        use(now)
        assert store.loads == loads


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_has_free_locks(store: MemoryKeyStore, clock: Clock, now: datetime) -> None:
    """Whatever was going on in its parent at the time."""
    clock.time += 60
    with active._active._loading:
        assert active._active._in_background.acquire(blocking=False)
        child = os.fork()
        if child == 0:  # pragma: no cover  it ends without a word to anybody
            free = not active._active._loading.locked()
            os._exit(0 if free and not active._active._in_background.locked() else 1)
    active._active._in_background.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_every_load_is_an_event(store: MemoryKeyStore, clock: Clock, now: datetime) -> None:
    """Also one that is refused; a receiver that fails changes nothing."""
    events: list[Any] = []

    def receive(*, event: str, kid: str | None, store: str, **kwargs: Any) -> None:
        events.append((event, kid, store))
        raise ValueError

    signals.key_event.connect(receive)
    try:
        active.reset()
        use(now)
        store.failure = KeyRingTorn()
        clock.time += 60
        use(now)
    finally:
        signals.key_event.disconnect(receive)
    assert events == [("loaded", None, "memory"), ("refused", None, "memory")]
