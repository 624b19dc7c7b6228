"""A bounded memory of signatures that were verified, so that a token's second request skips the
curve arithmetic.

It holds the payload by the SHA-256 of the whole token, never the token. What it skips is the
signature alone: claims, clock and revocation are judged at every request. The payload is kept as
bytes and parsed anew each time, so that no view can change what another request will read.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

#: Entries per process, of about 600 bytes each.
MAX_ENTRIES: Final = 8192

Verified = tuple[str, bytes]


class _Memory:
    """The signatures verified with one generation of the key ring."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self._entries: dict[bytes, Verified] = {}
        self._lock = Lock()

    def get(self, digest: bytes) -> Verified | None:
        return self._entries.get(digest)

    def add(self, digest: bytes, verified: Verified) -> None:
        with self._lock:
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            self._entries[digest] = verified


class VerifiedSignatures:
    """The memory of the present generation; a change of the key ring starts an empty one."""

    def __init__(self) -> None:
        self._memory = _Memory(-1)

    def of_generation(self, generation: int) -> _Memory:
        memory = self._memory
        if memory.generation != generation:
            memory = self._memory = _Memory(generation)
        return memory
