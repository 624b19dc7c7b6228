"""Changes of the stored ring, and collisions of those who change it at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from jwt_auth import signals
from jwt_auth.exceptions import (
    KeyMisdated,
    KeyRingConflict,
    KeyRingMissing,
    KeyTaken,
    KeyWaiting,
    UnknownKey,
)
from jwt_auth.keys import cache, jwk, lifecycle
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.signers.base import NewKey
from jwt_auth.keys.stores.base import load_ring
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.reloading import signing_key
from tests.keys.stores import MemoryKeyStore
from tests.keys.test_jwk import generated

DAY = timedelta(days=1)


@pytest.fixture
def store(memory_store: MemoryKeyStore, ring: KeyRing) -> MemoryKeyStore:
    memory_store.ring = ring
    return memory_store


@pytest.fixture
def events() -> Iterator[list[tuple[str, str | None]]]:
    received: list[tuple[str, str | None]] = []

    def receive(*, event: str, kid: str | None, **kwargs: Any) -> None:
        received.append((event, kid))

    signals.key_event.connect(receive)
    yield received
    signals.key_event.disconnect(receive)


def kids(store: MemoryKeyStore) -> list[str]:
    assert store.ring is not None
    return [key.kid for key in store.ring.keys]


def test_retention_covers_the_last_token_of_a_stale_process(settings: Settings) -> None:
    """The longest lifetime that there can be, leeway, how long a process may not know of the
    successor, and a minute.
    """
    settings.JWT_AUTH_CLOCK_LEEWAY = timedelta(seconds=7)
    settings.JWT_AUTH_KEY_RELOAD_INTERVAL = timedelta(seconds=30)
    assert lifecycle.retention() == timedelta(hours=24, minutes=1, seconds=37)


def test_key_lives_as_long_as_a_token_from_before_the_lifetime_was_lowered(
    store: MemoryKeyStore, now: datetime, settings: Settings
) -> None:
    """The setting says nothing of the tokens that are out there."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(hours=24)
    (first,) = kids(store)
    last = now + settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(minutes=5)
    lifecycle.rotate(store, algorithm=None, now=now, at_once=True)
    lifecycle.retire(store, now=last)
    assert cache.get_verification_key(first, last).kid == first


@pytest.fixture
def misdated(store: MemoryKeyStore, now: datetime) -> str:
    """The kid of a key that was made by a clock that was years ahead."""
    lifecycle.rotate(store, algorithm=None, now=now + 2000 * DAY)
    return kids(store)[-1]


@pytest.mark.parametrize("if_due", [True, False])
def test_key_of_a_clock_that_was_years_ahead_is_named(
    store: MemoryKeyStore, now: datetime, misdated: str, if_due: bool
) -> None:
    """It would else wait for years, and no other could be published: cron has to say so."""
    with pytest.raises(KeyMisdated, match=rf"Key {misdated} is to sign from 2035.*\(2030-01-01\)"):
        lifecycle.rotate(store, algorithm=None, now=now, if_due=if_due)
    with pytest.raises(KeyMisdated, match=r"`manage\.py rotate_keys --now`"):
        lifecycle.add(store, NewKey(jwk=jwk.generate("ES256")), now=now)


def test_key_of_a_clock_that_was_years_ahead_signs_when_it_is_told_to(
    store: MemoryKeyStore, ring: KeyRing, now: datetime, misdated: str
) -> None:
    """The former one verifies to the end of its last token, and not for years; all goes on."""
    lifecycle.rotate(store, algorithm=None, now=now, at_once=True)
    assert signing_key(now).kid == misdated
    assert store.ring is not None
    assert store.ring.keys[0].expires_at == now + lifecycle.retention()
    assert store.ring.keys[1].expires_at is None
    lifecycle.rotate(store, algorithm=None, now=now + 90 * DAY, if_due=True)
    assert [misdated, *kids(store)[1:]] == kids(store)
    assert len(kids(store)) == 2


def test_first_key_of_a_clock_that_was_years_ahead_is_named(
    memory_store: MemoryKeyStore, now: datetime
) -> None:
    """It signs all the same, and every later one would be dated after it."""
    key = lifecycle.make_first(memory_store, algorithm="ES256", now=now + 2000 * DAY)
    with pytest.raises(KeyMisdated, match=key.kid):
        lifecycle.rotate(memory_store, algorithm=None, now=now, if_due=True)
    done = lifecycle.rotate(memory_store, algorithm=None, now=now, at_once=True)
    assert [(key.kid, key.activates_at) for key in done.after.keys] == [(key.kid, now)]


