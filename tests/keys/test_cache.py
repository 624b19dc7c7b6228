"""The process's copy: loaded once, and renewed in the background while requests go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest
from django.test import override_settings

from jwt_auth.exceptions import UnknownKey
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import (
    Clock,
    Hanging,
    at_once,
    finish_reloads,
    knows,
    reloads,
    stopped,
    use,
)
from tests.keys.stores import HELD, MemoryKeyStore


def test_ring_is_loaded_once(loaded_store: MemoryKeyStore, ring: KeyRing, now: datetime) -> None:
    """However many requests use it."""
    for _ in range(3):
        assert cache.get_signing_key(now).kid == ring.keys[0].kid
        assert cache.get_verification_key(ring.keys[0].kid, now).kid == ring.keys[0].kid
        cache.get_jwk_set(now)
    assert loaded_store.loads == 1


def test_jwk_set_has_public_members_only(
    loaded_store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """RFC 7517 §5."""
    (key,) = cache.get_jwk_set(now)["keys"]
    assert key == jwk.public_jwk(ring.keys[0].jwk)
    assert "d" not in key


def test_waiting_key_signs_when_its_time_has_come(
    memory_store: MemoryKeyStore, ring: KeyRing, clock: Clock, now: datetime
) -> None:
    """By the clock alone."""
    later = now + timedelta(minutes=10)
    both = ring.with_next_key(jwk.generate("ES256"), now, later, timedelta(minutes=16))
    memory_store.ring = both
    assert use(now) == both.keys[0].kid
    assert use(later) == both.keys[1].kid
    assert memory_store.loads == 1


def test_expired_key_is_unknown(
    memory_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """By the clock alone, too; until then its end is known."""
    memory_store.ring = following
    key = following.keys[0]
    assert cache.get_verification_key(key.kid, now).kid == key.kid
    assert key.expires_at is not None
    with pytest.raises(UnknownKey):
        cache.get_verification_key(key.kid, key.expires_at)
    assert cache.get_signing_key_and_end(now)[1] == following.keys[1].expires_at


# ---- The copy's age


def test_old_copy_is_given_and_renewed_in_the_background(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """From half the interval on; the requests that find it old do not wait."""
    former = use(now)
    loaded_store.ring = following
    clock.time += 29.9
    assert use(now) == former
    assert loaded_store.loads == 1
    clock.time += 0.1
    with loaded_store.held():
        for _ in range(3):
            assert cache.get_signing_key(now).kid == former
            assert len(reloads()) == 1
    finish_reloads()
    assert use(now) == following.keys[1].kid
    assert loaded_store.loads == 2


def test_reload_that_is_overtaken_anywhere_is_the_only_one(
    loaded_store: MemoryKeyStore, clock: Clock, now: datetime
) -> None:
    """Between any two of its request's steps another request may begin one."""
    for line in count(1):
        clock.time += 30
        with loaded_store.held(), ThreadPoolExecutor(1) as pool:
            with stopped(partial(cache.get_signing_key, now), line=line) as is_stopped:
                other = pool.submit(cache.get_signing_key, now)
                wait([other], timeout=0.05)  # it may have to wait for the one that is stopped
            other.result()
            assert len(reloads()) == 1
        finish_reloads()
        if not is_stopped:
            break
    assert line > 10


@pytest.mark.parametrize("age", [60, 3600])
def test_overdue_copy_is_loaded_before_the_answer(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    age: int,
) -> None:
    """From the interval on: after a quiet hour a key that was withdrawn verifies nothing."""
    loaded_store.ring = following.without(ring.keys[0].kid)
    clock.time += age
    assert cache.get_signing_key(now).kid == following.keys[1].kid
    assert not knows(ring.keys[0].kid, now)
    assert loaded_store.loads == 2


def test_overdue_copy_is_loaded_once_for_all_that_wait(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """All requests get what the one thread has loaded."""
    clock.time += 3600
    loaded_store.ring = following
    uses = at_once(loaded_store, partial(cache.get_signing_key, now))
    assert {use.result().kid for use in uses} == {following.keys[1].kid}
    assert loaded_store.loads == 2


# ---- What begins anew


def test_generation_goes_up_when_the_ring_differs(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """And only then: the memory of verified signatures is emptied by it."""
    first = cache.generation()
    clock.time += 60
    use(now)
    assert (loaded_store.loads, cache.generation()) == (2, first)
    loaded_store.ring = following
    clock.time += 60
    use(now)
    assert (loaded_store.loads, cache.generation()) == (3, first + 1)


def test_generation_is_never_used_twice(loaded_store: MemoryKeyStore, now: datetime) -> None:
    """A reset may be followed by another store's ring."""
    seen = [cache.generation()]
    cache.reset()
    seen.append(cache.generation())
    use(now)
    seen.append(cache.generation())
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("name", "value", "loads"),
    [
        ("JWT_AUTH_ISSUER", "https://other.example", 2),
        ("JWT_AUTH_AUDIENCE", "other", 1),
    ],
)
def test_changed_setting_resets_the_copy(
    loaded_store: MemoryKeyStore, now: datetime, name: str, value: str, loads: int
) -> None:
    """Only a setting that the store depends on."""
    with override_settings(**{name: value}):
        use(now)
        assert loaded_store.loads == loads


def test_what_a_reload_brings_after_a_reset_is_thrown_away(
    loaded_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """It was read before the change."""
    clock.time += 30
    with loaded_store.held():
        cache.get_signing_key(now)
        assert loaded_store.asked.wait(HELD)
        cache.reset()
        loaded_store.ring = following
    finish_reloads()
    assert use(now) == following.keys[1].kid


def test_reset_starts_a_load_beside_one_that_hangs(
    loaded_store: MemoryKeyStore, hanging: Hanging, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """Nobody waits for a store that the settings may not name any more."""
    clock.time += 30
    hanging.hang(partial(cache.get_signing_key, now))
    cache.reset()
    loaded_store.ring = following
    assert cache.get_signing_key(now).kid == following.keys[1].kid


@pytest.mark.parametrize(
    ("age", "stamped", "is_known"), [(60, True, True), (0, True, True), (0, False, False)]
)
def test_request_that_waits_during_a_reset_is_answered(
    loaded_store: MemoryKeyStore,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    age: int,
    stamped: bool,
    is_known: bool,
) -> None:
    """From the copy that it had, as what it waits for is thrown away; or from another load."""
    loaded_store.stamped, loaded_store.ring = stamped, following
    clock.time += age
    with loaded_store.held(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(knows, following.keys[1].kid, now)
        assert loaded_store.asked.wait(HELD)
        cache.reset()
        loaded_store.answer.set()
        assert waiting.result() is is_known
