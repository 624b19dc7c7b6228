"""A forger who holds the signing key: writes any token, however wrong, and signs it well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest import mock

from django.core.management import call_command
from django.test import override_settings

from jwt_auth.conf import conf
from jwt_auth.encoding import base64url_encode
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.keys import jwk
from jwt_auth.keys.jwk import JWK, SigningKey
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.tokens import access
from tests.settings import SCRATCH_DIR

#: For tests that pass the time in; before any key's activation, as a clock that is behind may be.
NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)

#: As a value: leave the name out.
MISSING: Final = object()

SESSION: Final = "6f1c9d5e-3b1a-4e58-9c53-0d6f6c1f5a11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forge:
    """The key that signs now, and whatever its holder makes of it."""

    key: SigningKey
    jwk: JWK

    def header(self, **changes: Any) -> dict[str, Any]:
        """A good header, with some names changed, added or missing."""
        good = {"alg": self.key.algorithm, "kid": self.key.kid, "typ": "at+jwt"}
        return _without_missing(good | changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims of a token issued at NOW, with some changed, added or missing."""
        seconds = int(NOW.timestamp())
        good = {
            "iss": conf.issuer,
            "aud": conf.audience,
            "sub": "1",
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + 900,
            "jti": "the-jti",
            "sid": SESSION,
            "token_version": 0,
            "token_use": "access",
            "client_id": "web",
            "auth_time": seconds,
            "roles": [],
        }
        return _without_missing(good | changes)

    def token(self, *, header: object = None, claims: object = None) -> str:
        """Sign header and claims: objects, or their JSON texts."""
        return self.sign(
            to_bytes(self.header() if header is None else header),
            to_bytes(self.claims() if claims is None else claims),
        )

    def sign(self, header: bytes, payload: bytes) -> str:
        """Sign whatever bytes."""
        signing_input = f"{base64url_encode(header)}.{base64url_encode(payload)}"
        return f"{signing_input}.{base64url_encode(self.key.sign(signing_input.encode()))}"


def forge() -> Forge:
    """Take the signing key from where the settings say."""
    ring_key = get_key_store().load().signing_key(datetime.now(UTC))
    return Forge(key=_signing_key(json.dumps(ring_key.jwk)), jwk=ring_key.jwk)


@cache
def _signing_key(private: str) -> SigningKey:
    """Parse a key once: OpenSSL looks into each RSA key for a tenth of a second."""
    return jwk.prepare_signing_key(json.loads(private))


@cache
def key_store_of(algorithm: str) -> dict[str, Any]:
    """A key store with a ring of this algorithm: a value for JWT_AUTH_KEY_STORE."""
    folder: Path = SCRATCH_DIR / f"keys-{algorithm}"
    store = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(folder)},
    }
    # Each test has its ring read anew, which takes three times as long with larger RSA keys.
    with override_settings(JWT_AUTH_KEY_STORE=store), mock.patch.object(jwk, "RSA_BITS", 2048):
        call_command("generate_keys", algorithm=algorithm, verbosity=0)
    return store


def refusal_of(token: str, *, now: datetime = NOW) -> Refusal | None:
    """Why the token is refused; ``None`` where it is not."""
    try:
        access.verify(token, now=now)
    except AccessTokenRefused as refused:
        return refused.reason
    return None


def to_bytes(part: object) -> bytes:
    """JSON of an object; a text as it stands."""
    return (part if isinstance(part, str) else json.dumps(part)).encode()


def _without_missing(names: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in names.items() if value is not MISSING}
