"""Revocation answered by Redis, in one round trip for each request.

A view that only uses ``request.user.pk`` and the claims needs no SQL at all.

The database stays authoritative. Redis may lose its data at any moment, and still no revoked token
is accepted. It has one hash for each user of each tenant, and all keys of a user are in one slot of
a cluster. These are the fields:

``v``, ``a``
    The token version, and whether the user is active. ``v`` marks the hash as complete.
``run``
    The server on which the hash was completed: its process, and its last promotion. On any other
    server the hash counts as incomplete. A server that was restored from a snapshot, or that was
    promoted, may have missed a revocation.
``s:<sid>``
    A session that is live (``0``), revoked (``1``), or about to be revoked (``?``: ask the
    database). If the hash doesn't have a session, it is incomplete for that session.
``t:<jti>``
    A token that is revoked (``1``), or about to be (``?``).
``d``
    The revocations of the whole user that have begun and are not finished: ask the database.
``lease``
    Which request may complete the hash.

A request that finds an incomplete hash is answered by the database and completes the hash. It takes
the lease, reads the database, and writes everything in one step if it still has the lease. It adds
fields and replaces none.

A revocation marks the hash before it writes to the database. After the commit it marks the hash for
good and breaks the lease, so that no request completes the hash with data from before the
revocation. Each of these rules is needed: without any one of them, some sequence of steps accepts a
revoked token.
"""

from __future__ import annotations

import atexit
import logging
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from time import time
from typing import Final

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage
from django.db import connections
from redis import exceptions
from redis.exceptions import RedisError

from jwt_auth.forks import after_fork_in_child
from jwt_auth.models import RevokedToken, write_database
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.database import DatabaseRevocation, verify_standing
from jwt_auth.revocation.lazy import lazy_user
from jwt_auth.revocation.lookup import Standing, find_standing
from jwt_auth.revocation.redis import scripts
from jwt_auth.revocation.redis.checks import check_cache, check_server
from jwt_auth.revocation.redis.circuit_breaker import State
from jwt_auth.revocation.redis.client import Away
from jwt_auth.revocation.redis.denials import DenialWriter
from jwt_auth.revocation.redis.keys import Keys
from jwt_auth.revocation.redis.reader import HashReader
from jwt_auth.revocation.redis.user_hash import UserHash, Verdict
from jwt_auth.stored_times import latest_past
from jwt_auth.tokens.claims import AccessToken

logger: Final = logging.getLogger("jwt_auth")

#: Seconds after which a lease is ignored: the process that took it has probably died.
_LEASE: Final = 5

#: Seconds that any process spends on writing the kept denials before it ends.
_EXIT_PATIENCE: Final = 2.0


