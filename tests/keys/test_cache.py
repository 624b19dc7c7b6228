"""The process's copy of the ring: loaded once, and renewed while requests go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.test import override_settings

from jwt_auth.exceptions import KeyFailure, KeyStoreError, UnknownKey
from jwt_auth.keys import cache, jwk
from tests.keys.reloading import Gate, Hanging, Process, finish_reloads, reloads, said
from tests.keys.stores import HELD


def test_ring_is_loaded_once(process: Process) -> None:
    """Requests share the copy, whatever they need from it."""
    for _ in range(3):
        assert process.request() == process.kid
        assert process.knows(process.kid)
        cache.get_jwk_set(process.now)
    assert process.store.loads == 1


def test_jwk_set_has_public_members_only(process: Process) -> None:
    """RFC 7517 §5."""
    (key,) = cache.get_jwk_set(process.now)["keys"]
    assert key == jwk.public_jwk(process.ring.keys[0].jwk)
    assert "d" not in key


def test_waiting_key_signs_when_its_time_has_come(starting: Process) -> None:
    """The clock activates it, without a load."""
    now, later = starting.now, starting.now + timedelta(minutes=10)
    both = starting.ring.with_next_key(jwk.generate("ES256"), now, later, timedelta(minutes=16))
    starting.store.ring = both
    assert starting.use() == both.keys[0].kid
    starting.now = later
    assert starting.use() == both.keys[1].kid
    assert starting.store.loads == 1


def test_expired_key_is_unknown(starting: Process) -> None:
    """The clock ends it, without a load. Until then its expiry is given."""
    starting.store.ring = starting.following
    key, successor = starting.following.keys
    assert cache.get_verification_key(key.kid, starting.now).kid == key.kid
    assert key.expires_at is not None
    with pytest.raises(UnknownKey):
        cache.get_verification_key(key.kid, key.expires_at)
    assert cache.get_signing_key_and_end(starting.now)[1] == successor.expires_at


# ---- The copy's age


def test_old_copy_is_given_and_renewed_in_the_background(process: Process) -> None:
    """From half the interval on, one thread loads, and no request waits for it."""
    process.store.ring = process.following
    process.let_pass(29.9)
    assert process.use() == process.kid
    assert process.store.loads == 1
    process.let_pass(0.1)
    with process.store.held():
        for _ in range(3):
            assert process.request() == process.kid
            assert len(reloads()) == 1
    finish_reloads()
    assert process.use() == process.new_kid
    assert process.store.loads == 2


@pytest.mark.parametrize("age", [60, 3600])
def test_overdue_copy_is_loaded_before_the_answer(process: Process, age: int) -> None:
    """After a quiet interval, a key that was withdrawn in the meantime verifies nothing.

    One load serves all requests that come at that moment.
    """
    process.store.ring = process.following.without(process.kid)
    process.let_pass(age)
    requests = process.at_once(process.request)
    assert {request.result() for request in requests} == {process.new_kid}
    assert not process.knows(process.kid)
    assert process.store.loads == 2


@pytest.mark.parametrize("situation", ["first use", "old copy", "unknown kid"])
def test_request_that_is_overtaken_starts_no_second_load(
    starting: Process, monkeypatch: pytest.MonkeyPatch, situation: str
) -> None:
    """It has decided to load; before it does so, another request loads from start to end."""
    store = starting.store
    store.ring, store.stamped = starting.ring, False
    request: Callable[[], object] = starting.request
    if situation != "first use":
        starting.use()
    if situation == "old copy":
        starting.let_pass(30)
    if situation == "unknown kid":
        request = partial(starting.knows, "made up")
    before = store.loads
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
    assert store.loads == before + 1


# ---- A reset


@pytest.mark.parametrize(
    ("name", "value", "loads"),
    [
        ("JWT_AUTH_ISSUER", "https://other.example", 2),
        ("JWT_AUTH_AUDIENCE", "other", 1),
    ],
)
def test_changed_setting_resets_the_copy(
    process: Process, name: str, value: str, loads: int
) -> None:
    """Only a setting that the store depends on does so."""
    with override_settings(**{name: value}):
        process.use()
        assert process.store.loads == loads


@pytest.mark.parametrize("failure", [None, KeyStoreError("It is down.")])
def test_result_of_a_load_from_before_a_reset_is_ignored(
    process: Process, caplog: pytest.LogCaptureFixture, failure: KeyFailure | None
) -> None:
    """It is the former ring, or says nothing about the present store, which may be another one."""
    store = process.store
    process.let_pass(30)
    with store.held():
        process.request()
        assert store.asked.wait(HELD)
        cache.reset()
        store.ring, store.failure = process.following, failure
    finish_reloads()
    store.failure = None
    assert process.use() == process.new_kid
    assert said(caplog) == []


def test_reset_starts_another_load_while_one_hangs(process: Process, hanging: Hanging) -> None:
    """No request waits for a store that the settings may not name any more."""
    process.let_pass(30)
    hanging.hang(process.request)
    cache.reset()
    process.store.ring = process.following
    assert process.request() == process.new_kid


@pytest.mark.parametrize(
    ("age", "stamped", "is_known"), [(60, True, True), (0, True, True), (0, False, False)]
)
def test_request_that_waits_during_a_reset_is_answered(
    process: Process, age: int, stamped: bool, is_known: bool
) -> None:
    """The load that it waits for is ignored. So it starts another one, or uses its former copy."""
    store = process.store
    store.stamped, store.ring = stamped, process.following
    process.let_pass(age)
    with store.held(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(process.knows, process.new_kid)
        assert store.asked.wait(HELD)
        cache.reset()
        store.answer.set()
        assert waiting.result() is is_known
