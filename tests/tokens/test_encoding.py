"""base64url: one text for each value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_auth.encoding import base64url_decode, base64url_encode


@given(st.binary(max_size=200))
def test_encoded_value_decodes_to_itself(value: bytes) -> None:
    """What is encoded has no padding and only the characters of the URL-safe alphabet."""
    text = base64url_encode(value)
    assert base64url_decode(text) == value
    assert "=" not in text


@given(st.text(alphabet="AQgw-_=+/ \n", max_size=9))
def test_accepted_text_is_the_one_text_of_its_value(text: str) -> None:
    """Nothing is accepted but what encoding would give: no token has a second spelling."""
    try:
        value = base64url_decode(text)
    except ValueError:
        return
    assert base64url_encode(value) == text


@pytest.mark.parametrize(
    "text",
    [
        "AA==",
        "AA=",
        "AB",
        "AAB",
        "A",
        "+/+/",
        "A A",
        "AA\n",
        "AAAA====",
        "ÄÄÄÄ",
        "\ud800AAA",
        "=",
        "A.AA",
    ],
)
def test_text_that_is_not_canonical_is_refused(text: str) -> None:
    """Padding, spare bits, the other alphabet, white space and other characters are refused."""
    with pytest.raises(ValueError, match=r"base64url|ascii"):
        base64url_decode(text)
