"""Read users' hashes from Redis for as long as Redis can be trusted."""

from __future__ import annotations

from abc import abstractmethod

from asgiref.sync import sync_to_async
from redis.exceptions import RedisError

from jwt_auth.revocation.base import RevocationBackend
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from jwt_auth.revocation.redis.client import RedisClient
from jwt_auth.revocation.redis.keys import Keys
from jwt_auth.revocation.redis.loop_client import LoopClient, NotHere
from jwt_auth.revocation.redis.user_hash import UserHash
from jwt_auth.tokens.claims import AccessToken


class HashReader(RevocationBackend):
    """The part of a backend that reads. Subclasses ask an authority where Redis has no answer.

    ``ttl`` is the lifetime of a hash in seconds, ``timeout`` that of a command; ``authority`` is
    what the log says instead of Redis.
    """

    def __init__(
        self, cache: str, *, ttl: float, timeout: float, keys: Keys, authority: str
    ) -> None:
        self._cache = cache
        self.keys = keys
        self.client = RedisClient(cache, timeout=timeout)
        self._loop_client = LoopClient(self.client)
        self.circuit = Circuit(self._probe, distrust=ttl, authority=authority)

    @abstractmethod
    def _probe(self) -> None:
        """Find out whether Redis works again.

        Raises:
            RedisError: it doesn't.
        """

    def _ask(self, token: AccessToken) -> tuple[UserHash, bytes] | None:
        """Read the hash and the run of the server; ``None`` if Redis can't be trusted now."""
        if not self._is_closed():
            self.circuit.watch()
            return None
        try:
            values, run = self.client.call(
                "HMGET", self.keys.of_user(token.subject), *UserHash.fields_for(token)
            )
        except RedisError as error:
            self._fail(error)
            return None
        # While this request waited, another one or a revocation may have failed.
        return (UserHash(*values), run) if self._is_closed() else None

    async def _aask(self, token: AccessToken) -> tuple[UserHash, bytes] | None:
        """Do the same without blocking the event loop."""
        if not self._is_closed():
            return self._ask(token)  # without asking
        try:
            values, run = await self._loop_client.call(
                "HMGET", self.keys.of_user(token.subject), *UserHash.fields_for(token)
            )
        except NotHere:
            return await sync_to_async(self._ask, thread_sensitive=False)(token)
        return (UserHash(*values), run) if self._is_closed() else None

    def _is_closed(self) -> bool:
        return self.circuit.state is State.CLOSED

    def _fail(self, error: RedisError) -> None:
        # All threads have to connect again: a server that was demoted may still answer on the
        # connections that are open.
        self.client.renew()
        self.circuit.fail(error)
