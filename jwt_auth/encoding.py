"""base64url as RFC 7515 §2 means it: no padding, and one text only for each value."""

from __future__ import annotations

import base64
import binascii


def base64url_encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def base64url_decode(text: str) -> bytes:
    """Decode strictly.

    Raises:
        ValueError: padded, with other characters, or not the canonical text of its value: the spare
        bits
            of the last character would else give one token many texts.
    """
    padded = text.encode("ascii", "strict") + b"=" * (-len(text) % 4)
    try:
        value = base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64url_encode(value) != text:
        raise ValueError("not canonical base64url")
    return value
