"""Signers for tests."""

from __future__ import annotations

from functools import cache
from typing import Any

from jwt_auth.exceptions import KeySignerError
from jwt_auth.keys import jwk
from jwt_auth.keys.ring import SignerReference
from jwt_auth.keys.signers.base import KeySigner, NewKey, SigningDenied

REFERENCE = SignerReference(backend="local", key="the key")


@cache
def private_part(key: str) -> dict[str, Any]:
    """The private key behind a reference. Only the signer reads it."""
    return jwk.generate("ES256")


def public_part(key: str) -> dict[str, Any]:
    return jwk.public_jwk(private_part(key))


class LocalSigner(KeySigner):
    """Signs in this process with keys that the ring does not have, and fails when told to."""

    name = "local"
    algorithms = frozenset({"ES256"})
    made = 0
    failure: Exception | None = None

    def __init__(self, *, CONFUSED: bool = False, WORDS: str = "") -> None:  # noqa: N803
        #: Whether it signs with another key than it was asked to.
        self.confused = CONFUSED
        if len(WORDS) > 10:
            raise ValueError(WORDS)

    def sign(self, key: str, *, algorithm: str, message: bytes) -> bytes:
        if LocalSigner.failure is not None:
            raise LocalSigner.failure
        name = f"{key}, or not" if self.confused else key
        return jwk.prepare_signing_key(private_part(name)).sign(message)

    def create(self, algorithm: str) -> NewKey:
        if LocalSigner.failure not in (None, DENIED):
            raise LocalSigner.failure
        LocalSigner.made += 1
        return self.adopt(f"made-{LocalSigner.made}", algorithm=algorithm)

    def adopt(self, key: str, *, algorithm: str | None) -> NewKey:
        return NewKey(jwk=public_part(key), signer=SignerReference(backend=self.name, key=key))

    def how_to_end(self, key: str) -> str:
        return f"End {key} by hand."


DOWN = KeySignerError("It is down.")
DENIED = SigningDenied("It is denied.")
