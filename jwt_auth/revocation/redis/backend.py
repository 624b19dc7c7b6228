"""Revocation answered by Redis: one round trip a request, and no SQL for a view that asks for no
more than ``request.user.pk`` and the claims.

The database stays the truth; Redis may forget everything at any moment and nothing revoked gets in
by it. One hash for each user of each tenant, in one slot of a cluster:

``v``, ``a``
    token version, and whether the user is active. ``v`` marks the hash as complete.
``run``
    the server on which it was completed: its process, and its last promotion. On any other it
    counts as incomplete: a server that came back from a snapshot, or that was promoted, may have
    missed a revocation.
``s:<sid>``
    a session that is live (``0``), revoked (``1``), or about to be (``?``: ask the database). Of
    any other session the hash says nothing: it is incomplete for that one.
``t:<jti>``
    a token that is revoked (``1``), or about to be (``?``).
``d``
    the revocations of the whole user that are under way: ask the database.
``lease``
    who may complete the hash.

A request that finds the hash incomplete is answered by the database and completes it: take the
lease, read the database, write in one step if the lease still stands, adding to what is there. A
revocation marks before it writes the database and, once that has committed, marks for good and
breaks the lease, so that nobody completes a hash with what they read before. Each rule is needed:
without any one of them there is a sequence of steps that lets a revoked token in.
"""

from __future__ import annotations

import atexit
import logging
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import inf
from threading import Lock
from time import monotonic, sleep, time
from typing import Any, Final
from urllib.parse import quote

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage
from django.core.exceptions import ValidationError
from django.db import connections
from redis import exceptions
from redis.exceptions import RedisError

from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.forks import after_fork_in_child
from jwt_auth.models import RevokedToken, latest_past, write_database
from jwt_auth.revocation.base import Denial, RevocationBackend
from jwt_auth.revocation.database import DatabaseRevocation, verify_standing
from jwt_auth.revocation.lazy import lazy_user
from jwt_auth.revocation.lookup import Standing, find_standing
from jwt_auth.revocation.redis import scripts
from jwt_auth.revocation.redis.checks import check_cache, check_server
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from jwt_auth.revocation.redis.client import Away, RedisClient
from jwt_auth.tokens.claims import AccessToken
from jwt_auth.users import current_tenant

logger: Final = logging.getLogger("jwt_auth")

#: The layout of the hash; another one gets other keys, so that two releases can share a server.
LAYOUT: Final = 1

#: Seconds after which a lease counts as left behind by a process that died.
_LEASE: Final = 5

#: Denials that are kept while Redis is away; more of them become one, which drops every hash.
_KEPT: Final = 10_000

#: Seconds between two tries to write what was kept, while the process waits to end.
_FLUSH_PAUSE: Final = 0.1

#: Seconds that a process which ends, whatever it is, gives to what was kept.
_EXIT_PATIENCE: Final = 2.0

