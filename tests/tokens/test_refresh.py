"""Refresh tokens: opaque, authenticated by a tag, and stored only as a digest."""

from __future__ import annotations

import hashlib
import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import RefreshTokenRefused
from jwt_auth.tokens import refresh
from jwt_auth.tokens.refresh import RefreshToken, issue_first, parse
from jwt_auth.tokens.secret_keys import derive, secret_keys

FAMILY = UUID("6f1c9d5e-3b1a-4e58-9c53-0d6f6c1f5a11")
BYTES = 1 + 16 + 4 + 32 + 16


def _is_refused(text: str) -> bool:
    try:
        parse(text)
    except RefreshTokenRefused:
        return True
    return False


def test_first_token_is_parsed_back() -> None:
    """Only the server can read the family and the generation from a token."""
    token = issue_first(FAMILY)
    assert parse(token.text) == token
    assert (token.family_id, token.generation) == (FAMILY, 1)


def test_token_has_92_characters_of_base64url() -> None:
    """The length is fixed: format, family, generation, 256 bits of secret, 128 of tag."""
    text = issue_first(FAMILY).text
    assert re.fullmatch(r"[A-Za-z0-9_-]{92}", text)
    assert len(text) == refresh.LENGTH
    assert len(base64url_decode(text)) == BYTES


def test_two_first_tokens_share_no_secret() -> None:
    """The secret comes from the system's random source, and differs for each family."""
    one, other = (base64url_decode(issue_first(FAMILY).text)[21:53] for _ in range(2))
    assert one != other
    assert len(one) == 32


def test_digest_is_the_sha256_of_the_whole_text() -> None:
    """A token can't be computed from the stored digest."""
    token = issue_first(FAMILY)
    assert token.digest == hashlib.sha256(token.text.encode()).hexdigest()


def test_repr_hides_the_text() -> None:
    """A log record names family and generation, and nothing that can be presented as a token."""
    token = issue_first(FAMILY)
    assert repr(token) == str(token) == f"<RefreshToken 1 of family {FAMILY}>"


def test_every_flipped_bit_is_refused() -> None:
    """The tag protects every bit of the token, including its own."""
    value = int.from_bytes(base64url_decode(issue_first(FAMILY).text), "big")
    for bit in range(BYTES * 8):
        assert _is_refused(base64url_encode((value ^ (1 << bit)).to_bytes(BYTES, "big"))), bit


@given(st.binary(min_size=BYTES, max_size=BYTES))
def test_made_up_token_is_refused(value: bytes) -> None:
    """The right length and alphabet are not enough."""
    assert _is_refused(base64url_encode(value))


@given(st.text(max_size=100))
def test_any_text_is_refused_and_none_crashes(text: str) -> None:
    """Any other text in the cookie gets the same answer."""
    assert _is_refused(text)


@pytest.mark.parametrize("cut", [-92, -91, -48, -4, -1])
def test_truncated_token_is_refused(cut: int) -> None:
    """A prefix of a token is not a token."""
    assert _is_refused(issue_first(FAMILY).text[:cut])


def test_text_of_another_length_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cookie can be far longer than a token, and nothing is computed with it."""
    text = issue_first(FAMILY).text
    decoded: list[str] = []
    monkeypatch.setattr("jwt_auth.tokens.refresh.base64url_decode", decoded.append)
    assert _is_refused(text + "A")
    assert _is_refused(text[:-1])
    assert decoded == []


@pytest.mark.parametrize(
    "spell", ["{}=", "{}==", " {}", "{}\n", "{}AAAA", "{}.", "\ufeff{}", '"{}"']
)
def test_other_spelling_of_a_token_is_refused(spell: str) -> None:
    """A token has one spelling: no padding, no white space, nothing after it."""
    assert _is_refused(spell.format(issue_first(FAMILY).text))


def test_text_of_the_right_length_in_another_alphabet_is_refused() -> None:
    """Characters outside of base64url are refused, not skipped."""
    text = issue_first(FAMILY).text
    for character in ("+", "/", "=", " ", "é", "\ud800", "\0"):
        assert _is_refused(character + text[1:])
        assert _is_refused(text[:-1] + character)


def test_token_of_another_format_is_refused() -> None:
    """A token of a later version is refused, although its tag is valid."""
    body = refresh._BODY.pack(2, FAMILY.bytes, 1, bytes(32))
    (secret_key,) = secret_keys()
    tag = refresh._tag(body, secret_key=secret_key)
    assert _is_refused(base64url_encode(body + tag))


def test_successor_depends_on_nonce_and_token() -> None:
    """The same nonce gives the same successor again; another nonce gives another one."""
    token = issue_first(FAMILY)
    successor = token.successor(b"nonce")
    assert (successor.family_id, successor.generation) == (FAMILY, 2)
    assert parse(successor.text) == successor == token.successor(b"nonce")
    assert successor != token.successor(b"other")
    assert successor != issue_first(FAMILY).successor(b"nonce")


def test_new_token_is_made_with_the_new_secret_key(settings: Settings) -> None:
    """Fallbacks only verify, so new tokens stay valid when the fallbacks are removed."""
    former = issue_first(FAMILY)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "rotated " * 8, [settings.SECRET_KEY]
    issued = [issue_first(FAMILY), former.successor(b"nonce")]
    settings.SECRET_KEY_FALLBACKS = []
    assert [parse(token.text) for token in issued] == issued


def test_secret_key_may_be_bytes(settings: Settings) -> None:
    """Django allows bytes as well."""
    settings.SECRET_KEY = b"bytes " * 10
    token = issue_first(FAMILY)
    assert parse(token.text) == token


def test_keys_of_tag_and_successor_differ(settings: Settings) -> None:
    """Each purpose has a separate key, and none of them is SECRET_KEY itself."""
    secret_key = settings.SECRET_KEY.encode()
    keys = {secret_key, *(derive(secret_key, purpose) for purpose in (b"1", b"2"))}
    assert len(keys) == 3


def test_refresh_token_is_immutable() -> None:
    """After the verification, the token's family can't be changed."""
    token: RefreshToken = issue_first(FAMILY)
    with pytest.raises(AttributeError):
        token.generation = 2  # type: ignore[misc]  # that is the point
