"""Keys whose private part a signer has: in the ring, in rotations and when they sign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from pytest_django import Settings

from jwt_auth.exceptions import (
    InvalidKey,
    KeyRingConflict,
    KeyRingExists,
    KeyRingTorn,
    KeySignerError,
)
from jwt_auth.keys import cache, jwk, lifecycle
from jwt_auth.keys.ring import KeyRing, SignerReference
from jwt_auth.keys.ring_document import FORMAT
from jwt_auth.keys.signers.base import NewKey, RemoteSigningKey, find_key_signer, prepare_ring_key
from tests.keys.reloading import holds_in_child, signing_key
from tests.keys.signers import DENIED, DOWN, REFERENCE, LocalSigner, private_part, public_part
from tests.keys.stores import MemoryKeyStore

LOCAL = {"BACKEND": "tests.keys.signers.LocalSigner"}
RETENTION = timedelta(minutes=16)


@pytest.fixture(autouse=True)
def signer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings' signer, which has not been called yet."""
    settings.JWT_AUTH_KEY_SIGNER = LOCAL
    monkeypatch.setattr(LocalSigner, "made", 0)
    monkeypatch.setattr(LocalSigner, "failure", None)


@pytest.fixture
def remote(now: datetime) -> KeyRing:
    """A ring of one key that a signer signs with."""
    members = public_part(REFERENCE.key)
    return KeyRing(version=0).with_next_key(members, now, now, RETENTION, signer=REFERENCE)


def document(ring: KeyRing) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(ring.to_json())
    return members


# ---- The document


def test_ring_with_a_signer_comes_back_the_same(remote: KeyRing) -> None:
    """With the reference and the public part, and without a private one."""
    assert KeyRing.from_json(remote.to_json()) == remote
    (entry,) = document(remote)["keys"]
    assert entry["signer"] == {"backend": "local", "key": "the key"}
    assert "d" not in entry["jwk"]


def test_only_a_ring_with_a_signer_has_the_new_format(ring: KeyRing, remote: KeyRing) -> None:
    """An older version would take a public key for a private one, and says that it is too new."""
    assert document(ring)["format"] == 1
    assert document(remote)["format"] == FORMAT == 2


def test_signer_in_the_old_format_is_torn(remote: KeyRing) -> None:
    """No version of jwt_auth has written that."""
    with pytest.raises(KeyRingTorn, match="do not belong"):
        KeyRing.from_json(json.dumps(document(remote) | {"format": 1}))


@pytest.mark.parametrize(
    ("signer", "match"),
    [
        (None, "signer of key 1 of the ring is not an object"),
        ({"backend": "local"}, "lacks key"),
        ({"backend": "local", "key": "a", "note": "b"}, "do not belong"),
        ({"backend": "local", "key": ""}, "no text"),
        ({"backend": 7, "key": "a"}, "no text"),
    ],
)
def test_signer_that_names_nothing_is_torn(signer: object, match: str, remote: KeyRing) -> None:
    """The reference is read as strictly as the rest."""
    members = document(remote)
    members["keys"][0]["signer"] = signer
    with pytest.raises(KeyRingTorn, match=match):
        KeyRing.from_json(json.dumps(members))


def test_signer_beside_a_private_part_is_torn(remote: KeyRing) -> None:
    """The two contradict each other about where the private key is."""
    members = document(remote)
    members["keys"][0]["jwk"] = private_part(REFERENCE.key)
    with pytest.raises(KeyRingTorn, match="only one can be meant"):
        KeyRing.from_json(json.dumps(members))


# ---- Signing


@pytest.fixture
def store(memory_store: MemoryKeyStore, remote: KeyRing) -> Iterator[MemoryKeyStore]:
    """A store with that ring."""
    memory_store.ring = remote
    cache.reset()
    yield memory_store
    cache.reset()


def test_signer_signs_what_the_ring_verifies(store: MemoryKeyStore, now: datetime) -> None:
    """Through the process's copy of the ring, as in a login."""
    key = signing_key(now)
    assert isinstance(key, RemoteSigningKey)
    signature = key.sign(b"message")
    assert cache.get_verification_key(key.kid, now).verify(b"message", signature)
    assert cache.get_jwk_set(now) == {"keys": [public_part(REFERENCE.key)]}


