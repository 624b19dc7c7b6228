"""The compact serialization of a signed JWT, read strictly (RFC 7515 §7.1, RFC 8725).

This module judges the form only; :mod:`.signatures` judges the header, and each kind of token its
claims.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jwt_auth.encoding import (
    DuplicateName,
    InvalidJSON,
    base64url_decode,
    base64url_encode,
    parse_json_object,
)
from jwt_auth.exceptions import AccessTokenRefused, Refusal

#: Header, payload and signature.
_PARTS: Final = 3

#: Longest accepted token in characters; a longer one is refused before anything of it is decoded.
MAX_LENGTH: Final = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactToken:
    """The three parts, decoded; none of them is verified yet."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes


def parse(token: str) -> CompactToken:
    """Take a compact token apart.

    Raises:
        AccessTokenRefused: the token is too long, has not three parts, is not canonical base64url,
            or its header is not a JSON object with unique names. Encrypted tokens (five parts) and
            JSON-serialized tokens are refused here.
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
    """Decode the JSON object of a header or of claims.

    Raises:
        AccessTokenRefused: the text is not a JSON object in UTF-8, or a name occurs twice in it.
    """
    try:
        return parse_json_object(text)
    except DuplicateName:
        raise AccessTokenRefused(Refusal.DUPLICATE_NAME) from None
    except InvalidJSON:
        raise AccessTokenRefused(Refusal.MALFORMED) from None


def serialize(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    """Encode header and claims as a signing input, without its signature.

    Raises:
        TypeError, ValueError: JSON has no form for a claim.
    """
    parts = (
        json.dumps(part, separators=(",", ":"), allow_nan=False).encode("utf-8")
        for part in (header, claims)
    )
    return ".".join(map(base64url_encode, parts))