def test_rotation_is_told_and_followed(
    store: MemoryKeyStore, now: datetime, events: list[tuple[str, str | None]]
) -> None:
    """The process that did it knows at once; receivers hear what became of which key."""
    (first,) = kids(store)
    lifecycle.rotate(store, algorithm=None, now=now)
    second = kids(store)[1]
    assert cache.get_verification_key(second, now).kid == second
    lifecycle.rotate(store, algorithm=None, now=now, at_once=True)
    lifecycle.replace_compromised(store, kid=second, algorithm=None, now=now)
    third = kids(store)[1]
    assert [event for event in events if event[1] is not None] == [
        ("published", second),
        ("superseded", first),
        ("activated", second),
        ("compromised", second),
        ("activated", third),
    ]
    assert signing_key(now).kid == third
    lifecycle.retire(store, now=now + 2 * DAY)
    assert events[-1] == ("retired", first)


def test_dry_run_saves_nothing_and_tells_nothing(
    store: MemoryKeyStore, ring: KeyRing, now: datetime, events: list[tuple[str, str | None]]
) -> None:
    """Of every kind of change."""
    lifecycle.rotate(store, algorithm="EdDSA", now=now, dry_run=True)
    lifecycle.replace_compromised(
        store, kid=ring.keys[0].kid, algorithm=None, now=now, dry_run=True
    )
    lifecycle.retire(store, now=now, dry_run=True)
    assert store.ring == ring
    assert {event for event, _ in events} == {"loaded"}


def test_rotation_takes_the_algorithm_of_the_settings(
    store: MemoryKeyStore, now: datetime, settings: Settings
) -> None:
    """A change of the algorithm is an ordinary rotation."""
    settings.JWT_AUTH_ALGORITHM = "EdDSA"
    change = lifecycle.rotate(store, algorithm=None, now=now)
    assert [key.algorithm for key in change.after.keys] == ["ES256", "EdDSA"]


def test_waiting_key_is_not_published_twice(store: MemoryKeyStore, now: datetime) -> None:
    """Nor taken for one of another algorithm."""
    lifecycle.rotate(store, algorithm=None, now=now)
    published = store.ring
    lifecycle.rotate(store, algorithm="ES256", now=now)
    lifecycle.rotate(store, algorithm="EdDSA", now=now, if_due=True)
    with pytest.raises(KeyWaiting):
        lifecycle.rotate(store, algorithm="EdDSA", now=now)
    assert store.ring == published


def test_ring_that_is_not_there_yet_is_no_event(
    memory_store: MemoryKeyStore, events: list[tuple[str, str | None]]
) -> None:
    """Each start before the first key is made would otherwise be in the security log."""
    with pytest.raises(KeyRingMissing):
        load_ring(memory_store)
    assert events == []


def test_ring_that_is_made_anew_is_followed_at_once(store: MemoryKeyStore, now: datetime) -> None:
    """A process that has a copy of the former ring does not go on signing with its key."""
    former = signing_key(now).kid
    store.ring = None
    first = lifecycle.make_first(store, algorithm="ES256", now=now)
    assert former != first.kid == signing_key(now).kid