def test_signature_of_another_key_is_not_given_out(
    store: MemoryKeyStore, now: datetime, settings: Settings
) -> None:
    """Every verifier would refuse the token, and the cause would be hard to find."""
    settings.JWT_AUTH_KEY_SIGNER = {**LOCAL, "OPTIONS": {"CONFUSED": True}}
    with pytest.raises(KeySignerError, match="does not verify"):
        signing_key(now).sign(b"message")


@pytest.mark.parametrize("reference", [None, SignerReference(backend="other", key="the key")])
def test_signer_that_is_not_set_is_named(
    reference: SignerReference | None, remote: KeyRing, settings: Settings
) -> None:
    """The settings name no signer, or another one than the ring."""
    if reference is None:
        settings.JWT_AUTH_KEY_SIGNER = None
    key = prepare_ring_key(replace(remote.keys[0], signer=reference or REFERENCE))
    with pytest.raises(KeySignerError, match="set JWT_AUTH_KEY_SIGNER"):
        key.sign(b"message")


def test_repr_shows_no_material(remote: KeyRing) -> None:
    """It shows the signer and the key's name there."""
    shown = repr(prepare_ring_key(remote.keys[0])) + repr(
        NewKey(jwk=public_part("a"), signer=REFERENCE)
    )
    assert "the key" in shown
    assert public_part(REFERENCE.key)["x"] not in shown


def test_malformed_key_of_a_signer_is_refused_at_the_load(remote: KeyRing) -> None:
    """Like any other key of the ring."""
    (key,) = remote.keys
    broken = KeyRing(version=0).with_next_key(
        key.jwk | {"x": key.jwk["y"]}, key.created_at, key.activates_at, RETENTION, signer=REFERENCE
    )
    with pytest.raises(InvalidKey):
        prepare_ring_key(broken.keys[0])


# ---- Making


def test_next_key_is_made_there(store: MemoryKeyStore, now: datetime) -> None:
    """The former key still verifies, wherever its private part is."""
    done = lifecycle.rotate(store, algorithm=None, now=now)
    made = done.after.keys[-1]
    assert made.signer == SignerReference(backend="local", key="made-1")
    assert made.jwk == public_part("made-1")


def test_ring_that_is_there_costs_no_key(store: MemoryKeyStore, now: datetime) -> None:
    """The ring is looked for before a key is made, which costs money."""
    with pytest.raises(KeyRingExists):
        lifecycle.make_first(store, algorithm="ES256", now=now)
    assert LocalSigner.made == 0


def test_dry_run_makes_nothing_there(store: MemoryKeyStore, now: datetime) -> None:
    """It only says what would be done, and costs nothing."""
    (key,) = store.load().keys
    lifecycle.rotate(store, algorithm=None, now=now, dry_run=True)
    lifecycle.replace_compromised(store, kid=key.kid, algorithm=None, now=now, dry_run=True)
    assert LocalSigner.made == 0


def test_rotation_that_is_not_due_makes_nothing(store: MemoryKeyStore, now: datetime) -> None:
    """Cron runs it every night."""
    lifecycle.rotate(store, algorithm=None, now=now, if_due=True)
    assert LocalSigner.made == 0


def test_compromised_key_is_replaced_by_one_from_there(
    store: MemoryKeyStore, now: datetime
) -> None:
    """One key is made, however often the change has to start again."""
    (key,) = store.load().keys
    store.intruders = [
        store.load().with_next_key(jwk.generate("ES256"), now, now, RETENTION) for _ in range(2)
    ]
    done = lifecycle.replace_compromised(store, kid=key.kid, algorithm=None, now=now)
    assert LocalSigner.made == 1
    assert done.newest.signer == SignerReference(backend="local", key="made-1")


def test_signer_that_is_down_leaves_the_ring_alone(store: MemoryKeyStore, now: datetime) -> None:
    """The command ends with the reason."""
    LocalSigner.failure = DOWN
    before = store.load()
    with pytest.raises(KeySignerError, match="down"):
        lifecycle.rotate(store, algorithm=None, now=now)
    assert store.load() == before


