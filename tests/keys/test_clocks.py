"""Clocks that differ by a minute, between nodes and between a node and a verifier.

Simulated: the true time goes by in steps of ten seconds, each node has the ring that it may have
had at the time, at the worst, and its own clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.conf import JWKS_MAX_AGE, conf
from jwt_auth.exceptions import Refusal
from jwt_auth.keys import cache, jwk, lifecycle
from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.stores.file import FileKeyStore
from jwt_auth.tokens import access
from tests.keys.reloading import signing_key
from tests.keys.stores import MemoryKeyStore
from tests.tokens.forging import SESSION, refusal_of

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
STEP, MINUTE = timedelta(seconds=10), timedelta(minutes=1)
BEHIND, RIGHT, AHEAD = -MINUTE, timedelta(0), MINUTE

#: Clocks of three nodes that differ by a minute at most: who rotates, who signs, who verifies.
CLOCKS = [
    clocks
    for clocks in product((BEHIND, RIGHT, AHEAD), repeat=3)
    if max(clocks) - min(clocks) <= MINUTE
]


@dataclass(frozen=True, kw_only=True)
class Change:
    """The ring before and after a change at START, by a node whose clock is not right."""

    before: KeyRing
    after: KeyRing

    def ring(self, time: datetime, *, stale_for: timedelta) -> KeyRing:
        return self.before if time < START + stale_for else self.after


@pytest.fixture
def store(memory_store: MemoryKeyStore) -> MemoryKeyStore:
    """A ring with a key that signs and one that it has superseded."""
    then = START - timedelta(days=90)
    ring = KeyRing(version=0).with_next_key(jwk.generate("ES256"), then, then, MINUTE)
    late = START - timedelta(minutes=5)
    memory_store.ring = ring.with_next_key(jwk.generate("ES256"), late, late, lifecycle.retention())
    return memory_store


def change(store: MemoryKeyStore, how: str, now: datetime) -> Change:
    assert store.ring is not None
    before = store.ring
    if how == "compromised":
        lifecycle.replace_compromised(store, kid=before.keys[1].kid, algorithm=None, now=now)
    else:
        lifecycle.rotate(store, algorithm="EdDSA", now=now, at_once=how == "at once")
    assert store.ring is not None
    return Change(before=before, after=store.ring)


def moments(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += STEP


def signed(ring: KeyRing, clock: datetime) -> tuple[RingKey, datetime]:
    """The key of a token issued now, and when the token is over."""
    key = ring.signing_key(clock)
    end = clock + conf.access_token_lifetime
    return key, end if key.expires_at is None else min(end, key.expires_at)


def verifies(ring: KeyRing, kid: str, clock: datetime) -> bool:
    return any(key.kid == kid for key in ring.verifying_keys(clock))


@pytest.mark.parametrize("how", ["published ahead", "at once"])
@pytest.mark.parametrize(("operator", "signer", "verifier"), CLOCKS)
def test_rotation_refuses_no_token_whatever_the_clocks(
    store: MemoryKeyStore, how: str, operator: timedelta, signer: timedelta, verifier: timedelta
) -> None:
    """The signer has the old ring for a whole reload interval; the verifier looks kids up."""
    done = change(store, how, START + operator)
    interval = conf.key_reload_interval
    for issued in moments(START - MINUTE, START + timedelta(minutes=30)):
        clock = issued + signer
        key, over = signed(done.ring(issued, stale_for=interval), clock)
        assert over > clock
        for time in moments(max(issued, clock - verifier), over - verifier):
            assert verifies(done.ring(time, stale_for=RIGHT), key.kid, time + verifier)


@pytest.mark.parametrize(("operator", "signer", "publisher"), CLOCKS)
def test_verifier_with_a_cached_key_set_has_each_key_before_it_signs(
    store: MemoryKeyStore, operator: timedelta, signer: timedelta, publisher: timedelta
) -> None:
    """Its set is as old as `max-age` allows, from a node whose ring is as old as allowed."""
    done = change(store, "published ahead", START + operator)
    oldest = JWKS_MAX_AGE + conf.key_reload_interval
    for issued, new in product(moments(START, START + timedelta(minutes=25)), (RIGHT, oldest)):
        key, _ = signed(done.after, issued + signer)
        fetched = issued - (oldest - new)
        assert verifies(done.ring(fetched, stale_for=RIGHT), key.kid, fetched + publisher)


@pytest.mark.parametrize(("operator", "clock", "_"), CLOCKS)
def test_new_key_signs_at_once_after_an_emergency_whatever_the_clocks(
    store: MemoryKeyStore, operator: timedelta, clock: timedelta, _: timedelta
) -> None:
    """Where the clock is behind no former key of the same store takes its place."""
    done = change(store, "compromised", START + operator)
    assert len(done.after.keys) == 2
    assert done.after.signing_key(START + clock) == done.after.keys[1]


def issue(now: datetime) -> access.IssuedAccessToken:
    return access.issue(
        subject="1",
        session_id=UUID(SESSION),
        token_version=0,
        roles=[],
        auth_time=int(now.timestamp()),
        own_claims={},
        expires_at=now + conf.access_token_lifetime,
        now=now,
    )


@pytest.mark.parametrize("ahead", [AHEAD, timedelta(seconds=3)])
def test_token_of_a_node_whose_clock_is_ahead_needs_a_leeway(
    settings: Settings, file_store: FileKeyStore, ahead: timedelta
) -> None:
    """Without one it is refused as not yet valid, by name, until the other clock gets there."""
    call_command("generate_keys", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    token = issue(now + ahead).text
    assert refusal_of(token, now=now) == Refusal.NOT_YET_VALID
    assert access.verify(token, now=now + ahead).jti
    settings.JWT_AUTH_CLOCK_LEEWAY = ahead
    assert access.verify(token, now=now).jti


@pytest.mark.parametrize("behind", [MINUTE, timedelta(seconds=3)])
def test_token_of_a_node_whose_clock_is_behind_is_good(
    file_store: FileKeyStore, behind: timedelta
) -> None:
    """It is over earlier by as much."""
    call_command("generate_keys", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    token = issue(now - behind).text
    assert access.verify(token, now=now).jti
    end = now - behind + conf.access_token_lifetime
    assert access.verify(token, now=end - timedelta(seconds=1)).jti
    assert refusal_of(token, now=end) == Refusal.EXPIRED


def test_token_does_not_outlive_its_key(settings: Settings, file_store: FileKeyStore) -> None:
    """Earlier versions have planned sooner ends; the answer says when the token is over."""
    settings.JWT_AUTH_ACCESS_TOKEN_LIFETIME = timedelta(hours=2)
    call_command("generate_keys", verbosity=0)
    call_command("rotate_keys", verbosity=0)
    ring = file_store.load()
    former, following = ring.keys
    end = following.activates_at + timedelta(minutes=17)
    planned = replace(ring, version=3, keys=(replace(former, expires_at=end), following))
    file_store.save(planned, expected_version=2)
    cache.reset()
    now = datetime.now(UTC)
    assert signing_key(now).kid == former.kid
    issued = issue(now)
    last = access.verify(issued.text, now=end - timedelta(seconds=2)).expires_at
    assert end - timedelta(seconds=1) <= last <= end
    assert issued.expires_in == (last - now.replace(microsecond=0)).total_seconds()
    later = issue(following.activates_at)
    assert later.expires_in == 2 * 60 * 60
