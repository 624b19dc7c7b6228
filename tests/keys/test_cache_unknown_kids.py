"""The copy and a kid that it does not know.

Another process may have rotated the keys. Or an attacker invents kids, which must cause neither
reads nor waits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Event

import pytest
from django.test import override_settings

from jwt_auth.exceptions import KeyRingTorn, KeyStoreError
from jwt_auth.keys import cache
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.reloading import PATIENCE, Process, finish_reloads, knows, reloads
from tests.keys.stores import HELD


@pytest.fixture
def unstamped(process: Process) -> Process:
    """A process whose store can't say whether its ring has changed."""
    process.store.stamped = False
    return process


@pytest.mark.parametrize("stamped", [True, False])
def test_new_kid_is_known_at_once(process: Process, stamped: bool) -> None:
    """Another process has rotated the keys. All requests with the new kid wait for one load."""
    process.store.stamped, process.store.ring = stamped, process.following
    requests = process.at_once(partial(process.knows, process.new_kid))
    assert all(request.result() for request in requests)
    assert process.store.loads == 2


# ---- A store that says whether its ring has changed


def test_unknown_kids_read_nothing(process: Process) -> None:
    """The stamp is enough, however many kids are invented, and after a further load as well."""
    process.invent_kids(100)
    assert process.store.loads == 1
    process.let_pass(60)
    process.store.ring = process.ring.without("none")
    process.use()
    process.invent_kids(100)
    assert process.store.loads == 2


def test_ring_that_was_written_anew_is_read_once(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring is the same, and only its stamp differs."""
    monkeypatch.setattr(process.store, "stamp", lambda: "written anew")
    process.invent_kids(10)
    assert process.store.loads == 2


@pytest.mark.usefixtures("clock")
def test_unknown_kids_do_not_keep_out_a_new_key(
    file_store: FileKeyStore, ring: KeyRing, following: KeyRing
) -> None:
    """Whatever was asked before in the same second."""
    now = ring.keys[0].created_at
    file_store.save(ring, expected_version=None)
    assert not any(knows("made up", now) for _ in range(100))
    file_store.save(following, expected_version=1)
    assert knows(following.keys[1].kid, now)


def test_ring_that_can_not_be_loaded_is_not_read_for_every_unknown_kid(process: Process) -> None:
    """The pauses between the loads double. The ring may be repaired in the meantime."""
    process.store.ring, process.store.failure = process.following, KeyRingTorn()
    process.invent_kids(100)
    assert process.store.loads == 3  # when the stamp changed, and the first guess
    process.store.failure = None
    process.let_pass(1)
    process.knows(process.new_kid)  # it does not wait for a store that has failed
    finish_reloads()
    assert process.knows(process.new_kid)


def test_stamp_of_a_ring_that_failed_once_counts_again_when_it_was_loaded(process: Process) -> None:
    """The store was down for a moment, and the ring is the one of before."""
    for process.store.failure in (KeyStoreError("It is down."), None):
        process.let_pass(30)
        process.use()
    process.invent_kids(10)
    assert process.store.loads == 3


def test_load_that_began_before_the_change_is_followed_by_another(process: Process) -> None:
    """The load under way has read the former ring."""
    process.let_pass(30)
    with process.store.held(), ThreadPoolExecutor(1) as pool:
        process.request()
        assert process.store.asked.wait(HELD)
        process.store.ring = process.following
        waiting = pool.submit(process.knows, process.new_kid)
        process.store.answer.set()
        assert waiting.result()
    assert process.store.loads == 3


# ---- A store that can't say


def test_pauses_between_loads_from_a_store_without_stamps_double(unstamped: Process) -> None:
    """However many kids are invented, and for however long."""
    loads = []
    with override_settings(JWT_AUTH_KEY_RELOAD_INTERVAL=timedelta(days=1)):
        for second in range(300):
            before = unstamped.store.loads
            unstamped.invent_kids(1)
            loads += [second] * (unstamped.store.loads - before)
            unstamped.let_pass(1)
    assert loads == [0, 1, 3, 7, 15, 31, 63, 127, 255]


def test_store_without_stamps_is_asked_immediately_when_no_kids_are_invented_any_more(
    unstamped: Process,
) -> None:
    """After two quiet intervals, however long it had lasted before."""
    for _ in range(300):
        unstamped.invent_kids(1)
        unstamped.let_pass(1)
    for _ in range(13):
        unstamped.let_pass(10)
        unstamped.use()
    unstamped.invent_kids(1)
    unstamped.store.ring = unstamped.following
    unstamped.let_pass(1)
    assert unstamped.knows(unstamped.new_kid)


def test_pauses_start_again_after_a_reset(unstamped: Process) -> None:
    """The store may be another one."""
    unstamped.invent_kids(1)
    cache.reset()
    unstamped.use()
    unstamped.store.ring = unstamped.following
    assert unstamped.knows(unstamped.new_kid)


# ---- Waits


@pytest.mark.parametrize("is_slow", [True, False])
def test_unknown_kid_does_not_wait_for_a_store_that_has_failed_or_was_slow(
    unstamped: Process, is_slow: bool
) -> None:
    """Otherwise invented kids would occupy the server's threads."""
    store = unstamped.store
    store.failure = None if is_slow else KeyStoreError("It is down.")
    unstamped.let_pass(30)
    with store.held():
        unstamped.request()
        assert store.asked.wait(HELD)
        unstamped.let_pass(PATIENCE)
    finish_reloads()
    with store.held():
        assert not unstamped.knows("made up")
        assert len(reloads()) == 1


def test_unknown_kid_waits_again_for_a_store_that_is_quick_again(unstamped: Process) -> None:
    """One quick load is enough."""
    for unstamped.store.failure in (KeyStoreError("It is down."), None):
        unstamped.let_pass(30)
        unstamped.use()
    unstamped.store.ring = unstamped.following
    assert unstamped.knows(unstamped.new_kid)


@pytest.mark.parametrize("stamped", [True, False])
def test_request_that_is_overtaken_takes_what_the_other_one_has_loaded(
    process: Process, monkeypatch: pytest.MonkeyPatch, stamped: bool
) -> None:
    """Both have the new kid. The first one stops at the stamp until the other one has loaded."""
    process.store.stamped, process.store.ring = stamped, process.following
    stamp, go_on, asked = process.store.stamp, Event(), Event()

    def stamp_late() -> object | None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(HELD)
        return stamp()

    monkeypatch.setattr(process.store, "stamp", stamp_late)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(process.knows, process.new_kid)
        assert asked.wait(HELD)
        assert process.knows(process.new_kid)
        go_on.set()
        assert first.result()
    assert process.store.loads == 2
