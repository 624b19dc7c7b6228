"""Authorization headers that no service may accept, many of them made with the site's keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True, kw_only=True)
class Forger:
    """Somebody who has everything: a good token, the private keys, a refresh token."""

    token: str
    keys: Mapping[str, dict[str, Any]]
    refresh_token: str

    @property
    def header(self) -> dict[str, Any]:
        """The good token's header."""
        return jwt.get_unverified_header(self.token)

    @property
    def claims(self) -> dict[str, Any]:
        """The good token's claims."""
        claims: dict[str, Any] = jwt.decode(self.token, options={"verify_signature": False})
        return claims

    def sign(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        without: str | None = None,
        header: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> str:
        """Sign the good token's claims, changed, with the private key of its kid or that one."""
        changed_header = {
            name: value
            for name, value in {**self.header, **(header or {})}.items()
            if value is not None
        }
        changed = {**self.claims, **(claims or {})}
        changed.pop(without or "", None)
        signing_input = f"{encode(changed_header)}.{encode(changed)}"
        jwk = jwt.PyJWK(dict(self.keys[key or changed_header["kid"]]), changed_header["alg"])
        signature = jwk.Algorithm.sign(signing_input.encode(), jwk.key)
        return f"{signing_input}.{encode(signature)}"

    def sign_with_public_key(self) -> str:
        """Make a MAC with the public key, as if it were a secret."""
        header = encode({**self.header, "alg": "HS256"})
        signing_input = f"{header}.{encode(self.claims)}"
        private = jwt.PyJWK(dict(self.keys[self.header["kid"]])).key
        secret = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        mac = hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
        return f"{signing_input}.{encode(mac)}"

    def sign_with_its_other_algorithm(self) -> str:
        """Sign with the RSA key that the set publishes for PS256, but as RS256."""
        kid = next(kid for kid, jwk in self.keys.items() if jwk["alg"] == "PS256")
        return self.sign(header={"kid": kid, "alg": "RS256"})

    def with_other_payload(self) -> str:
        """Name another user, under the good signature."""
        header, _, signature = self.token.split(".")
        return f"{header}.{encode({**self.claims, 'sub': '2'})}.{signature}"

    def with_other_signature(self) -> str:
        """Change the signature's first character."""
        signed, _, signature = self.token.rpartition(".")
        return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def encode(part: object) -> str:
    """Encode a part of a token."""
    content = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _soon() -> int:
    return int(time.time()) + 60


def _without(name: str) -> Callable[[Forger], str]:
    return lambda forger: forger.sign(without=name)


#: Tokens that are answered 401 with `invalid_token`.
TOKENS: Mapping[str, Callable[[Forger], str]] = {
    "tampered signature": Forger.with_other_signature,
    "tampered payload": Forger.with_other_payload,
    "no signature": lambda forger: forger.token.rpartition(".")[0] + ".",
    "alg none": lambda forger: (
        f"{encode({**forger.header, 'alg': 'none'})}.{encode(forger.claims)}."
    ),
    "HS256 by the public key": Forger.sign_with_public_key,
    "RS256 by a key for PS256": Forger.sign_with_its_other_algorithm,
    "unknown kid": lambda forger: forger.sign(header={"kid": "unknown"}, key=forger.header["kid"]),
    "no kid": lambda forger: forger.sign(header={"kid": None}, key=forger.header["kid"]),
    "number as kid": lambda forger: forger.sign(header={"kid": 1}, key=forger.header["kid"]),
    "unknown extension": lambda forger: forger.sign(header={"crit": ["level"], "level": 1}),
    "typ JWT": lambda forger: forger.sign(header={"typ": "JWT"}),
    "no typ": lambda forger: forger.sign(header={"typ": None}),
    "another audience": lambda forger: forger.sign({"aud": "another-api"}),
    "another issuer": lambda forger: forger.sign({"iss": "https://www.example.org"}),
    "expired": lambda forger: forger.sign({"exp": int(time.time()) - 1}),
    "not yet valid": lambda forger: forger.sign({"nbf": _soon()}),
    "issued in the future": lambda forger: forger.sign({"iat": _soon()}),
    "token_use refresh": lambda forger: forger.sign({"token_use": "refresh"}),
    "number as sid": lambda forger: forger.sign({"sid": 1}),
    **{
        f"no {name}": _without(name)
        for name in ("iss", "aud", "exp", "nbf", "iat", "sub", "jti", "sid", "token_use")
    },
    "refresh token": lambda forger: forger.refresh_token,
    "five parts": lambda forger: f"{forger.token}.{forger.token.partition('.')[2]}",
    "claims that are no object": lambda forger: f"{encode(forger.header)}.{encode([1])}.AAAA",
    "header that is no object": lambda forger: f"{encode(1)}.{encode(forger.claims)}.AAAA",
    "no JSON": lambda forger: f"{encode(b'{')}.{encode(b'{')}.AAAA",
    "no base64": lambda forger: "a.b.c",
    "empty parts": lambda forger: "..",
}

#: Headers that don't carry one token. Some servers answer 400 for what can't be read as one.
HEADERS: Mapping[str, Callable[[Forger], str]] = {
    "two tokens": lambda forger: f"Bearer {forger.token} {forger.token}",
    "two credentials": lambda forger: f"Bearer {forger.token}, Bearer {forger.token}",
    "another scheme": lambda forger: f"DPoP {forger.token}",
    "no scheme": lambda forger: forger.token,
    "no token": lambda forger: "Bearer",
    "over 8 KiB": lambda forger: f"Bearer {forger.sign({'padding': 'x' * 8192})}",
}
