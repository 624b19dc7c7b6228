"""The process's copy of the ring: loaded once, and renewed while requests go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.test import override_settings

from jwt_auth.exceptions import KeyFailure, KeyStoreError, UnknownKey
from jwt_auth.keys import cache, jwk
from jwt_auth.keys.ring import KeyRing
from tests.keys.reloading import (
    Clock,
    Gate,
    Hanging,
    at_once,
    finish_reloads,
    knows,
    reloads,
    signing_key,
    use,
)
from tests.keys.stores import HELD, MemoryKeyStore


def test_ring_is_loaded_once(loaded_store: MemoryKeyStore, ring: KeyRing, now: datetime) -> None:
    """Requests share the copy, whatever they need from it."""
    for _ in range(3):
        assert signing_key(now).kid == ring.keys[0].kid
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
    """The clock activates it, without a load."""
    later = now + timedelta(minutes=10)
    both = ring.with_next_key(jwk.generate("ES256"), now, later, timedelta(minutes=16))
    memory_store.ring = both
    assert use(now) == both.keys[0].kid
    assert use(later) == both.keys[1].kid
    assert memory_store.loads == 1


def test_expired_key_is_unknown(
    memory_store: MemoryKeyStore, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """The clock ends it, without a load. Until then its expiry is given."""
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
    """From half the interval on, one thread loads, and no request waits for it."""
    former = use(now)
    loaded_store.ring = following
    clock.time += 29.9
    assert use(now) == former
    assert loaded_store.loads == 1
    clock.time += 0.1
    with loaded_store.held():
        for _ in range(3):
            assert signing_key(now).kid == former
            assert len(reloads()) == 1
    finish_reloads()
    assert use(now) == following.keys[1].kid
    assert loaded_store.loads == 2


@pytest.mark.parametrize("age", [60, 3600])
def test_overdue_copy_is_loaded_before_the_answer(
    loaded_store: MemoryKeyStore,
    ring: KeyRing,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    age: int,
) -> None:
    """After a quiet interval, a key that was withdrawn in the meantime verifies nothing.

    One load serves all requests that come at that moment.
    """
    loaded_store.ring = following.without(ring.keys[0].kid)
    clock.time += age
    uses = at_once(loaded_store, partial(signing_key, now))
    assert {use.result().kid for use in uses} == {following.keys[1].kid}
    assert not knows(ring.keys[0].kid, now)
    assert loaded_store.loads == 2


@pytest.mark.parametrize("situation", ["first use", "old copy", "unknown kid"])
def test_request_that_is_overtaken_starts_no_second_load(
    memory_store: MemoryKeyStore,
    ring: KeyRing,
    clock: Clock,
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    situation: str,
) -> None:
    """It has decided to load; before it does so, another request loads from start to end."""
    memory_store.ring, memory_store.stamped = ring, False
    request: Callable[[], object] = partial(signing_key, now)
    if situation != "first use":
        use(now)
    if situation == "old copy":
        clock.time += 30
    if situation == "unknown kid":
        request = partial(knows, "made up", now)
    before = memory_store.loads
    gate = Gate(cache._cache._lock)
    monkeypatch.setattr(cache._cache, "_lock", gate)
    with ThreadPoolExecutor(1) as pool:
        overtaken = pool.submit(request)
        assert gate.reached.wait(HELD)
        request()
        finish_reloads()
        gate.open.set()
        overtaken.result(HELD)
    finish_reloads()
    assert memory_store.loads == before + 1


# ---- A reset


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
    """Only a setting that the store depends on does so."""
    with override_settings(**{name: value}):
        use(now)
        assert loaded_store.loads == loads


@pytest.mark.parametrize("failure", [None, KeyStoreError("It is down.")])
def test_result_of_a_load_from_before_a_reset_is_ignored(
    loaded_store: MemoryKeyStore,
    following: KeyRing,
    clock: Clock,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
    failure: KeyFailure | None,
) -> None:
    """It is the former ring, or says nothing about the present store, which may be another one."""
    clock.time += 30
    with loaded_store.held():
        signing_key(now)
        assert loaded_store.asked.wait(HELD)
        cache.reset()
        loaded_store.ring, loaded_store.failure = following, failure
    finish_reloads()
    loaded_store.failure = None
    assert use(now) == following.keys[1].kid
    assert [record for record in caplog.records if record.name == "jwt_auth"] == []


def test_reset_starts_another_load_while_one_hangs(
    loaded_store: MemoryKeyStore, hanging: Hanging, following: KeyRing, clock: Clock, now: datetime
) -> None:
    """No request waits for a store that the settings may not name any more."""
    clock.time += 30
    hanging.hang(partial(signing_key, now))
    cache.reset()
    loaded_store.ring = following
    assert signing_key(now).kid == following.keys[1].kid


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
    """The load that it waits for is ignored. So it starts another one, or uses its former copy."""
    loaded_store.stamped, loaded_store.ring = stamped, following
    clock.time += age
    with loaded_store.held(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(knows, following.keys[1].kid, now)
        assert loaded_store.asked.wait(HELD)
        cache.reset()
        loaded_store.answer.set()
        assert waiting.result() is is_known