def test_change_that_changes_nothing_saves_nothing(
    store: MemoryKeyStore, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's time would change, and every process would load the same ring again."""
    lifecycle.rotate(store, algorithm=None, now=now)
    monkeypatch.setattr(store, "save", None)  # which can't be called
    lifecycle.rotate(store, algorithm=None, now=now)
    lifecycle.rotate(store, algorithm=None, now=now, if_due=True)
    lifecycle.retire(store, now=now)


def test_rotation_drops_expired_keys(store: MemoryKeyStore, now: datetime) -> None:
    """The ring does not grow."""
    for days in range(0, 8, 2):
        lifecycle.rotate(store, algorithm=None, now=now + days * DAY)
    assert len(kids(store)) == 2


def test_rotation_is_due_only_after_the_interval(store: MemoryKeyStore, now: datetime) -> None:
    """So cron may ask every day."""
    lifecycle.rotate(store, algorithm=None, now=now + 89 * DAY, if_due=True)
    assert len(kids(store)) == 1
    lifecycle.rotate(store, algorithm=None, now=now + 90 * DAY, if_due=True)
    assert len(kids(store)) == 2


def test_compromised_key_takes_the_waiting_one_with_it(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """Both lay in the same place; a key that only verifies stays."""
    lifecycle.rotate(store, algorithm=None, now=now, at_once=True)
    former, signing = kids(store)
    lifecycle.rotate(store, algorithm=None, now=now)
    waiting = kids(store)[2]
    lifecycle.replace_compromised(store, kid=signing, algorithm=None, now=now)
    assert kids(store)[0] == former
    assert not {signing, waiting} & set(kids(store))
    assert signing_key(now).kid == kids(store)[1]


def under_another_name(key: dict[str, Any], algorithm: str) -> dict[str, Any]:
    return key | {"kid": f"for {algorithm}", "alg": algorithm}


@pytest.mark.parametrize(
    ("algorithm", "other"), [("RS256", "PS256"), ("ES256", "ES256"), ("HS256", "HS256")]
)
def test_compromised_key_goes_under_each_of_its_names(
    store: MemoryKeyStore,
    now: datetime,
    algorithm: str,
    other: str,
    events: list[tuple[str, str | None]],
) -> None:
    """Whoever has it has it whole; a ring of an earlier version may have it twice."""
    key = generated(algorithm)
    assert store.ring is not None
    (innocent,) = kids(store)
    for jwk_ in (key, under_another_name(key, other)):
        store.ring = store.ring.with_next_key(jwk_, now, now, DAY)
    lifecycle.replace_compromised(store, kid=key["kid"], algorithm=None, now=now)
    assert [kid for kid in kids(store) if kid in (innocent, key["kid"], f"for {other}")] == [
        innocent
    ]
    compromised = [kid for event, kid in events if event == "compromised"]
    assert compromised == [key["kid"], f"for {other}"]


@pytest.mark.parametrize(
    ("algorithm", "other"), [("RS256", "PS256"), ("ES256", "ES256"), ("HS256", "HS256")]
)
def test_key_that_is_there_under_another_name_is_refused(
    store: MemoryKeyStore, now: datetime, algorithm: str, other: str
) -> None:
    """A key has one kid and one algorithm."""
    key = generated(algorithm)
    lifecycle.add(store, NewKey(jwk=key), now=now, at_once=True)
    before = store.ring
    with pytest.raises(KeyTaken, match=f"as {key['kid']} for {algorithm}"):
        lifecycle.add(store, NewKey(jwk=under_another_name(key, other)), now=now, at_once=True)
    assert store.ring == before


def test_unknown_compromised_key_changes_nothing(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """A typing mistake logs nobody out."""
    with pytest.raises(UnknownKey):
        lifecycle.replace_compromised(store, kid="nobody's", algorithm=None, now=now)
    assert store.ring == ring


def test_collision_of_a_rotation_by_hand_is_reported(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The other operator's key may be the one that was wanted."""
    store.intruders = [ring.with_next_key(jwk.generate("ES256"), now, now, DAY)]
    with pytest.raises(KeyRingConflict):
        lifecycle.rotate(store, algorithm=None, now=now, at_once=True)


def test_collision_of_a_rotation_that_is_due_rotates_once(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """The loser finds that nothing is due any more."""
    later = now + 90 * DAY
    intruder = ring.with_next_key(jwk.generate("ES256"), later, later, DAY)
    store.intruders = [intruder]
    change = lifecycle.rotate(store, algorithm=None, now=later, if_due=True)
    assert store.ring == change.after == intruder


def test_compromised_key_goes_in_spite_of_collisions(
    store: MemoryKeyStore, ring: KeyRing, now: datetime
) -> None:
    """A few; of one after the other somebody is told."""
    kid = ring.keys[0].kid
    intruders = [ring]
    for _ in range(5):
        intruders.append(intruders[-1].with_activated(kid, now))
    store.intruders = intruders[1:4]
    lifecycle.replace_compromised(store, kid=kid, algorithm=None, now=now)
    assert kid not in kids(store)
    store.ring, store.intruders = ring, intruders[1:]
    with pytest.raises(KeyRingConflict):
        lifecycle.replace_compromised(store, kid=kid, algorithm=None, now=now)


CRON = """
import sys
import django
from django.conf import settings
from django.core.management import call_command
django.setup()
settings.JWT_AUTH_KEY_STORE = {
    "BACKEND": "tests.keys.stores.PausingKeyStore", "OPTIONS": {"PATH": sys.argv[1]}
}
call_command("rotate_keys", if_due=True, skip_checks=True)
"""


def test_jobs_that_find_a_rotation_due_rotate_once(folder: Path) -> None:
    """All have loaded the ring when the first one saves; all end well."""
    past = datetime.now(UTC) - 91 * DAY
    ring = KeyRing(version=0).with_next_key(jwk.generate("ES256"), past, past, DAY)
    FileKeyStore(PATH=folder).save(ring, expected_version=None)
    with ExitStack() as stack:
        jobs = [start_job(folder, stack) for _ in range(3)]
        for job in jobs:
            assert job.stdout is not None
            assert job.stdout.readline() == "loaded\n"
        outputs = [job.communicate("\n")[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 3
    assert len(json.loads((folder / "ring.json").read_text())["keys"]) == 2
    assert ["Nothing was changed" in output for output in outputs] == [False, True, True]


def start_job(folder: Path, stack: ExitStack) -> subprocess.Popen[str]:
    """Have cron start the command, which ends with the stack at the latest."""
    command = [sys.executable, "-c", CRON, str(folder)]
    job = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.enter_context(job)
    stack.callback(job.kill)
    return job
