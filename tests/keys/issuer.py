"""The issuer of tokens that this service only verifies: its keys, its key set over real HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from jwt_auth.keys import jwk
from jwt_auth.keys.ring import KeyRing
from tests.keys.remote.service import Answer, Request, Service
from tests.tokens.forging import Forge

_RETENTION = timedelta(minutes=16)


class Issuer:
    """Holds the private keys, and publishes the public ones."""

    def __init__(self) -> None:
        self.ring = KeyRing(version=0)
        self.rotate()
        self.service = Service(self._respond)
        #: Whether it names each set, and says so if the service has it.
        self.has_etags = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}/.well-known/jwks.json"

    @property
    def kids(self) -> list[str]:
        return [key.kid for key in self.ring.keys]

    @property
    def fetches(self) -> int:
        return len(self.service.requests)

    def key_set(self) -> list[dict[str, Any]]:
        return [jwk.public_jwk(key.jwk) for key in self.ring.keys]

    def rotate(self, *, withdraws: bool = False) -> None:
        """Sign with another key from now on; keep the former ones unless they are withdrawn."""
        now = datetime.now(UTC)
        ring = self.ring
        self.ring = ring.with_next_key(jwk.generate("EdDSA"), now, now, _RETENTION)
        for key in ring.keys if withdraws else ():
            self.ring = self.ring.without(key.kid)

    def token(self, **claims: Any) -> str:
        """A token that this key signs now, for some user."""
        now = datetime.now(UTC)
        key = self.ring.signing_key(now)
        forge = Forge(key=jwk.prepare_signing_key(key.jwk), jwk=key.jwk)
        seconds = int(now.timestamp()) - 1
        times = {"iat": seconds, "nbf": seconds, "exp": seconds + 900}
        return forge.token(claims=forge.claims(**times | claims))

    def _respond(self, request: Request) -> Answer:
        body = json.dumps({"keys": self.key_set()}).encode()
        if not self.has_etags:
            return Answer(body=body)
        headers = {"ETag": f'"{sha256(body).hexdigest()}"'}
        if request.headers["If-None-Match"] == headers["ETag"]:
            return Answer(status=304, headers=headers)
        return Answer(body=body, headers=headers)
