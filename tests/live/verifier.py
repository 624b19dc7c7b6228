"""Another service that only verifies: joserfc, and a key set of its own that it caches.

As most libraries do it: the set is kept for its `max-age`; a `kid` that it lacks has it fetched
anew, once in a while. What it refuses, a user of that service would be refused.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Thread

import joserfc.jwk
import joserfc.jwt
import jwt
import requests
from joserfc.errors import JoseError

from tests.live.traffic import Reachable

ISSUER, AUDIENCE = "https://auth.example.test", "example-api"
ALGORITHMS = ["ES256", "EdDSA", "PS256", "RS256"]

#: Seconds between two fetches for kids that the set lacks.
COOL_DOWN = 30.0

#: How often a fetch is tried: one of two servers may just be restarting.
TRIES = 10


class VerifyOnlyService:
    """Verifies every token that it is given, in a thread of its own."""

    def __init__(self, server: Reachable) -> None:
        self._server = server
        self._tokens: SimpleQueue[str] = SimpleQueue()
        self._keys = joserfc.jwk.KeySet([])
        self._stale_at = self._unknown_again_at = float("-inf")
        self._ahead = 0.0
        self.counts: Counter[str] = Counter()
        self.refused: list[str] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Verify until the block is left, and what has come by then."""
        stopped = Event()
        thread = Thread(target=self._run, args=[stopped])
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def present(self, token: str) -> None:
        """Bring a token, as a request to that service would."""
        self._tokens.put(token)

    def let_pass(self, seconds: float) -> None:
        """Let time go by for the cache."""
        self._ahead += seconds

    def _run(self, stopped: Event) -> None:
        while not (stopped.is_set() and self._tokens.empty()):
            try:
                self._verify(self._tokens.get(timeout=0.1))
            except Empty:
                continue

    def _verify(self, token: str) -> None:
        header = jwt.get_unverified_header(token)
        try:
            keys = self._keys_for(header["kid"])
            decoded = joserfc.jwt.decode(token, keys, algorithms=ALGORITHMS)
            joserfc.jwt.JWTClaimsRegistry(
                iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}
            ).validate(decoded.claims)
        except (JoseError, ValueError) as error:
            self.refused.append(f"{header['alg']} {header['kid']}: {error}")
        else:
            self.counts[f"verified {header['alg']}"] += 1

    def _keys_for(self, kid: str) -> joserfc.jwk.KeySet:
        now = time.monotonic() + self._ahead
        if now >= self._stale_at:
            self._fetch(now)
        elif kid not in {key.kid for key in self._keys} and now >= self._unknown_again_at:
            self._unknown_again_at = now + COOL_DOWN
            self.counts["unknown kids"] += 1
            self._fetch(now)
        return self._keys

    def _fetch(self, now: float) -> None:
        with self._server.session() as client:
            for _ in range(TRIES):
                try:
                    answer = client.get("/.well-known/jwks.json")
                except requests.ConnectionError:
                    time.sleep(0.1)
                    continue
                answer.raise_for_status()
                break
            else:
                raise AssertionError("no server gives the key set")
        max_age = re.search(r"max-age=(\d+)", answer.headers["Cache-Control"])
        assert max_age is not None
        self._stale_at = now + int(max_age[1])
        self._keys = joserfc.jwk.KeySet.import_key_set(answer.json())
        self.counts["fetches"] += 1