def test_algorithm_that_it_does_not_have_is_refused(store: MemoryKeyStore, now: datetime) -> None:
    """HS256 has no public part to keep."""
    with pytest.raises(InvalidKey, match="local has no keys for HS256, only for ES256"):
        lifecycle.rotate(store, algorithm="HS256", now=now)


def test_key_that_was_made_in_vain_is_named(
    store: MemoryKeyStore, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process was faster. This key is in no ring, can still sign, and costs money."""
    store.intruders = [
        store.load().with_next_key(jwk.generate("ES256"), now, now + RETENTION, RETENTION)
    ]
    with pytest.raises(KeyRingConflict):
        lifecycle.rotate(store, algorithm=None, now=now)
    assert "made at local in vain. End made-1 by hand." in caplog.text


def test_node_that_was_slower_names_its_key(
    store: MemoryKeyStore, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """If five nodes rotate at once from cron, one wins, and the others have nothing left to do."""
    due = now + timedelta(days=91)
    store.intruders = [store.load().with_next_key(jwk.generate("ES256"), due, due, RETENTION)]
    lifecycle.rotate(store, algorithm=None, now=due, if_due=True)
    assert "End made-1 by hand." in caplog.text


def test_key_that_signs_wrongly_comes_into_no_ring(
    store: MemoryKeyStore, now: datetime, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it was made or adopted: its signer has to sign once before."""
    settings.JWT_AUTH_KEY_SIGNER = {**LOCAL, "OPTIONS": {"CONFUSED": True}}
    before = store.load()
    with pytest.raises(KeySignerError, match="does not verify"):
        lifecycle.rotate(store, algorithm=None, now=now)
    assert "End made-1 by hand." in caplog.text
    brought = NewKey(jwk=public_part("a"), signer=SignerReference(backend="local", key="a"))
    with pytest.raises(KeySignerError, match="does not verify"):
        lifecycle.add(store, brought, now=now)
    assert store.load() == before


def test_key_that_only_the_servers_may_use_is_not_tried(
    store: MemoryKeyStore, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """The job that makes keys may lack that permission. The log has the command that tries it."""
    LocalSigner.failure = DENIED
    done = lifecycle.rotate(store, algorithm=None, now=now)
    assert done.after.keys[-1].jwk == public_part("made-1")
    assert (
        "was not tried: It is denied. Once it signs, run `manage.py check --deploy`" in caplog.text
    )


def test_key_that_is_used_is_not_named(
    store: MemoryKeyStore, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not be ended."""
    lifecycle.rotate(store, algorithm=None, now=now)
    assert "in vain" not in caplog.text


def test_dropped_key_is_named(
    store: MemoryKeyStore, now: datetime, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    """The signer still signs with it, even if the settings no longer name the signer."""
    lifecycle.rotate(store, algorithm=None, now=now, at_once=True)
    call_command("rotate_keys", "--retire", "--dry-run")
    assert "End" not in capsys.readouterr().out
    ring = store.load()
    store.ring = _expired(ring)
    call_command("rotate_keys", "--retire")
    assert "End the key by hand." in capsys.readouterr().out
    settings.JWT_AUTH_KEY_SIGNER = None
    store.ring = _expired(ring)
    call_command("rotate_keys", "--retire")
    assert "Disable the key in local, too." in capsys.readouterr().out


def _expired(ring: KeyRing) -> KeyRing:
    """The ring as it is when its first key has expired."""
    members = document(ring)
    first = members["keys"][0]
    first["activates_at"] = first["created_at"] = "2001-01-01T00:00:00+00:00"
    first["expires_at"] = "2001-01-02T00:00:00+00:00"
    return KeyRing.from_json(json.dumps(members))


def test_list_shows_a_key_of_a_signer(
    store: MemoryKeyStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Like the others, and with its signer."""
    call_command("list_keys", "--format=json")
    (row,) = json.loads(capsys.readouterr().out)
    assert row["kid"] == public_part(REFERENCE.key)["kid"]
    assert row["signer"] == "local: the key"


# ---- The setting


def test_forked_child_builds_its_own() -> None:
    """On a shared connection each process would read the other's answers."""
    first = find_key_signer()
    assert holds_in_child(lambda: find_key_signer() is not first)
    assert find_key_signer() is first
