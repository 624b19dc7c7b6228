"""A bounded memory of signatures that were verified, so that a token's second request skips the
curve arithmetic.

It holds what was read by the SHA-256 of the whole token, never the token. What it skips is the
signature and the reading: claims, clock and revocation are judged at every request. What it holds
is immutable, so that no view can change what another request will read.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from jwt_auth.tokens.claims import AccessToken

#: Entries per process, of about 1.5 kB each.
MAX_ENTRIES: Final = 8192


class _Memory:
    """The signatures verified with one generation of the key ring."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._entries: dict[bytes, AccessToken] = {}
        self._lock = Lock()

    def get(self, digest: bytes) -> AccessToken | None:
        return self._entries.get(digest)

    def add(self, digest: bytes, token: AccessToken) -> None:
        with self._lock:
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[digest] = token


class VerifiedSignatures:
    """The memory of the present generation; a change of the key ring starts an empty one."""

    def __init__(self) -> None:
        self._memory = _Memory(-1)

    def forget(self) -> None:
        """Start an empty one in a child that was forked: a thread that it doesn't have may hold
        the lock of the present one.
        """
        self._memory = _Memory(-1)

    def of_generation(self, generation: int) -> _Memory:
        memory = self._memory
        if memory.generation != generation:
            memory = self._memory = _Memory(generation)
        return memory
