"""JWKs that somebody else made, and what is asked of them."""

from __future__ import annotations

import json
from base64 import b32encode
from codecs import BOM_UTF8
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from jwt_auth.conf import ALGORITHMS
from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import InvalidKey
from jwt_auth.keys import jwk
from jwt_auth.keys.imported_keys import adopt, adopt_public, jwk_from_json
from jwt_auth.keys.strength import refuse_weak_secret
from tests.keys.test_jwk import (
    EXPONENT_OF_33_BITS,
    RFC7515,
    RFC7638,
    RFC8037,
    generated,
    refuse,
    with_exponent,
    without,
)


def secret(value: bytes) -> dict[str, Any]:
    return {"kty": "oct", "kid": "mine", "k": base64url_encode(value)}


def adopted(members: dict[str, Any], algorithm: str | None = None) -> dict[str, Any]:
    return adopt(members, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_our_own_key_comes_back_as_it_is(algorithm: str) -> None:
    """Through JSON and without being told anything."""
    text = json.dumps(generated(algorithm)).encode()
    assert jwk_from_json(text, algorithm=None) == generated(algorithm)


def test_kid_is_kept_or_is_the_thumbprint() -> None:
    """Tokens that are out there name it already."""
    assert adopted(RFC7515)["kid"] == "rfc7515"
    assert adopted(without(RFC7515, "kid"))["kid"] == jwk.thumbprint(RFC7515)


def test_foreign_members_are_left_behind() -> None:
    """A note or a certificate chain has nothing to do in a ring."""
    members = adopted(RFC7515 | {"note": "mine", "x5c": ["MIIB"], "key_ops": ["sign"]})
    assert members == {**RFC7515, "use": "sig"}


def test_alg_is_asked_for_only_where_nothing_says_it() -> None:
    """The key, then its kind; `Ed25519` is EdDSA (RFC 9864)."""
    assert adopted(without(RFC7515, "alg"))["alg"] == "ES256"
    assert adopted(RFC8037 | {"alg": "Ed25519"})["alg"] == "EdDSA"
    assert adopted(without(generated("PS256"), "alg"), "RS256")["alg"] == "RS256"
    refuse(adopted, without(generated("PS256"), "alg"), "PS256 or RS256")


@pytest.mark.parametrize(
    ("members", "algorithm", "reason"),
    [
        (generated("PS256"), "RS256", "alg of the key is not RS256"),
        (RFC7515, "EdDSA", "can't be for EdDSA"),
        (RFC7515 | {"alg": "RS256"}, None, "alg of the key is not ES256"),
        (RFC7515 | {"alg": ["ES256"]}, None, "alg of the key is not ES256"),
        (RFC7515 | {"crv": "P-384"}, None, "neither"),
        (RFC7515 | {"use": "enc"}, None, "use"),
        (RFC7515 | {"key_ops": ["verify"]}, None, "key_ops"),
        (RFC7515 | {"kid": 7}, None, "kid"),
        (RFC7638, None, "public key can't sign"),
        (without(RFC7515, "d"), None, "public key can't sign"),
        (without(secret(b"x" * 32), "kid"), None, "needs a kid"),
    ],
)
def test_key_with_contradictions_is_refused(
    members: dict[str, Any], algorithm: str | None, reason: str
) -> None:
    """A key has one algorithm, fits it, and can sign."""
    refuse(lambda given: adopt(given, algorithm=algorithm), members, reason)


def test_rsa_key_with_a_long_exponent_is_refused() -> None:
    """It works here, and not with the verifiers of others; both halves are judged."""
    members = jwk.members_of(with_exponent(EXPONENT_OF_33_BITS, bits=2048), "RS256")
    refuse(lambda given: adopt(given, algorithm="RS256"), members, "over 32 bits")
    refuse(lambda given: adopt_public(given, algorithm="RS256"), members, "over 32 bits")
    in_a_ring = members | {"alg": "RS256", "kid": "k"}
    assert jwk.prepare_signing_key(in_a_ring).kid == "k"


def test_rsa_key_with_the_longest_exponent_is_adopted() -> None:
    """Of 32 bits, which Windows' CryptoAPI still takes."""
    members = jwk.members_of(with_exponent(2**32 - 5, bits=2048), "RS256")
    assert adopt(members, algorithm="RS256")["e"] == members["e"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"kid": "a"}'])
def test_what_is_no_jwk_is_refused(text: bytes) -> None:
    """Not JSON, not an object, not a key."""
    with pytest.raises(InvalidKey, match="JWK"):
        jwk_from_json(text, algorithm=None)


def test_byte_order_mark_is_skipped() -> None:
    """Some editors on Windows write one."""
    text = BOM_UTF8 + json.dumps(RFC7515).encode()
    assert jwk_from_json(text, algorithm=None) == adopted(RFC7515)


def test_member_that_stands_twice_is_refused() -> None:
    """Two readers could disagree on which one is meant."""
    text = json.dumps(RFC7515)[:-1] + ', "kid": "another"}'
    with pytest.raises(InvalidKey, match="twice"):
        jwk_from_json(text.encode(), algorithm=None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"x" * 31, "32 bytes"),
        (b"s" * 64, "repeats"),
        (b"0123456789abcdef" * 2, "repeats"),
        (bytes(range(64)), "repeats"),
        (bytes(2 ** (n * n * n % 61 % 7) for n in range(40)), "repeats"),  # of seven different ones
        (b"12345678901234567890123456789012", "repeats"),
        (sha256(b"half of it").digest()[:24] * 2, "repeats"),
        (b"my-super-secret-key-for-jwt-signing-2024", "placeholder"),
        (b"django-Insecure-8$xk2!9fj3@vq7zp", "placeholder"),
        (b"our-PASSWD-for-the-API-is-8412-or-7", "placeholder"),
        (b"an-EXAMPLE-of-a-key-3f9c-for-the-API", "placeholder"),
    ],
)
def test_weak_secret_is_refused(value: bytes, reason: str) -> None:
    """Short, repeated, counted up or a placeholder."""
    refuse(adopted, secret(value), reason)


def test_random_secret_is_accepted() -> None:
    """Raw, and in each text form that tools print secrets in, also the shortest: 32 characters."""
    random = Random(7)  # the same secrets in every run
    for _ in range(2_000):
        raw = random.randbytes(32)
        for form in (raw, raw[:16].hex().encode(), base64url_encode(raw).encode(), b32encode(raw)):
            refuse_weak_secret(form)
    assert adopted(secret(random.randbytes(32)), "HS256")["alg"] == "HS256"


def test_public_key_is_adopted_without_a_private_part() -> None:
    """Of a key whose private part is somewhere else."""
    assert adopt_public(without(RFC7515, "d", "kid"), algorithm="ES256") == {
        **without(RFC7515, "d"),
        "kid": jwk.thumbprint(RFC7515),
        "use": "sig",
    }
