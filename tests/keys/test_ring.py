"""The ring: what each key is for at a moment, and the document it is kept in."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from jwt_auth.exceptions import KeyRingTorn, NoSigningKey
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing, KeyState
from jwt_auth.keys.ring_document import FORMAT

MINUTE = timedelta(minutes=1)
RETENTION = 16 * MINUTE


@pytest.fixture
def rotated(ring: KeyRing, now: datetime) -> KeyRing:
    """A second key waits, to sign ten minutes from now."""
    return ring.with_next_key(jwk.generate("EdDSA"), now, now + 10 * MINUTE, RETENTION)


def states(ring: KeyRing, now: datetime) -> list[str]:
    return [ring.state_of(key, now).value for key in ring.keys]


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0, ["signing", "published"]),
        (9, ["signing", "published"]),
        (10, ["verifying", "signing"]),
        (25, ["verifying", "signing"]),
        (26, ["expired", "signing"]),
    ],
)
def test_states_follow_the_clock(
    rotated: KeyRing, now: datetime, minutes: int, expected: list[str]
) -> None:
    """Nothing has to happen when a key's time comes."""
    moment = now + minutes * MINUTE
    assert states(rotated, moment) == expected
    verifying = rotated.verifying_keys(moment)
    assert [key in verifying for key in rotated.keys] == [state != "expired" for state in expected]
    assert rotated.state_of(rotated.signing_key(moment), moment) is KeyState.SIGNING


def test_first_key_signs_before_its_time(ring: KeyRing, now: datetime) -> None:
    """Another node's clock may be a moment behind that of the node that made it."""
    assert ring.signing_key(now - MINUTE) == ring.keys[0]
    assert states(ring, now - MINUTE) == ["signing"]
    assert ring.find_waiting(now - MINUTE) is None


def test_of_two_keys_of_one_moment_the_later_signs(ring: KeyRing, now: datetime) -> None:
    """Every node picks the same one."""
    twice = ring.with_next_key(jwk.generate("ES256"), now, now, RETENTION)
    assert states(twice, now) == ["verifying", "signing"]


def test_next_key_is_never_activated_before_a_former_one(ring: KeyRing, now: datetime) -> None:
    """Else a node whose clock is behind would make a key that never signs."""
    before = now - MINUTE
    later = ring.with_next_key(jwk.generate("ES256"), before, before, RETENTION)
    assert later.keys[1].activates_at == now
    assert later.signing_key(now) == later.keys[1]


def test_former_key_keeps_an_expiry_that_it_has(rotated: KeyRing, now: datetime) -> None:
    """A third key does not prolong the first."""
    third = rotated.with_next_key(jwk.generate("ES256"), now, now + 20 * MINUTE, RETENTION)
    assert [key.expires_at for key in third.keys] == [
        now + 26 * MINUTE,
        now + 36 * MINUTE,
        None,
    ]


def test_ring_without_a_living_key_signs_nothing(rotated: KeyRing, now: datetime) -> None:
    """An expired key never signs, not even for want of another."""
    alone = rotated.without(rotated.keys[1].kid)
    with pytest.raises(NoSigningKey):
        alone.signing_key(now + 26 * MINUTE)
    assert alone.find_waiting(now + 26 * MINUTE) is None
    assert alone.is_due(now + 26 * MINUTE, timedelta(days=90))
    assert alone.retired(now + 26 * MINUTE) is alone


def test_activated_key_signs_now(rotated: KeyRing, now: datetime) -> None:
    """And the former one verifies as long as it would have."""
    waiting = rotated.find_waiting(now)
    assert waiting is not None
    activated = rotated.with_activated(waiting.kid, now)
    assert states(activated, now) == ["verifying", "signing"]
    assert activated.keys[0] == rotated.keys[0]


def test_retired_ring_has_no_expired_key(rotated: KeyRing, now: datetime) -> None:
    """A ring that has none stays the same, so that nothing is saved."""
    assert rotated.retired(now) is rotated
    assert rotated.retired(now + 26 * MINUTE).keys == rotated.keys[1:]


def test_every_change_has_a_new_version(rotated: KeyRing, now: datetime) -> None:
    """The store tells rings apart by it."""
    kid = rotated.keys[1].kid
    changed = [
        rotated.with_next_key(jwk.generate("ES256"), now, now, RETENTION),
        rotated.with_activated(kid, now),
        rotated.without(kid),
        rotated.retired(now + 26 * MINUTE),
    ]
    assert [ring.version for ring in changed] == [rotated.version + 1] * 4


