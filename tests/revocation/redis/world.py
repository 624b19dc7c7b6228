"""Two nodes, one Redis and one database, whose steps a test takes one at a time.

A service that may only read that Redis is there, too; the first node answers its questions.

The steps are the real ones of RedisRevocation; only who takes them when is the test's. A node's
clock and its connection can be stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from jwt_auth.exceptions import AccessTokenRefused, RevocationUnknown
from jwt_auth.models import Reason, RefreshTokenFamily, TokenVersion
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.lookup import Standing, find_standing
from jwt_auth.revocation.redis import RedisRevocation, SharedRedis
from jwt_auth.revocation.redis.circuit_breaker import State
from jwt_auth.revocation.redis.client import RedisClient
from jwt_auth.tokens.claims import AccessToken
from tests.flows.scene import log_in
from tests.revocation.redis.scene import admits, token_of
from tests.revocation.redis.servers import PATIENT, RedisServer

TTL = 60
_NUMBERS = count()


class _Client(RedisClient):
    """The real client. The test cuts it off, and restarts the server at its other end."""

    world: World

    def _try(self, *arguments: Any) -> Any:
        if not self.world.is_up:
            raise RedisConnectionError("unreachable")
        return super()._try(*arguments)

    def _open(self, *arguments: Any) -> Any:
        connection = super()._open(*arguments)
        # A restart renews every client, so all open connections are of this epoch.
        connection.run = connection.run[:8] + b"%08d" % self.world.epoch
        return connection


class Node(RedisRevocation):
    """A process of the site."""

    def __init__(self, world: World) -> None:
        super().__init__("revocation", TTL=TTL, TIMEOUT=PATIENT, PREFIX=world.prefix)
        _put_into(world, self)
        self.only_looks = False
        self.has_seen_outage = True

    def _complete(self, token: AccessToken, answer: Any) -> AbstractBaseUser:
        if self.only_looks:
            return self._database.get_user(token)
        return super()._complete(token, answer)

    def _fail(self, error: RedisError) -> None:
        self.has_seen_outage = True
        super()._fail(error)

    @property
    def knows_of_outage(self) -> bool:
        return self.has_seen_outage

    @property
    def may_notice(self) -> bool:
        """Whether a request would find out that Redis is unreachable."""
        return self.circuit.state is State.CLOSED

    def admits(self, token: AccessToken, *, only_looks: bool = False) -> bool:
        """Answer a request. With `only_looks`, the hash stays as it is."""
        self.only_looks = only_looks
        try:
            return admits(self, token)
        finally:
            self.only_looks = False


class Reader(SharedRedis):
    """Another service."""

    def __init__(self, world: World) -> None:
        nowhere = "http://127.0.0.1:1/"
        super().__init__(nowhere, "revocation", TTL=TTL, TIMEOUT=PATIENT, PREFIX=world.prefix)
        _put_into(world, self)
        self._node = world.nodes[0]
        self.has_seen_outage = True

    def _fail(self, error: RedisError) -> None:
        self.has_seen_outage = True
        super()._fail(error)

    def admits(self, token: AccessToken, *, only_looks: bool = False) -> bool:
        """Answer a request; the node may complete the hash unless `only_looks`."""
        try:
            self.get_user(token)
        except AccessTokenRefused:
            return False
        except RevocationUnknown:
            return self._node.admits(token, only_looks=only_looks)
        return True

    @property
    def knows_of_outage(self) -> bool:
        """Whether it and the node that it asks have noticed."""
        return self.has_seen_outage and self._node.has_seen_outage

    @property
    def may_notice(self) -> bool:
        """Whether a request would find out that Redis is unreachable."""
        return State.CLOSED in (self.circuit.state, self._node.circuit.state)


def _put_into(world: World, backend: Node | Reader) -> None:
    """Let the test control the network and the clock of a backend."""
    backend.client.__class__ = _Client
    backend.client.world = world  # type: ignore[attr-defined]  # one line above
    # The test calls tick().
    backend.circuit.watch = lambda: None  # type: ignore[method-assign]
    backend.circuit._clock = lambda: world.clock


@dataclass(slots=True)
class Filler:
    """A request that completes the hash, in single steps."""

    node: Node
    token: AccessToken
    lease: str
    run: bytes
    fields: list[str] | None = None


@dataclass(slots=True)
class Revoker:
    """A request that revokes, in single steps; without a session, it is of the whole user."""

    node: Node
    denial: Denial
    has_committed: bool = False
    has_answered: bool = False
    has_died: bool = False
    #: Whether only the TTL limits the delay, because Redis lost the mark of the dead revoker.
    is_disturbed: bool = False
    #: The sessions that it ended.
    ended: list[AccessToken] = field(default_factory=list)


class World:
    """The nodes, Redis and the database; `check()` says what went wrong."""

    def __init__(self, server: RedisServer, user: AbstractBaseUser) -> None:
        self.prefix = f"world-{next(_NUMBERS)}"
        self.epoch = 0
        self.is_up = True
        self.clock = 0.0
        self.user = user
        self.client = server.client()
        self.nodes = [Node(self), Node(self)]
        self.reader = Reader(self)
        self.sessions = [token_of(log_in(user)), token_of(log_in(user))]
        self.revokers: list[Revoker] = []
        self._snapshot: tuple[bytes, int] | None = None

    def close(self) -> None:
        self.client.flushall()
        self.client.close()
        for each in self.everyone:
            each.client.renew()

    @property
    def everyone(self) -> list[Node | Reader]:
        return [*self.nodes, self.reader]

    # ---- Requests

    def log_in(self) -> None:
        self.user.refresh_from_db()
        self.sessions.append(token_of(log_in(self.user)))

    def take_lease(self, node: int, session: int = 0) -> Filler | None:
        """Begin like a request that finds the hash incomplete; `None` if it is complete."""
        asked, token = self.nodes[node], self.sessions[session]
        found = asked._ask(token)
        if found is None:
            return None
        answer, run = found
        if answer.version is not None and answer.run == run and answer.session is not None:
            return None
        try:
            return Filler(asked, token, *asked.take_lease(token.subject))
        except RedisError as error:
            asked._fail(error)
            return None

    def read(self, filler: Filler | None) -> None:
        if filler is not None:
            standing = find_standing(filler.token)
            assert isinstance(standing, Standing)
            filler.fields = filler.node.read_fields(standing, filler.token)

    def write(self, filler: Filler | None) -> None:
        """Complete the hash."""
        if filler is not None and filler.fields is not None:
            try:
                filler.node.write_fields(
                    filler.token.subject, filler.fields, lease=filler.lease, run=filler.run
                )
            except RedisError as error:
                filler.node._fail(error)

    # ---- Revocations

    def deny(self, node: int, session: int | None = 0) -> Revoker:
        """Mark a session, or the whole user."""
        denial = Denial(
            user_id=self.user.pk,
            session_ids=[] if session is None else [self.sessions[session].session_id],
            whole_user=session is None,
        )
        revoker = Revoker(self.nodes[node], denial)
        self.revokers.append(revoker)
        revoker.node.deny(denial)
        # If a mark could not be written, it is lost with its revoker.
        revoker.is_disturbed = revoker.node.circuit.state is State.OPEN
        return revoker

    def commit(self, revoker: Revoker) -> None:
        """Write the revocation to the database."""
        sessions = RefreshTokenFamily.objects.filter(user_id=self.user.pk)
        end = {"reason": Reason.LOGOUT, "ip_address": None, "now": datetime.now(UTC)}
        revoker.has_committed = True
        if not revoker.denial.whole_user:
            sessions.filter(pk__in=revoker.denial.session_ids).end(**end)  # type: ignore[arg-type]
            ids = revoker.denial.session_ids
            revoker.ended = [token for token in self.sessions if token.session_id in ids]
            return
        with transaction.atomic():
            TokenVersion.objects.bump(self.user.pk)
            sessions.end(**end)  # type: ignore[arg-type]
        revoker.ended = list(self.sessions)

    def confirm(self, revoker: Revoker) -> None:
        """Mark it for good, and answer 204."""
        revoker.node.confirm(revoker.denial)
        revoker.has_answered = True

    def die(self, revoker: Revoker) -> None:
        """Be killed between the commit and the second mark."""
        revoker.has_died = True

    # ---- Redis

    @property
    def key(self) -> bytes:
        return self.nodes[0].keys.of_user(self.user.pk)

    def evict(self) -> None:
        self._disturb()
        self.client.delete(self.key)

    def take_snapshot(self) -> None:
        """Save the hash as it is."""
        dumped: Any = self.client.dump(self.key)
        left: Any = self.client.pttl(self.key)
        self._snapshot = None if dumped is None else (dumped, left)

    def restart_from_snapshot(self) -> None:
        """Restart as another process with the saved data."""
        self.restart()
        if self._snapshot is not None:
            dumped, left = self._snapshot
            self.client.restore(self.key, left, dumped)

    def restart(self) -> None:
        """Restart as another process, empty."""
        self._disturb()
        self.client.delete(self.key)
        self.epoch += 1
        for each in self.everyone:
            each.client.renew()

    def go_away(self) -> None:
        """Be unreachable."""
        if not self.is_up:
            return
        self._disturb()
        self.is_up = False
        for each in self.everyone:
            each.has_seen_outage = False

    def come_back(self) -> None:
        """Be reachable, as the same process as before."""
        self.is_up = True

    def recover(self) -> None:
        """Be reachable for so long that every node trusts it again."""
        self.come_back()
        for _ in range(2):
            for each in self.everyone:
                each.circuit.tick()
            self.pass_ttl()
        for each in self.everyone:
            each.circuit.tick()

    def pass_ttl(self) -> None:
        """Let every hash expire."""
        self.clock += TTL
        self.client.delete(self.key)
        self._snapshot = None  # it would expire when it is restored
        for revoker in self.revokers:
            # After the TTL, all data from before the commit has expired, and so have the marks.
            revoker.is_disturbed = not revoker.has_committed

    def _disturb(self) -> None:
        for revoker in self.revokers:
            revoker.is_disturbed = True

    # ---- What must hold

    def check(self) -> None:
        """On every node and at the reader, revoked tokens are refused and valid ones accepted."""
        for each in self.everyone:
            if not self.is_up and each.may_notice:
                continue  # its next request will see it
            for token in self.sessions[-3:]:
                must = self._must_admit(each, token)
                assert must is None or each.admits(token, only_looks=True) is must

    def _must_admit(self, node: Node | Reader, token: AccessToken) -> bool | None:
        revokers = [revoker for revoker in self.revokers if token in revoker.ended]
        if not revokers:
            return True
        if any(self._is_certain(revoker, node) for revoker in revokers):
            return False
        return None

    def _is_certain(self, revoker: Revoker, node: Node | Reader) -> bool:
        if revoker.has_answered:
            # A node without an outage learns of it when the revoker's node can write.
            return node.knows_of_outage or not any(other.denials.kept for other in self.nodes)
        return revoker.has_died and not revoker.is_disturbed

    def __iter__(self) -> Iterator[Revoker]:
        """The revokers that continue."""
        return (
            revoker
            for revoker in self.revokers
            if not revoker.has_answered and not revoker.has_died
        )
