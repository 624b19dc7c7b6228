"""The key ring in an environment variable, for platforms that pass secrets to processes this way.

The variable holds a private key in PEM, a private JWK or the document of a whole ring, either as it
is or in base64. The store is read-only: a process can't change the environment of other processes.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Final, NoReturn

from django.core.checks import CheckMessage

from jwt_auth.check_messages import option_error, warning
from jwt_auth.conf import ALGORITHMS, conf
from jwt_auth.encoding import InvalidJSON, base64_decode_from_any_tool, parse_json_object
from jwt_auth.exceptions import InvalidKey, KeyFailure, KeyRingMissing, KeyStoreReadOnly
from jwt_auth.keys.imported_keys import AmbiguousAlgorithm, jwk_from_json
from jwt_auth.keys.jwk import JWK
from jwt_auth.keys.pem import jwk_from_pem
from jwt_auth.keys.ring import UNKNOWN_AGE, KeyRing
from jwt_auth.keys.stores.base import KeyStore, read_document, torn

_RSA: Final = ("PS256", "RS256")


class EnvironmentKeyStore(KeyStore):
    """Reads the ring from the environment variable ``VARIABLE``.

    ``ALGORITHM`` is the algorithm of a single key that does not state one.
    """

    def __init__(
        self,
        VARIABLE: str = "JWT_AUTH_KEYS",  # noqa: N803  the names of the options
        ALGORITHM: str | None = None,  # noqa: N803
    ) -> None:
        self._variable = VARIABLE
        self._algorithm = ALGORITHM

    def describe(self) -> str:
        return f"the environment variable {self._variable}"

    def stamp(self) -> object | None:
        text = os.environ.get(self._variable)
        return None if text is None else sha256(text.encode(errors="surrogateescape")).digest()

    def load(self) -> KeyRing:
        text = os.environ.get(self._variable, "").strip()
        if not text:
            raise KeyRingMissing(
                f"The key is missing in {self.describe()}: set it to a private key in PEM, a JWK,"
                " or a key ring in base64."
            )
        content = _decoded(text)
        if "-----BEGIN" in content or _is_jwk(content):
            return self._ring_of(content)
        return read_document(content, self.describe(), remedy=self._remedy)

    def save(self, ring: KeyRing, *, expected_version: int | None) -> NoReturn:
        raise KeyStoreReadOnly(
            f"The keys in {self.describe()} can't be changed from here: make the next ring in a"
            " file store, and set the variable to its ring.json in base64 on every node."
        )

    def check(self) -> list[CheckMessage]:
        if not self._variable or not isinstance(self._variable, str):
            reason = "VARIABLE must be the name of an environment variable"
            return [option_error("E042", reason, '"VARIABLE": "JWT_AUTH_KEYS"')]
        if self._algorithm not in (None, *ALGORITHMS):
            reason = f"ALGORITHM must be one of {', '.join(ALGORITHMS)}, or left out"
            return [option_error("E043", reason, '"ALGORITHM": "ES256"')]
        return []

    def check_server(self) -> list[CheckMessage]:
        try:
            keys = self.load().keys
        except KeyFailure:
            return []  # reported by another check
        if all(key.activates_at != UNKNOWN_AGE for key in keys):
            return []
        return [
            warning(
                "W042",
                f"The key in {self.describe()} is the only one: after it is replaced, every access"
                " token that it signed is refused. Its age is unknown as well.",
                "Set the variable to a key ring in base64, which can hold two keys at a time.",
            )
        ]

    @property
    def _remedy(self) -> str:
        return f"Set {self._variable} to a private key in PEM, a JWK, or a key ring in base64."

    def _ring_of(self, content: str) -> KeyRing:
        try:
            jwk = _read_key(content.encode(), self._algorithm)
        except InvalidKey as error:
            raise torn(self.describe(), str(error), remedy=self._remedy) from None
        return KeyRing.of_unknown_age(jwk)


def _decoded(text: str) -> str:
    if text.startswith("-----BEGIN"):
        # Many tools can't put a line end into a variable: they write a backslash and an n.
        return text.replace("\\n", "\n")
    if text.startswith("{"):
        return text
    try:
        return base64_decode_from_any_tool(text).decode()
    except ValueError:
        return text  # the reader of the ring will say what is wrong with it


def _is_jwk(content: str) -> bool:
    try:
        return "kty" in parse_json_object(content)
    except InvalidJSON:
        return False


def _read_key(content: bytes, algorithm: str | None) -> JWK:
    read = jwk_from_pem if b"-----BEGIN" in content else jwk_from_json
    try:
        return read(content, algorithm=algorithm)
    except AmbiguousAlgorithm:  # an RSA key
        return read(content, algorithm=conf.algorithm if conf.algorithm in _RSA else "PS256")