def test_rotation_is_due_an_interval_after_the_last_activation(
    rotated: KeyRing, now: datetime
) -> None:
    """Not after the first one."""
    assert not rotated.is_due(now + 69 * MINUTE, timedelta(hours=1))
    assert rotated.is_due(now + 70 * MINUTE, timedelta(hours=1))


def test_secret_is_never_published(ring: KeyRing, now: datetime) -> None:
    """A ring on its way from HS256 verifies with both and publishes one."""
    mixed = ring.with_next_key(jwk.generate("HS256"), now, now, RETENTION)
    assert len(mixed.verifying_keys(now)) == 2
    assert mixed.published_keys(now) == mixed.keys[:1]


def test_expired_key_is_not_published(rotated: KeyRing, now: datetime) -> None:
    """A waiting one is."""
    assert rotated.published_keys(now) == rotated.keys
    assert rotated.published_keys(now + 26 * MINUTE) == rotated.keys[1:]


def test_repr_shows_no_private_member(rotated: KeyRing) -> None:
    """Neither of the ring nor of its keys."""
    for key in rotated.keys:
        assert key.jwk["d"] not in repr(rotated) + repr(key)
        assert key.kid in repr(key)


def test_ring_survives_its_document(rotated: KeyRing) -> None:
    """What is read is what was written."""
    assert KeyRing.from_json(rotated.to_json()) == rotated


def document(ring: KeyRing) -> Any:
    return json.loads(ring.to_json())


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", '{"format": "1"}', "[" * 100_000])
def test_foreign_text_is_torn(text: str) -> None:
    """Whatever lies in the ring's place."""
    with pytest.raises(KeyRingTorn):
        KeyRing.from_json(text)


def test_newer_format_says_so(ring: KeyRing) -> None:
    """An old node must not rewrite what it does not understand."""
    with pytest.raises(KeyRingTorn, match=r"newer format.*upgrade"):
        KeyRing.from_json(json.dumps(document(ring) | {"format": FORMAT + 1}))


def test_repeated_name_is_torn(ring: KeyRing) -> None:
    """Two readers could take different ones."""
    with pytest.raises(KeyRingTorn, match="JSON"):
        KeyRing.from_json(ring.to_json().replace('"version"', '"format": 1, "version"'))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": True}, "format number"),
        ({"format": 0}, "format number"),
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"version": 0}, "version"),
        ({"keys": {}}, "no keys"),
        ({"keys": []}, "no keys"),
        ({"keys": ["x"]}, "Key 1 of the ring is not an object"),
        ({"keys": [{"jwk": {}}]}, "lacks activates_at, created_at, expires_at"),
        ({"extra": 1}, "do not belong"),
    ],
)
def test_wrong_document_is_torn(ring: KeyRing, change: dict[str, Any], reason: str) -> None:
    """The text says where the fault is."""
    with pytest.raises(KeyRingTorn, match=reason):
        KeyRing.from_json(json.dumps(document(ring) | change))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"jwk": "private"}, "JWK with a kid"),
        ({"jwk": {"alg": "ES256"}}, "JWK with a kid"),
        ({"jwk": {"alg": "ES256", "kid": ""}}, "JWK with a kid"),
        ({"jwk": {"alg": "none", "kid": "k"}}, "algorithm"),
        ({"jwk": {"alg": ["ES256"], "kid": "k"}}, "algorithm"),
        ({"created_at": 1}, "ISO 8601"),
        ({"activates_at": "tomorrow"}, "ISO 8601"),
        ({"expires_at": "2030-01-01T00:00:00"}, "ISO 8601"),
        ({"expires_at": "2029-01-01T00:00:00Z"}, "expiry"),
        ({"extra": 1}, "do not belong"),
    ],
)
def test_wrong_key_is_torn_without_its_contents(
    ring: KeyRing, change: dict[str, Any], reason: str
) -> None:
    """It is said which key and what is wrong, and nothing of it is quoted."""
    wrong = document(ring)
    private = wrong["keys"][0]["jwk"]["d"]
    wrong["keys"][0] |= change
    with pytest.raises(KeyRingTorn, match=f"Key 1 of the ring.*{reason}") as torn:
        KeyRing.from_json(json.dumps(wrong))
    assert private not in str(torn.value)


def test_two_keys_of_one_kid_are_torn(ring: KeyRing) -> None:
    """A token would not say which of them signed it."""
    wrong = document(ring)
    wrong["keys"] *= 2
    with pytest.raises(KeyRingTorn, match="same kid"):
        KeyRing.from_json(json.dumps(wrong))
