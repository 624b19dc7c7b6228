"""Verify access tokens of jwt_auth with joserfc and a key set that is cached."""

import os
import re
import threading
import time

import requests
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

ALGORITHMS = {"ES256", "EdDSA", "PS256", "RS256"}

#: Seconds. After a fetch, the next one for an unknown kid; after a failed one, the next attempt.
COOL_DOWN, RETRY = 30, 5

#: Seconds for which the last key set is used beyond its max-age while it can't be fetched.
STALE = 3600

claims_rules = jwt.JWTClaimsRegistry(
    iss={"essential": True, "value": os.environ["ISSUER"]},
    aud={"essential": True, "value": os.environ["AUDIENCE"]},
    token_use={"essential": True, "value": "access"},
    **{name: {"essential": True} for name in ("exp", "nbf", "iat", "sub", "jti", "sid")},
)


class InvalidToken(Exception):
    """The token isn't a good access token."""


class KeysUnavailable(Exception):
    """The key set can't be fetched."""


class RemoteKeySet:
    """The issuer's keys, by their kid."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._stale_at = self._unusable_at = self._next_fetch = 0.0

    def find(self, kid: object) -> Key | None:
        """Return the key, or None for an unknown kid."""
        with self._lock:
            now = time.monotonic()
            if (now >= self._stale_at or kid not in self._keys) and now >= self._next_fetch:
                self._fetch(now)
            if now >= self._unusable_at:
                raise KeysUnavailable
            return self._keys.get(kid)

    def _fetch(self, now: float) -> None:
        self._next_fetch = now + RETRY
        try:
            answer = requests.get(self._url, timeout=5, allow_redirects=False)
            if answer.status_code != 200:
                return
            keys = KeySet.import_key_set(answer.json()).keys
        except (requests.RequestException, JoseError, ValueError, TypeError, LookupError):
            return
        max_age = re.search(r"max-age=(\d{1,4})\b", answer.headers.get("Cache-Control", ""))
        self._keys = {key.kid: key for key in keys if key.kid and key.alg in ALGORITHMS}
        self._stale_at = now + (int(max_age[1]) if max_age else 300)
        self._unusable_at = self._stale_at + STALE
        self._next_fetch = now + COOL_DOWN


key_set = RemoteKeySet(os.environ["JWKS_URL"])


def verify(token: str) -> dict:
    """Return the claims, or raise InvalidToken or KeysUnavailable."""
    if len(token) > 8192:
        raise InvalidToken
    try:
        header = jws.extract_compact(token.encode()).headers()
        if header.get("typ") != "at+jwt" or not isinstance(header.get("kid"), str):
            raise InvalidToken
        key = key_set.find(header["kid"])
        if key is None:
            raise InvalidToken
        claims = jwt.decode(token, key, algorithms=[key.alg]).claims
        claims_rules.validate(claims)
        if not isinstance(claims["sid"], str):
            raise InvalidToken
    except (JoseError, ValueError) as error:
        raise InvalidToken from error
    return claims
