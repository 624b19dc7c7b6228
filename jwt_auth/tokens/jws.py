"""The compact serialization of a signed JWT, read strictly (RFC 7515 §7.1, RFC 8725).

Only the form is judged here; what the header and the claims say is judged in :mod:`.access`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from jwt_auth.encoding import base64url_decode, base64url_encode
from jwt_auth.exceptions import AccessTokenRefused, Refusal

#: Header, payload and signature.
_PARTS: Final = 3

#: Longest accepted token in characters; a longer one is refused before anything of it is decoded.
MAX_LENGTH: Final = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactToken:
    """The three parts, decoded: nothing of them is verified yet."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes


def parse(token: str) -> CompactToken:
    """Take a compact token apart.

    Raises:
        AccessTokenRefused: too long, not three parts, not canonical base64url, or a header that is
        not
            a JSON object with unique names. Encrypted (five parts) and JSON-serialized tokens end
            here.
    """
    if len(token) > MAX_LENGTH:
        raise AccessTokenRefused(Refusal.TOO_LONG)
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise AccessTokenRefused(Refusal.MALFORMED)
    try:
        header, payload, signature = map(base64url_decode, parts)
    except ValueError:
        raise AccessTokenRefused(Refusal.ENCODING) from None
    return CompactToken(
        header=parse_object(header),
        payload=payload,
        signing_input=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def parse_object(text: bytes) -> dict[str, Any]:
    """Decode a JSON object, refusing a name that stands twice: two readers could disagree on it.

    Raises:
        AccessTokenRefused: not UTF-8, not JSON, not an object, nested beyond reason, or a repeated
        name.
    """
    try:
        value = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        raise AccessTokenRefused(Refusal.MALFORMED) from None
    if not isinstance(value, dict):
        raise AccessTokenRefused(Refusal.MALFORMED)
    return value


def serialize(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Encode header and claims as a signing input, without its signature.

    Raises:
        TypeError, ValueError: a claim that JSON has no form for.
    """
    parts = (
        json.dumps(part, separators=(",", ":"), allow_nan=False).encode("utf-8")
        for part in (header, claims)
    )
    return ".".join(map(base64url_encode, parts))


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise AccessTokenRefused(Refusal.DUPLICATE_NAME)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
