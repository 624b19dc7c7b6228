"""base64url and JSON, read strictly: each accepted text has one meaning, for every reader.

Tokens, keys and key rings are signed, compared and handed from one program to another. A text that
two programs read differently would let one of them judge something else than the other uses.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, NoReturn


class InvalidJSON(ValueError):
    """The text is not a JSON object; the error's text quotes nothing of it."""


class DuplicateName(InvalidJSON):
    """An object has two members of one name, and two readers could take different ones."""


def base64url_encode(value: bytes) -> str:
    """Encode without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def base64url_decode(text: str) -> bytes:
    """Decode strictly: without padding, and only the one canonical text of each value.

    The last character may have spare bits. If they were ignored, one token would have many texts.

    Raises:
        ValueError: the text is padded, has other characters, or is not canonical.
    """
    padded = text.encode("ascii", "strict") + b"=" * (-len(text) % 4)
    try:
        value = base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("The text is not base64url.") from None
    if base64url_encode(value) != text:
        raise ValueError("The text is not canonical base64url.")
    return value


def base64_decode_from_any_tool(text: str) -> bytes:
    """Decode what an operator has put into a setting.

    Tools differ in the alphabet, the padding and the length of the lines that they print.

    Raises:
        ValueError: the text is not base64.
    """
    plain = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def parse_json_object(text: bytes | str) -> dict[str, Any]:
    """Parse a JSON object with unique names (RFC 8259 §4, RFC 7493 §2.3); bytes must be UTF-8.

    Raises:
        DuplicateName: a name occurs twice in an object, at whatever depth.
        InvalidJSON: the text is something else than a JSON object, or nested too deeply to be read.
    """
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_require_unique_names,
            parse_constant=_refuse_constant,
        )
    except DuplicateName:
        raise
    except (ValueError, RecursionError):
        raise InvalidJSON("The text is not JSON.") from None
    if not isinstance(value, dict):
        raise InvalidJSON("The JSON value is not an object.")
    return value


def _require_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise DuplicateName("A name occurs twice in a JSON object.")
    return value


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser accepts and JSON does not have."""
    raise ValueError(f"{name} is not JSON.")
