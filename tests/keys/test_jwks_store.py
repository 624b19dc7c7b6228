"""The issuer's key set: what is asked for, and which sets and keys are taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest

from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import (
    InvalidKey,
    KeyRingTorn,
    KeyStoreReadOnly,
    KeyStoreUnavailable,
    VerifyOnly,
)
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing, KeyState, states
from jwt_auth.keys.signers import base as signers
from jwt_auth.keys.stores import jwks
from jwt_auth.keys.stores.base import get_key_store, load_ring
from jwt_auth.keys.stores.jwks import JWKSKeyStore, read_key_set
from tests.keys.issuer import Issuer
from tests.keys.reloading import said, told
from tests.keys.remote.service import Answer

PRIVATE = jwk.generate("ES256")
GOOD = jwk.public_jwk(PRIVATE)
OTHER = jwk.public_jwk(jwk.generate("EdDSA"))


@pytest.fixture
def store(issuer: Issuer) -> JWKSKeyStore:
    store = get_key_store()
    assert isinstance(store, JWKSKeyStore)
    return store


def set_of(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def kids_in(body: bytes) -> list[str]:
    return [key.kid for key in read_key_set(body).ring.keys]


def rsa(bits: int) -> dict[str, str]:
    """Numbers of this length; no one has to sign with them."""
    modulus = base64url_encode((2**bits - 159).to_bytes(bits // 8, "big"))
    return {"kty": "RSA", "alg": "RS256", "kid": "rsa", "n": modulus, "e": "AQAB"}


# ---- Sets


def test_set_gives_public_keys_that_verify() -> None:
    """Their age and plans are unknown, and which of them signs is the issuer's business."""
    ring = read_key_set(set_of(GOOD, OTHER)).ring
    assert [key.jwk for key in ring.keys] == [GOOD, OTHER]
    now = datetime.now(UTC)
    assert set(states(ring, now).values()) == {KeyState.VERIFYING}
    with pytest.raises(VerifyOnly, match="only verifies tokens"):
        ring.signing_key(now)


def test_key_keeps_only_the_members_that_verify() -> None:
    """A certificate or a URL of one is never followed."""
    more = {"x5c": ["MIIB"], "x5u": "https://example.com/", "key_ops": ["verify"]}
    assert read_key_set(set_of({**GOOD, **more})).ring.keys[0].jwk == GOOD


#: What is wrong with a set as a whole: the set, and what the error says.
REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a JSON object"),
    "html": (b"<!doctype html><title>Sign in</title>", "not a JSON object"),
    "binary": (b"\xff", "not a JSON object"),
    "list": (b"[]", "not a JSON object"),
    "name_twice": (b'{"keys": [], "keys": []}', "not a JSON object with unique names"),
    "deep": (b"[" * 100_000, "not a JSON object"),
    "no_keys": (b"{}", "not a JWK Set"),
    "keys_not_a_list": (b'{"keys": {}}', "not a JWK Set"),
    "key_not_an_object": (b'{"keys": ["key"]}', "not a JWK Set"),
    "no_key": (set_of(), "no key that can be used."),
    "none_usable": (set_of({**GOOD, "use": "enc"}), "can be used. Key 1 of the set: A key whose"),
    "kid_twice": (set_of(GOOD, {**OTHER, "kid": GOOD["kid"]}), "the same kid"),
    "kid_of_an_unknown": (set_of(GOOD, {"kty": "new", "kid": GOOD["kid"]}), "the same kid"),
    "private": (set_of(OTHER, PRIVATE), "private or symmetric key"),
    "symmetric": (set_of(GOOD, jwk.generate("HS256")), "private or symmetric key"),
    "symmetric_without_secret": (set_of(GOOD, {"kty": "oct"}), "private or symmetric key"),
    "private_unknown": (set_of(GOOD, {"kty": "new", "d": None}), "private or symmetric key"),
    "more_primes": (set_of(GOOD, {**rsa(2048), "oth": []}), "private or symmetric key"),
}

#: Keys that can't be used.
SKIPPED: dict[str, dict[str, Any]] = {
    "kty": {**OTHER, "kty": "new"},
    "alg": {**OTHER, "alg": "ES512"},
    "alg_not_a_text": {**OTHER, "alg": ["ES256"]},
    "crv": {**OTHER, "crv": "Ed448"},
    "no_alg": {name: value for name, value in OTHER.items() if name != "alg"},
    "no_kid": {name: value for name, value in OTHER.items() if name != "kid"},
    "use": {**OTHER, "use": "enc"},
    "key_ops": {**OTHER, "key_ops": ["sign"]},
    "short": {**OTHER, "x": "AAAA"},
    "empty_kid": {**OTHER, "kid": ""},
    "kid_not_a_text": {**OTHER, "kid": 1},
    "weak": rsa(1024),
}


@pytest.mark.parametrize("name", REFUSED)
def test_set_is_refused_as_a_whole(name: str) -> None:
    """The text says why, and quotes nothing of the set."""
    body, reason = REFUSED[name]
    with pytest.raises(KeyRingTorn, match=reason) as refused:
        read_key_set(body)
    assert PRIVATE["d"] not in str(refused.value)
    assert GOOD["x"] not in str(refused.value)


