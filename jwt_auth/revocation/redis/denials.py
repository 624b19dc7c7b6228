"""Write revocations to Redis, and keep those that can't be written yet."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from threading import Lock
from time import monotonic, sleep
from typing import Final

from redis import exceptions
from redis.exceptions import RedisError

from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.redis import scripts
from jwt_auth.revocation.redis.client import Away, RedisClient
from jwt_auth.revocation.redis.keys import Keys

#: How many denials are kept while Redis is unavailable. More are replaced by a single denial of
#: everything, which makes every hash ask the database again.
_KEPT: Final = 10_000

#: Seconds between two attempts to write the kept denials while the process is waiting to end.
_FLUSH_PAUSE: Final = 0.1


class DenialWriter:
    """Writes denials into the users' hashes, whose TTL is ``ttl`` milliseconds.

    A denial that is written twice has the same effect as one that is written once. So the same kept
    denial may be written by two threads, and a write may be repeated after a lost answer.
    """

    def __init__(self, client: RedisClient, keys: Keys, *, ttl: int) -> None:
        self._client = client
        self._keys = keys
        self._ttl = ttl
        self._lock = Lock()
        #: By their ids, the oldest first. Each stays until it is written, even if writing is
        #: interrupted.
        self._kept: dict[str, Denial] = {}

    @property
    def kept(self) -> list[Denial]:
        """The denials that couldn't be written yet, the oldest first."""
        with self._lock:
            return list(self._kept.values())

    def mark(self, denial: Denial) -> None:
        """Mark what a user is about to lose, so that requests ask the database about it.

        Raises:
            RedisError: it could not be written.
        """
        key = self._keys.of_user(denial.user_id, tenant=denial.tenant)
        self._run(scripts.MARK, key, denial, is_whole=denial.whole_user)

    def write(self, denial: Denial, away: Away, *, end: float = inf) -> None:
        """Write a denial for good, on every server that it concerns.

        Servers that fail are added to ``away``. No hash is begun after ``end``, a time of the
        monotonic clock.

        Raises:
            RedisError: the first error, if the denial could not be written everywhere.
        """
        is_whole = denial.whole_user or not (denial.session_ids or denial.jtis)
        if denial.user_id is not None:
            key = self._keys.of_user(denial.user_id, tenant=denial.tenant)
            self._run(scripts.CONFIRM, key, denial, is_whole=is_whole, away=away)
            return
        errors: list[RedisError] = []
        for key in self._client.scan(self._keys.pattern(denial.tenant), away):
            if monotonic() >= end:
                errors.append(exceptions.TimeoutError("no time left"))
                break
            try:
                self._run(scripts.CONFIRM, key, denial, is_whole=is_whole, away=away)
            except RedisError as error:
                errors.append(error)
        for first in (*errors, *away.values()):
            raise first

    def _run(
        self, script: str, key: bytes, denial: Denial, *, is_whole: bool, away: Away | None = None
    ) -> None:
        fields = [f"s:{session_id}" for session_id in denial.session_ids]
        fields += [f"t:{jti}" for jti in denial.jtis]
        arguments = (self._ttl, denial.id if is_whole else "", *fields)
        self._client.run_script(script, key, *arguments, away=away)

    def keep(self, denials: Iterable[Denial]) -> None:
        """Keep denials that could not be written, for :meth:`write_kept`."""
        with self._lock:
            self._kept |= {denial.id: denial for denial in denials}
            if len(self._kept) > _KEPT:
                everything = Denial(user_id=None, tenant=None)
                self._kept = {everything.id: everything}

    def write_kept(self, away: Away, *, end: float = inf) -> list[RedisError]:
        """Write the kept denials that need no server in ``away``, and return the errors.

        None is begun after ``end``, a time of the monotonic clock.
        """
        errors = []
        for denial in self.kept:
            if monotonic() >= end:
                break
            try:
                self.write(denial, away, end=end)
            except RedisError as error:
                errors.append(error)
            else:
                with self._lock:
                    self._kept.pop(denial.id, None)
        return errors

    def flush(self, timeout: float) -> bool:
        """Try for ``timeout`` seconds to write the kept denials; return whether none is left."""
        end = monotonic() + timeout
        while self.kept and monotonic() < end:
            if self.write_kept({}, end=end):
                sleep(_FLUSH_PAUSE)
        return not self.kept
