"""The JSON document that a key store keeps a ring in.

Reading is strict. An error says which key is wrong and in which way, and quotes nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from jwt_auth.conf import ALGORITHMS
from jwt_auth.encoding import InvalidJSON, parse_json_object
from jwt_auth.exceptions import KeyRingTooNew, KeyRingTorn
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.jwk_format import is_private
from jwt_auth.keys.ring_key import RingKey, SignerReference

#: The highest number of the document's format that this version can read.
FORMAT: Final = 2

#: The format without signers. A ring that has none is written in it, so that an older version of
#: the package can read the ring, too.
_FORMAT_WITHOUT_SIGNERS: Final = 1

_DOCUMENT: Final = frozenset({"format", "version", "keys"})
_ENTRY: Final = frozenset({"created_at", "activates_at", "expires_at", "jwk"})
_SIGNER: Final = frozenset({"backend", "key"})


def build_document(version: int, keys: Sequence[RingKey]) -> dict[str, Any]:
    """Give the document of a ring, with the private keys."""
    has_signers = any(key.signer is not None for key in keys)
    return {
        "format": FORMAT if has_signers else _FORMAT_WITHOUT_SIGNERS,
        "version": version,
        "keys": [_write_key(key) for key in keys],
    }


def read(text: str) -> tuple[int, tuple[RingKey, ...]]:
    """Read a ring's version and its keys.

    Raises:
        KeyRingTorn: the text is not the document of a ring.
        KeyRingTooNew: its format is newer than :data:`FORMAT`.
    """
    document = parse_document(text)
    has_signers = read_format(document, newest=FORMAT) != _FORMAT_WITHOUT_SIGNERS
    _require_members(document, _DOCUMENT, "The key ring")
    version, entries = document["version"], document["keys"]
    if type(version) is not int or version < 1:
        raise KeyRingTorn("The version of the key ring is not a positive integer.")
    if not isinstance(entries, list) or not entries:
        raise KeyRingTorn("The key ring has no keys.")
    optional = frozenset({"signer"} if has_signers else ())
    keys = tuple(
        _read_key(entry, f"Key {number} of the ring", optional)
        for number, entry in enumerate(entries, 1)
    )
    if len({key.kid for key in keys}) != len(keys):
        raise KeyRingTorn("Two keys of the ring have the same kid.")
    return version, keys


def parse_document(text: str) -> dict[str, Any]:
    """Parse the JSON of a ring, encrypted or not.

    Raises:
        KeyRingTorn: the text is not a JSON object, or a name occurs twice in it.
    """
    try:
        return parse_json_object(text)
    except InvalidJSON:
        raise KeyRingTorn("The key ring is not a JSON document.") from None


def read_format(document: dict[str, Any], *, newest: int) -> int:
    """Give the number of a document's format.

    Raises:
        KeyRingTorn: it has none.
        KeyRingTooNew: it is higher than ``newest``.
    """
    number = document.get("format")
    if type(number) is not int or number < 1:
        raise KeyRingTorn("The document is not a key ring: it has no format number.")
    if number > newest:
        raise KeyRingTooNew(
            "The key ring has a newer format than this version of jwt_auth can read"
            f" ({newest}): upgrade jwt_auth."
        )
    return number


def _write_key(key: RingKey) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "created_at": key.created_at.isoformat(),
        "activates_at": key.activates_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "jwk": key.jwk,
    }
    if key.signer is not None:
        entry["signer"] = {"backend": key.signer.backend, "key": key.signer.key}
    return entry


def _read_key(entry: Any, what: str, optional: frozenset[str]) -> RingKey:
    _require_members(entry, _ENTRY, what, optional)
    jwk, expiry = entry["jwk"], entry["expires_at"]
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid"), str) or not jwk["kid"]:
        _refuse(what, "no JWK with a kid")
    if jwk.get("alg") not in ALGORITHMS:
        _refuse(what, "no known algorithm")
    key = RingKey(
        kid=jwk["kid"],
        algorithm=jwk["alg"],
        jwk=jwk,
        created_at=_read_time(entry["created_at"], what),
        activates_at=_read_time(entry["activates_at"], what),
        expires_at=None if expiry is None else _read_time(expiry, what),
        signer=_read_signer(entry["signer"], jwk, what) if "signer" in entry else None,
    )
    if key.is_expired(key.activates_at):
        _refuse(what, "an expiry that is not after its activation")
    return key


def _read_signer(value: Any, jwk: JWK, what: str) -> SignerReference:
    _require_members(value, _SIGNER, f"The signer of {what[0].lower()}{what[1:]}")
    if not all(isinstance(text, str) and text for text in value.values()):
        _refuse(what, "a signer whose backend or key has no text")
    if is_private(jwk):
        _refuse(what, "both a signer and a private part, and only one can be meant")
    return SignerReference(**value)


def _read_time(value: object, what: str) -> datetime:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        _refuse(what, "a time that is not in ISO 8601 with a time zone")
    return time.astimezone(UTC)


def _require_members(
    value: object, names: frozenset[str], what: str, optional: frozenset[str] = frozenset()
) -> None:
    if not isinstance(value, dict):
        raise KeyRingTorn(f"{what} is not an object.")
    if missing := names - value.keys():
        raise KeyRingTorn(f"{what} lacks {', '.join(sorted(missing))}.")
    if value.keys() - names - optional:
        raise KeyRingTorn(f"{what} has members that do not belong there.")


def _refuse(what: str, fault: str) -> NoReturn:
    raise KeyRingTorn(f"{what} has {fault}.")