class RedisRevocation(HashReader):
    """Answers from Redis, and from the database while Redis is unavailable.

    Options: ``CACHE``, the name of a django-redis cache; ``TTL`` of a hash and ``TIMEOUT`` of each
    command, in seconds; ``PREFIX`` of the keys.
    """

    def __init__(
        self,
        CACHE: str = "default",  # noqa: N803  options are written as Django writes them
        TTL: float = 60,  # noqa: N803
        TIMEOUT: float = 0.25,  # noqa: N803
        PREFIX: str | None = None,  # noqa: N803
    ) -> None:
        super().__init__(
            CACHE, ttl=TTL, timeout=TIMEOUT, keys=Keys(PREFIX), authority="the database"
        )
        self._ttl = int(TTL * 1000)
        self._database = DatabaseRevocation()
        self._renew()
        after_fork_in_child(self._renew)
        atexit.register(self._flush_before_exit)

    def _renew(self) -> None:
        # In a forked child no thread would release the locks, and the parent writes what it kept.
        self.denials = DenialWriter(self.client, self.keys, ttl=self._ttl)
        #: The servers that didn't answer the last probe; ``None`` if it could not find any server.
        self._away: Away | None = None

    # ---- Answering a request

    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        user, incomplete = self._judge(token, self._ask(token))
        return self._ask_database(token, incomplete) if user is None else user

    async def aget_presented_user(self, token: AccessToken, text: str) -> AbstractBaseUser:
        user, incomplete = self._judge(token, await self._aask(token))
        if user is None:
            # In the thread that has the request's database connections.
            user = await sync_to_async(self._ask_database)(token, incomplete)
        return user

    def _judge(
        self, token: AccessToken, asked: tuple[UserHash, bytes] | None
    ) -> tuple[AbstractBaseUser | None, UserHash | None]:
        """Judge by Redis's answer, without any query. Without a user, the database has to be asked.

        The hash is returned if it is incomplete.
        """
        if asked is None:
            return None, None
        found, run = asked
        match found.judge(token, run=run):
            case Verdict.INCOMPLETE:
                return None, found
            case Verdict.UNDECIDED:
                return None, None
        return lazy_user(get_user_model(), token.subject), None

    def _ask_database(self, token: AccessToken, incomplete: UserHash | None) -> AbstractBaseUser:
        if incomplete is None:
            return self._database.get_user(token)
        return self._complete(token, incomplete)

    # ---- Completing a hash

    def _complete(self, token: AccessToken, found: UserHash) -> AbstractBaseUser:
        """Answer from the database, and complete the hash unless another request is doing so."""
        if _is_held(found.lease) or _may_read_the_past():
            return self._database.get_user(token)
        try:
            lease, run = self.take_lease(token.subject)
        except RedisError as error:
            self._fail(error)
            return self._database.get_user(token)
        # Only after the lease: data that was read before it could be older than a revocation, which
        # then would have had no lease to break.
        standing = find_standing(token)
        if standing is not None:
            fields = self.read_fields(standing, token)
            try:
                self.write_fields(token.subject, fields, lease=lease, run=run)
            except RedisError as error:
                self._fail(error)
        return verify_standing(standing, token)

    def take_lease(self, subject: str) -> tuple[str, bytes]:
        """Take the lease on the hash; this deletes a hash that another server has left."""
        lease = f"{int(time())}:{secrets.token_urlsafe(9)}"
        _, run = self.client.run_script(scripts.LEASE, self.keys.of_user(subject), lease, self._ttl)
        return lease, run

    def read_fields(self, standing: Standing, token: AccessToken) -> list[str]:
        """Read what the hash needs from the database.

        These are the version, whether the user is active, whether this session is live, and all
        tokens of the user that are revoked and haven't expired.
        """
        user = standing.user
        revoked = RevokedToken.objects.deciding().of_user(user.pk)
        recent = latest_past(datetime.now(UTC))
        fields = [str(standing.token_version), "1" if user.is_active else "0"]
        fields += [f"s:{token.session_id}", "0" if standing.session_is_live else "1"]
        for jti in revoked.filter(expires_at__gte=recent).values_list("pk", flat=True):
            fields += [f"t:{jti}", "1"]
        return fields

    def write_fields(self, subject: str, fields: list[str], *, lease: str, run: bytes) -> bool:
        """Complete the hash in one step; false if the lease is lost or the server has changed."""
        done, _ = self.client.run_script(
            scripts.COMPLETE, self.keys.of_user(subject), run, lease, *fields
        )
        return bool(done)

    # ---- Revoking

    def deny(self, denial: Denial) -> None:
        # A denial without a user concerns hashes that only the second step can find.
        if self.circuit.state is State.OPEN or denial.user_id is None:
            return
        try:
            self.denials.mark(denial)
        except RedisError as error:
            self._fail(error)

    def confirm(self, denial: Denial) -> None:
        # If only a request has failed, Redis is tried all the same: other nodes may still trust it.
        # If a probe has failed, too, only the servers of a cluster that answered it are tried.
        away = self._away if self.circuit.is_given_up else {}
        is_written = False
        try:
            if away is not None:
                self.denials.write(denial, dict(away))
                is_written = True
        except RedisError as error:
            self._fail(error)
        except BaseException as error:
            # Interrupted by Ctrl-C or by the end of a worker. If the process continues after all,
            # the circuit must be open, so that a probe writes the denial.
            self._fail(exceptions.ConnectionError(type(error).__name__))
            raise
        finally:
            if not is_written:
                self._keep([denial])

    def _keep(self, denials: Iterable[Denial]) -> None:
        self.denials.keep(denials)
        self.circuit.watch()

    def _probe(self) -> None:
        """Ask all servers for a sign of life, write the kept denials, then write a new key.

        Raises:
            RedisError: Redis or a part of it is still unavailable; denials that could not be
                written are kept. OutOfMemoryError: the server is full, but has taken the denials.
        """
        self._away = None
        away = self.client.ping()
        errors = self.denials.write_kept(away)
        self._away = away
        for error in (*away.values(), *errors):
            raise error
        self.client.put(self.keys.probe())

    def flush(self, timeout: float) -> bool:
        return self.denials.flush(timeout)

    def _flush_before_exit(self) -> None:
        try:
            self.flush(_EXIT_PATIENCE)
        finally:
            if left := self.denials.kept:
                logger.error(
                    "The process ends, and Redis could not be told of %d revocations: other "
                    "processes may accept those access tokens for up to %g seconds.",
                    len(left),
                    self._ttl / 1000,
                )

    # ---- Checks

    def check(self) -> list[CheckMessage]:
        return list(check_cache(self._cache))

    def check_server(self) -> list[CheckMessage]:
        return list(check_server(self.client, self.keys.probe(), authority="the database"))


def _is_held(lease: bytes | None) -> bool:
    return lease is not None and int(lease.partition(b":")[0]) > time() - _LEASE


def _may_read_the_past() -> bool:
    """Whether the database may show this transaction data from before the lease."""
    connection = connections[write_database(get_user_model())]
    if connection.get_autocommit():
        return False
    # The level is a member of an enum for PostgreSQL and a string for MySQL. SQLite has no level: a
    # transaction always sees a snapshot.
    level = getattr(connection, "isolation_level", None)
    return "read committed" not in str(getattr(level, "name", level)).replace("_", " ").lower()