_LIVE: Final = b"0"
_REVOKED: Final = b"1"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the hash says; all ``None`` where there is none."""

    version: bytes | None
    active: bytes | None
    run: bytes | None
    under_way: bytes | None
    lease: bytes | None
    session: bytes | None
    token: bytes | None


class RedisRevocation(RevocationBackend):
    """Options: ``CACHE``, the name of a django-redis cache; ``TTL`` of a hash and ``TIMEOUT`` of
    the wire, in seconds; ``PREFIX`` of the keys.
    """

    def __init__(
        self,
        CACHE: str = "default",  # noqa: N803  options are written as Django writes them
        TTL: float = 60,  # noqa: N803
        TIMEOUT: float = 0.25,  # noqa: N803
        PREFIX: str | None = None,  # noqa: N803
    ) -> None:
        self._cache = CACHE
        self.client = RedisClient(CACHE, timeout=TIMEOUT)
        self.circuit = Circuit(self._probe, distrust=TTL)
        self._ttl = int(TTL * 1000)
        self._prefix = PREFIX
        self._database = DatabaseRevocation()
        self._renew()
        after_fork_in_child(self._renew)
        atexit.register(self._flush_before_exit)

    def _renew(self) -> None:
        # A forked child has nobody to release the locks; what was kept is its parent's to write.
        self._keeping = Lock()
        #: By their ids, the oldest first. Each stays until it is written, whatever interrupts that.
        self._kept: dict[str, Denial] = {}
        #: The servers that gave the last probe no sign of life; ``None``: it found none at all.
        self._away: Away | None = None

    def get_user(self, token: AccessToken) -> AbstractBaseUser:
        asked = self._ask(token)
        if asked is None:
            return self._database.get_user(token)
        answer, run = asked
        if answer.version is None or answer.run != run:
            return self._complete(token, answer)
        if _REVOKED in (answer.session, answer.token):
            session_ended = answer.session == _REVOKED
            raise AccessTokenRefused(
                Refusal.SESSION_ENDED if session_ended else Refusal.TOKEN_REVOKED
            )
        if answer.session is None:
            return self._complete(token, answer)
        if answer.session != _LIVE or answer.token is not None or answer.under_way is not None:
            return self._database.get_user(token)
        return self._judge(token, answer)

    def _fail(self, error: RedisError) -> None:
        # Every thread connects anew: a server that was demoted may go on answering old connections.
        self.client.renew()
        self.circuit.fail(error)

    def _judge(self, token: AccessToken, answer: _Answer) -> AbstractBaseUser:
        if answer.active != b"1":
            raise AccessTokenRefused(Refusal.USER_INACTIVE)
        if answer.version != str(token.token_version).encode():
            raise AccessTokenRefused(Refusal.TOKEN_VERSION)
        user = lazy_user(get_user_model(), token.subject)
        return self._database.get_user(token) if user is None else user

    def _ask(self, token: AccessToken) -> tuple[_Answer, bytes] | None:
        """What the hash says, and the run of the server; ``None``: Redis can't be believed."""
        if not self._is_closed():
            self.circuit.watch()
            return None
        try:
            values, run = self.client.call(
                "HMGET",
                self._key(token.subject),
                "v",
                "a",
                "run",
                "d",
                "lease",
                f"s:{token.session_id}",
                f"t:{token.jti}",
            )
        except RedisError as error:
            self._fail(error)
            return None
        # While this one waited another request may have failed, and so may a revocation.
        return (_Answer(*values), run) if self._is_closed() else None

    def _is_closed(self) -> bool:
        return self.circuit.state is State.CLOSED

    # ---- Completing a hash

    def _complete(self, token: AccessToken, answer: _Answer) -> AbstractBaseUser:
        """Answer from the database, and complete the hash unless somebody else is about to."""
        if _is_held(answer.lease) or _may_read_the_past():
            return self._database.get_user(token)
        try:
            lease, run = self.take_lease(token.subject)
        except RedisError as error:
            self._fail(error)
            return self._database.get_user(token)
        # After the lease: what is read before it could be older than a revocation that has broken
        # none.
        standing = find_standing(token)
        if standing is not None:
            fields = self.read_fields(standing, token)
            try:
                self.write_fields(token.subject, fields, lease=lease, run=run)
            except RedisError as error:
                self._fail(error)
        return verify_standing(standing, token)

    def take_lease(self, subject: str) -> tuple[str, bytes]:
        """Become the one who may complete the hash; drops one that a former server left."""
        lease = f"{int(time())}:{secrets.token_urlsafe(9)}"
        _, run = self.client.run_script(scripts.LEASE, self._key(subject), lease, self._ttl)
        return lease, run

    def read_fields(self, standing: Standing, token: AccessToken) -> list[str]:
        """What the database says now: the version, whether the user is active, whether this
        session is live, and all tokens that are revoked and not over.
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
        """Complete the hash in one step, if the lease stands and the server is the one that gave
        it.
        """
        done, _ = self.client.run_script(scripts.COMPLETE, self._key(subject), run, lease, *fields)
        return bool(done)

    # ---- Revoking

    def deny(self, denial: Denial) -> None:
        if self.circuit.state is State.OPEN or denial.user_id is None:
            return  # of everybody, or of nobody we know: only the second step can find the hashes
        try:
            self._run(scripts.MARK, self._key_of(denial), denial, whole=denial.whole_user)
        except RedisError as error:
            self._fail(error)

    def confirm(self, denial: Denial) -> None:
        # Where only a request has failed, it is tried all the same: other nodes may believe Redis.
        # Where a probe has failed, too, so are the servers of a cluster that have answered it.
        away = self._away if self.circuit.is_given_up else {}
        is_written = False
        try:
            if away is not None:
                self._write(denial, dict(away))
                is_written = True
        except RedisError as error:
            self._fail(error)
        except BaseException as error:
            # Cut short, by Ctrl-C or a worker's end. If the process goes on, somebody has to probe.
            self._fail(exceptions.ConnectionError(type(error).__name__))
            raise
        finally:
            if not is_written:
                self._keep([denial])

    def _write(self, denial: Denial, away: Away, *, end: float = inf) -> None:
        """Write it wherever that can be done; servers that fail are added to ``away``. No hash is
        begun after ``end``, a time of the monotonic clock.

        Raises:
            RedisError: of the first place where it could not be done.
        """
        whole = denial.whole_user or not (denial.session_ids or denial.jtis)
        if denial.user_id is not None:
            self._run(scripts.CONFIRM, self._key_of(denial), denial, whole=whole, away=away)
            return
        # Of whatever else a prefix or a tenant may mean to a pattern, nothing is special.
        namespace = re.sub(r"([*?\[\]\\^-])", r"\\\1", self._namespace())
        tenant = "*" if denial.tenant is None else _quoted(denial.tenant)
        errors: list[RedisError] = []
        for key in self.client.scan(f"{namespace}{tenant}:{{*".encode(), away):
            if monotonic() >= end:
                errors.append(exceptions.TimeoutError("no time left"))
                break
            try:
                self._run(scripts.CONFIRM, key, denial, whole=whole, away=away)
            except RedisError as error:
                errors.append(error)
        for first in (*errors, *away.values()):
            raise first

    def _run(
        self, script: str, key: bytes, denial: Denial, *, whole: bool, away: Away | None = None
    ) -> None:
        fields = [f"s:{session_id}" for session_id in denial.session_ids]
        fields += [f"t:{jti}" for jti in denial.jtis]
        arguments = (self._ttl, denial.id if whole else "", *fields)
        self.client.run_script(script, key, *arguments, away=away)

    def _keep(self, denials: Iterable[Denial]) -> None:
        with self._keeping:
            self._kept |= {denial.id: denial for denial in denials}
            if len(self._kept) > _KEPT:
                everything = Denial(user_id=None, tenant=None)
                self._kept = {everything.id: everything}
        self.circuit.watch()

    def _probe(self) -> None:
        """Ask for a sign of life, write what was kept, the oldest first, then anything new.

        Raises:
            RedisError: Redis is still away, or a part of it, and what could not be written stays;
                OutOfMemoryError: it is full, but has taken what was kept.
        """
        self._away = None
        away = self.client.ping()
        errors = self._write_kept(away)
        self._away = away
        for error in (*away.values(), *errors):
            raise error
        self.client.put(f"{self._namespace()}probe".encode())

    def _write_kept(self, away: Away, *, end: float = inf) -> list[RedisError]:
        """Write what was kept, but for what needs a server in ``away``; gives what failed. Nothing
        is begun after ``end``, a time of the monotonic clock.

        Two threads may do so at once: a denial that is written twice is the same as once.
        """
        errors = []
        with self._keeping:
            kept = list(self._kept.values())
        for denial in kept:
            if monotonic() >= end:
                break
            try:
                self._write(denial, away, end=end)
            except RedisError as error:
                errors.append(error)
            else:
                with self._keeping:
                    self._kept.pop(denial.id, None)
        return errors

    def flush(self, timeout: float) -> bool:
        end = monotonic() + timeout
        while self._kept and monotonic() < end:
            if self._write_kept({}, end=end):
                sleep(_FLUSH_PAUSE)
        return not self._kept

    def _flush_before_exit(self) -> None:
        try:
            self.flush(_EXIT_PATIENCE)
        finally:
            if self._kept:
                logger.error(
                    "The process ends, and Redis could not be told of %d revocations: other "
                    "processes may accept those access tokens for up to %g seconds.",
                    len(self._kept),
                    self._ttl / 1000,
                )

    # ---- Checks

    def check(self) -> list[CheckMessage]:
        return list(check_cache(self._cache))

    def check_server(self) -> list[CheckMessage]:
        return list(check_server(self.client, f"{self._namespace()}probe".encode()))

    # ---- Names

    def _key_of(self, denial: Denial) -> bytes:
        return self._key(denial.user_id, tenant=denial.tenant)

    def _key(self, subject: Any, *, tenant: str | None = None) -> bytes:
        # In the one form that the user model's key has: a denial may bring a UUID and a token its
        # text. What no database can hold still needs a key of its own.
        with suppress(ValidationError):
            subject = get_user_model()._meta.pk.to_python(subject)
        name = _quoted(current_tenant() if tenant is None else tenant)
        return f"{self._namespace()}{name}:{{{subject}}}".encode("utf-8", "surrogatepass")

    def _namespace(self) -> str:
        # Two projects that share a server have two issuers.
        prefix = self._prefix or f"jwt_auth:{sha256(conf.issuer.encode()).hexdigest()[:8]}"
        return f"{prefix}:{LAYOUT}:"


def _quoted(tenant: str) -> str:
    # Without braces, which would name the slot, and without what a pattern takes for its own.
    return quote(tenant, safe="/")


def _is_held(lease: bytes | None) -> bool:
    return lease is not None and int(lease.partition(b":")[0]) > time() - _LEASE


def _may_read_the_past() -> bool:
    """Whether the database may show this transaction a snapshot from before the lease."""
    connection = connections[write_database(get_user_model())]
    if connection.get_autocommit():
        return False
    # PostgreSQL's level is an enum's member, MySQL's a string; SQLite has snapshots only.
    level = getattr(connection, "isolation_level", None)
    return "read committed" not in str(getattr(level, "name", level)).replace("_", " ").lower()