@pytest.mark.parametrize("name", SKIPPED)
def test_key_that_cannot_be_used_is_skipped(name: str) -> None:
    """It may be for others (RFC 7517 §5). A weak one mustn't keep the set from being taken."""
    key_set = read_key_set(set_of(SKIPPED[name], GOOD))
    assert [key.kid for key in key_set.ring.keys] == [GOOD["kid"]]
    (reason,) = key_set.skipped
    assert reason.startswith("Key 1 of the set: ")


def test_key_of_either_name_of_eddsa_is_used() -> None:
    """RFC 9864 §2.2 has given it another one."""
    assert kids_in(set_of({**OTHER, "alg": "Ed25519"})) == [OTHER["kid"]]


def test_ring_of_ours_still_needs_private_keys() -> None:
    """A public key without a signer in a ring that is to sign is a mistake."""
    ring = KeyRing.of_unknown_age(GOOD)
    with pytest.raises(InvalidKey):
        signers.prepare_ring_key(ring.keys[0])


# ---- Requests


def test_set_is_loaded_from_the_url(store: JWKSKeyStore, issuer: Issuer) -> None:
    """Caches on the way are told to ask the issuer: one could hold a withdrawn key."""
    assert [key.kid for key in store.load().keys] == issuer.kids
    (request,) = issuer.service.requests
    assert request.path == "/.well-known/jwks.json"
    assert request.headers["Cache-Control"] == "no-cache"
    assert request.headers["Accept"].startswith("application/jwk-set+json")


def test_set_that_has_not_changed_is_not_sent_again(store: JWKSKeyStore, issuer: Issuer) -> None:
    """The same ring is given, and the events say that it is routine."""
    ring = store.load()
    with told() as events:
        assert load_ring(store, known=ring) is ring
    assert [(event["event"], event["routine"]) for event in events] == [("loaded", True)]
    assert events[0]["store"] == issuer.url
    etags = [request.headers["If-None-Match"] for request in issuer.service.requests]
    assert etags[0] is None
    assert etags[1] is not None
    issuer.rotate()
    assert [key.kid for key in store.load().keys] == issuer.kids


def test_same_set_without_etag_is_not_read_again(store: JWKSKeyStore, issuer: Issuer) -> None:
    issuer.has_etags = False
    ring = store.load()
    assert store.load() is ring
    assert issuer.service.requests[1].headers["If-None-Match"] is None
    issuer.rotate()
    assert [key.kid for key in store.load().keys] == issuer.kids


@pytest.mark.parametrize("status", [302, 304, 404, 500, 503])
def test_other_status_is_an_issuer_that_does_not_answer(
    store: JWKSKeyStore, issuer: Issuer, status: int
) -> None:
    """A 304 is one to a request that named no set. The body may be right for all that."""
    issuer.has_etags = False
    store.load()
    body = b"" if status == 304 else json.dumps({"keys": issuer.key_set()}).encode()
    issuer.service.always = Answer(status=status, body=body)
    with pytest.raises(KeyStoreUnavailable, match=f"jwks.json answers with status {status}."):
        store.load()


def test_set_that_is_refused_says_where_it_is(store: JWKSKeyStore, issuer: Issuer) -> None:
    issuer.service.always = Answer(body=b"<html>")
    with pytest.raises(KeyRingTorn) as refused:
        store.load()
    assert str(refused.value) == (
        f"{issuer.url}: The answer is not a JSON object with unique names. Check that"
        " JWT_AUTH_JWKS_URL is the address of the issuer's key set."
    )


def test_issuer_that_is_down_is_named(store: JWKSKeyStore, issuer: Issuer) -> None:
    with issuer.service.being_away(), pytest.raises(KeyStoreUnavailable, match="can't be fetched"):
        store.load()


def test_huge_set_is_not_read(store: JWKSKeyStore, issuer: Issuer) -> None:
    issuer.service.always = Answer(body=set_of(GOOD) + b" " * 128 * 1024)
    with pytest.raises(KeyStoreUnavailable, match="longer than 131072 bytes"):
        store.load()


def test_lookup_that_hangs_is_not_waited_for(
    store: JWKSKeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver has no time-out. No second request waits beside the first one."""
    answer = Event()
    monkeypatch.setattr(jwks, "fetch", lambda url, **options: answer.wait(60))
    monkeypatch.setattr(jwks, "_DEADLINE", -0.9)
    for reason in ("TimeoutError", "StillWaiting"):
        with pytest.raises(KeyStoreUnavailable, match=rf"in time \({reason}\)"):
            store.load()
    answer.set()


def test_address_of_the_store_shows_no_secret() -> None:
    """Messages and events name it. The query may be a key of an API gateway."""
    store = JWKSKeyStore("https://auth.example.com/keys?code=s3cret")
    assert store.describe() == "https://auth.example.com/keys"


def test_store_can_not_be_changed(store: JWKSKeyStore, issuer: Issuer) -> None:
    with pytest.raises(KeyStoreReadOnly, match="made by the issuer"):
        store.save(issuer.ring, expected_version=0)


def test_check_leaves_an_issuer_that_is_down_to_another_one(
    store: JWKSKeyStore, issuer: Issuer
) -> None:
    with issuer.service.being_away():
        assert store.check_server() == []


def test_skipped_keys_are_logged_once_for_each_set(
    store: JWKSKeyStore, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.service.always = Answer(body=set_of(GOOD, rsa(1024)))
    for _ in range(3):
        store.load()
    (text,) = said(caplog)
    assert text.startswith(f"A key of {issuer.url} is not used: Key 2 of the set: An RSA key of")
