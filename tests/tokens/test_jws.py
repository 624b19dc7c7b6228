"""The form of a token, before anything in it is judged."""

from __future__ import annotations

import json

import pytest

from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.tokens import jws

pytestmark = pytest.mark.smoke


def _refusal(token: str) -> Refusal:
    with pytest.raises(AccessTokenRefused) as refused:
        jws.parse(token)
    return refused.value.reason


def _object_refusal(text: bytes) -> Refusal:
    with pytest.raises(AccessTokenRefused) as refused:
        jws.parse_object(text)
    return refused.value.reason


def test_serialized_parts_are_parsed_back() -> None:
    """Header and payload come out as they went in, and the signing input is the text itself."""
    signing_input = jws.serialize({"alg": "ES256"}, {"sub": "ä"})
    parsed = jws.parse(f"{signing_input}.{base64url_encode(b'signature')}")
    assert parsed.header == {"alg": "ES256"}
    assert json.loads(parsed.payload) == {"sub": "ä"}
    assert (parsed.signing_input, parsed.signature) == (signing_input.encode(), b"signature")


@pytest.mark.parametrize("token", ["", ".", "e30", "e30.e30", "e30.e30.e30.e30", "a.b.c.d.e", "{}"])
def test_other_than_three_parts_is_malformed(token: str) -> None:
    """Unsigned, encrypted and JSON-serialized tokens are none that we know."""
    assert _refusal(token) == Refusal.MALFORMED


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("text", ["e30=", "e31", "e3 0", "e3+0", "ë30", "\ud80030", "e30\0", "e"])
def test_part_that_is_not_canonical_is_refused(part: int, text: str) -> None:
    """Each of the three parts is base64url without padding and with one text for each value."""
    parts = ["e30", "e30", "e30"]
    parts[part] = text
    assert _refusal(".".join(parts)) == Refusal.ENCODING


def test_longest_token_is_parsed_and_a_longer_one_is_not() -> None:
    """8 KiB is the most, counted in characters."""
    longest = "e30.e30." + "A" * (jws.MAX_LENGTH - 8)
    assert len(jws.parse(longest).signature) == (jws.MAX_LENGTH - 8) * 3 // 4
    assert _refusal(longest + "AAAA") == Refusal.TOO_LONG


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 5000,
        b'{"a": ' * 3000,
    ],
)
def test_other_than_a_json_object_is_malformed(text: bytes) -> None:
    """Arrays, NaN, other encodings, endless numbers and endless depth end in one refusal."""
    assert _object_refusal(text) == Refusal.MALFORMED


@pytest.mark.parametrize("text", [b'{"a": 1, "a": 1}', b'{"b": [{"a": 1, "\\u0061": 2}]}'])
def test_name_that_stands_twice_is_refused(text: bytes) -> None:
    """Two readers could disagree on which counts, however deep it stands and is spelt."""
    assert _object_refusal(text) == Refusal.DUPLICATE_NAME
