"""The issuer's published key set, for a service that only verifies (``JWT_AUTH_JWKS_URL``).

The set is read more strictly than RFC 7517 §5 asks for. A single key that this version can't use is
skipped, as the RFC says: an issuer may publish keys for others. A set that says two things at once,
has no usable key or shows a secret is refused as a whole, so that the former keys stay in use.

A weak RSA key is skipped, not a reason to refuse the set: while the set is refused, a key that was
withdrawn for good reason would stay in use as well.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NoReturn

from django.core.checks import CheckMessage

from jwt_auth.check_messages import warning
from jwt_auth.encoding import InvalidJSON, parse_json_object
from jwt_auth.exceptions import (
    InvalidKey,
    KeyFailure,
    KeyRingTorn,
    KeyStoreReadOnly,
    KeyStoreUnavailable,
)
from jwt_auth.fetching import Fetched, FetchError, fetch, without_secrets
from jwt_auth.keys import jwk as jwks
from jwt_auth.keys.bounded_call import BoundedExecutor, StillWaiting
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.jwk_format import OCT, RSA
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.base import KeyStore, torn

logger: Final = logging.getLogger("jwt_auth")

#: Seconds for the whole request, redirects included.
_DEADLINE: Final = 5.0

#: Bytes of the longest set that is read. Four RSA keys of 4096 bits with certificates have 30,000.
_LONGEST: Final = 128 * 1024

_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "application/jwk-set+json, application/json;q=0.9",
    # RFC 9111 §5.2.1.4: a cache on the way asks the issuer first. Otherwise it could give a key
    # for its max-age that was withdrawn since.
    "Cache-Control": "no-cache",
}

#: Members that hold a secret: "d" of EC, OKP and RSA, "oth" of RSA, and "k" of a symmetric key.
_SECRET: Final = frozenset({*RSA.private, *OCT.private, "oth"})

_OK: Final = 200
_NOT_MODIFIED: Final = 304

_REMEDY: Final = "Check that JWT_AUTH_JWKS_URL is the address of the issuer's key set."


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The usable keys of a set, and for each other key the reason why it isn't used."""

    ring: KeyRing
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The last set that was taken, in the words of the issuer."""

    body: bytes
    etag: str | None
    key_set: KeySet


class JWKSKeyStore(KeyStore):
    """Loads the JWK Set of ``URL``, and can't change it."""

    def __init__(self, URL: str) -> None:  # noqa: N803  the name of the option
        self._url = URL
        self._executor = BoundedExecutor(1, name="jwt_auth-jwks")
        self._last: _Answer | None = None

    def describe(self) -> str:
        return without_secrets(self._url)

    def load(self) -> KeyRing:
        return self._load().ring

    def save(self, ring: KeyRing, *, expected_version: int | None) -> NoReturn:
        raise KeyStoreReadOnly(
            f"The keys of {self.describe()} are made by the issuer, and this service only verifies"
            " with them: change them there."
        )

    def check_server(self) -> list[CheckMessage]:
        try:
            skipped = self._load().skipped
        except KeyFailure:
            return []  # reported by another check
        if not skipped:
            return []
        return [
            warning(
                "W080",
                f"Not every key of {self.describe()} can be used, and tokens of the others are"
                f" refused. {' '.join(skipped)}",
                "Have the issuer replace a key that is weak or malformed. For a key that signs no"
                " access tokens, there is nothing to do.",
            )
        ]

    def _load(self) -> KeySet:
        last = self._last
        known = None if last is None else last.etag
        answer = self._fetch(known)
        if last is not None and known is not None and answer.status == _NOT_MODIFIED:
            return last.key_set
        if answer.status != _OK:
            raise KeyStoreUnavailable(f"{self.describe()} answers with status {answer.status}.")
        if last is not None and answer.body == last.body:
            return last.key_set
        try:
            key_set = read_key_set(answer.body)
        except KeyRingTorn as error:
            raise torn(self.describe(), str(error), remedy=_REMEDY) from None
        for reason in key_set.skipped:
            logger.warning("A key of %s is not used: %s", self.describe(), reason)
        self._last = _Answer(body=answer.body, etag=answer.headers.get("ETag"), key_set=key_set)
        return key_set

    def _fetch(self, known: str | None) -> Fetched:
        headers = _HEADERS if known is None else {**_HEADERS, "If-None-Match": known}
        request = partial(fetch, self._url, headers=headers, timeout=_DEADLINE, limit=_LONGEST)
        try:
            # The lookup of a host's name has no time-out, so the caller doesn't wait for it.
            return self._executor.call(request, seconds=_DEADLINE + 1)
        except FetchError as error:
            reason = str(error)
        except (TimeoutError, StillWaiting, RuntimeError) as error:
            reason = f"{self.describe()} can't be fetched in time ({type(error).__name__})."
        raise KeyStoreUnavailable(reason)


def read_key_set(body: bytes) -> KeySet:
    """Read a JWK Set (RFC 7517 §5).

    Raises:
        KeyRingTorn: it is not a set, shows a secret, has a ``kid`` twice, or no usable key.
    """
    try:
        keys = parse_json_object(body).get("keys")
    except InvalidJSON:
        raise KeyRingTorn("The answer is not a JSON object with unique names.") from None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise KeyRingTorn("The answer is not a JWK Set.")
    _refuse_secrets(keys)
    kids = [key["kid"] for key in keys if isinstance(key.get("kid"), str)]
    if len(set(kids)) != len(kids):
        raise KeyRingTorn("Two keys of the set have the same kid.")
    usable, skipped = [], []
    for number, key in enumerate(keys, 1):
        try:
            usable.append(_read_key(key))
        except InvalidKey as error:
            skipped.append(f"Key {number} of the set: {error}")
    if not usable:
        raise KeyRingTorn(" ".join(["The set has no key that can be used.", *skipped]))
    return KeySet(ring=KeyRing.of_public_keys(usable), skipped=tuple(skipped))


def _refuse_secrets(keys: list[dict[str, Any]]) -> None:
    """Refuse a set that shows anyone a key to sign with: whoever has read it can make tokens."""
    if any(key.get("kty") == OCT.kty or not _SECRET.isdisjoint(key) for key in keys):
        raise KeyRingTorn(
            "The set holds a private or symmetric key, which must never be published."
        )


def _read_key(key: dict[str, Any]) -> JWK:
    if key.get("alg") == "Ed25519":  # RFC 9864 §2.2 gives EdDSA with this curve a name
        key = {**key, "alg": "EdDSA"}
    jwks.prepare_verification_key(key)  # also reads key_ops, which no ring keeps
    return jwks.public_jwk(key)
