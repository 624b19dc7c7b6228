"""The protocol of revocation with Redis: every interleaving, within a small scope.

One user, one session to revoke, two fillers (requests that find the hash incomplete), one revoker,
one environment that may evict the hash, restart the server, empty or from a snapshot, cut it off,
or fail over to a replica that lags behind, and back. A request is one step: it is refused if the
hash is complete and denies, or if it is not complete and the database denies.

``CASES`` are what must hold:

loss
    Once the revoker has answered, every later request is refused, whatever the server loses.
death
    If the revoker's process dies right after its commit, the same holds as long as the hash is
    neither evicted nor the server restarted: then it holds after the hash's TTL.
outage
    The same with Redis unreachable for a while, also in the middle of a revocation, on nodes that
    have noticed.
fail-over
    The same with a fail-over to a replica that has missed the revocation, and back to the server
    that was the primary before and has missed it, too.
shared
    The same for a service that only reads the hash, and asks the issuer where it can't believe it.
    Its request takes two steps, and anything may happen in between. Where it asks, the issuer
    answers as above.
shared outage
    The same with Redis unreachable for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

RULES: Final = (
    "lease",
    "deny_after_commit",
    "run_id",
    "replication_id",
    "learn_again",
    "deny_first",
    "additive_fill",
    "distrust_after_outage",
    "write_what_was_kept",
    "reader_checks_run",
    "reader_distrusts",
    "reader_asks_anew",
)

#: The identity of a server: its process, and how many promotions there were before its own.
Identity = tuple[int, int]
_NOBODY: Final = (0, 0)


@dataclass(frozen=True)
class Hash:
    """The user's hash, completed on the server that it names."""

    complete: bool = False
    denied: bool = False
    #: The filler that may complete it.
    lease: int | None = None
    on: Identity = _NOBODY


@dataclass(frozen=True)
class Filler:
    """A request that completes the hash, and the data that it has so far."""

    step: str = "idle"
    saw_denied: bool = False
    on: Identity = _NOBODY


@dataclass(frozen=True)
class Reader:
    """A service that shares Redis with the issuer, and can't write to it."""

    #: "idle", or "ask" with a token that it can't judge by the hash.
    step: str = "idle"
    #: The present request began after the revoker had answered, so it must be refused.
    is_late: bool = False
    #: An earlier answer of the issuer was good.
    remembers: bool = False
    has_admitted: bool = False


@dataclass(frozen=True)
class State:
    """The world, and how many events may still happen in it."""

    #: The hash on the primary; ``None``: the key does not exist.
    hash: Hash | None = None
    #: The primary: which of the two servers, the process there, the promotions so far.
    server: int = 0
    runs: tuple[int, int] = (1, 2)
    promotions: int = 0
    #: The hash on the other server, as far as it was replicated.
    replica: Hash | None = None
    #: The identity that a connection to each server has learned when it was opened.
    learned: tuple[Identity, Identity] = (_NOBODY, _NOBODY)
    snapshot: Hash | str | None = "none taken"
    db_revoked: bool = False
    #: "deny", "commit", "confirm", "done", or "dead" after the commit.
    revoker: str = "deny"
    fillers: tuple[Filler, ...] = (Filler(), Filler())
    evictions: int = 0
    restarts: int = 0
    outages: int = 0
    fail_overs: int = 0
    may_die: bool = False
    up: bool = True
    #: A node has seen Redis fail: it asks the database until every earlier hash has expired.
    distrust: bool = False
    #: The hash dates from before the outage.
    old_hash: bool = False
    #: A denial that could not be written yet.
    kept: bool = False
    reader: Reader = Reader()
    #: Requests at the reader.
    requests: int = 0


CASES: Final = {
    "loss": State(evictions=2, restarts=1),
    "death": State(may_die=True),
    "outage": State(outages=1, evictions=1),
    "fail-over": State(fail_overs=2),
    "shared": State(evictions=1, restarts=1, requests=2, fillers=(Filler(),)),
    "shared outage": State(outages=1, requests=1, fillers=(Filler(),)),
}


class Protocol:
    """The steps, by the rules that are active."""

    def __init__(self, *, without: str | None = None) -> None:
        self._rules = frozenset(RULES) - {without}

    def violation(self, s: State) -> str | None:
        """Whether the revoked session is accepted."""
        if s.reader.has_admitted:
            return "a revoked session gets in at the reader"
        if _is_revoked(s) and self._admits(s):
            return "a revoked session gets in"
        return None

    def _admits(self, s: State) -> bool:
        """Whether the issuer accepts the session."""
        if s.up and not s.distrust and self._is_believed(s):
            assert s.hash is not None
            return not s.hash.denied
        return not s.db_revoked

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        """List the possible next events."""
        yield from self._revoke(s)
        if s.up:
            for number in range(len(s.fillers)):
                yield from self._fill(s, number)
        yield from self._read(s)
        yield from self._environment(s)
        yield from self._fail_over(s)

    # ---- Who asks

    def _identity(self, s: State) -> Identity:
        if "learn_again" not in self._rules and s.learned[s.server] != _NOBODY:
            return s.learned[s.server]
        promotions = s.promotions if "replication_id" in self._rules else 0
        return (s.runs[s.server] if "run_id" in self._rules else 1, promotions)

    def _connected(self, s: State) -> State:
        """Open the connection, if it isn't open, and learn the server's identity."""
        learned = list(s.learned)
        learned[s.server] = self._identity(s)
        return replace(s, learned=(learned[0], learned[1]))

    def _is_believed(self, s: State) -> bool:
        return s.hash is not None and s.hash.complete and s.hash.on == self._identity(s)

    # ---- The revoker: mark in Redis, commit, deny in Redis, answer

    def _revoke(self, s: State) -> Iterator[tuple[str, State]]:
        old = s.hash or Hash()
        if s.revoker == "deny":
            marks = "deny_first" in self._rules and s.up
            marked = replace(old, denied=True) if marks else s.hash
            yield "revoker marks in Redis", replace(s, hash=marked, revoker="commit")
        elif s.revoker == "commit":
            then = "confirm" if "deny_after_commit" in self._rules else "done"
            yield "revoker commits", replace(s, db_revoked=True, revoker=then)
            if s.may_die:
                yield "revoker commits and dies", replace(s, db_revoked=True, revoker="dead")
        elif s.revoker == "confirm" and s.up:
            # In one step with it every lease is broken, so that a filler with an older view of the
            # database can't complete the hash.
            denied = self._denied(old)
            yield "revoker denies and answers", replace(s, hash=denied, revoker="done")
        elif s.revoker == "confirm":
            keeps = "write_what_was_kept" in self._rules
            yield "revoker keeps the denial", replace(s, kept=keeps, revoker="done")

    def _denied(self, old: Hash) -> Hash:
        return replace(old, denied=True, lease=None if "lease" in self._rules else old.lease)

    # ---- A filler: take the lease, read the database, complete the hash

    def _fill(self, s: State, number: int) -> Iterator[tuple[str, State]]:
        me = s.fillers[number]
        identity = self._identity(s)
        if me.step == "idle":
            if not s.distrust and not self._is_believed(s):
                old = s.hash or Hash()
                kept = old if old.on in {_NOBODY, identity} else Hash()  # a former server's goes
                leased = replace(kept, lease=number, complete=False)
                then = _put(self._connected(s), number, Filler("read", on=identity))
                yield f"filler {number} takes the lease", replace(then, hash=leased)
        elif me.step == "read":
            then = _put(s, number, replace(me, step="write", saw_denied=s.db_revoked))
            yield f"filler {number} reads the database", then
        elif me.on != identity or ("lease" in self._rules and (s.hash or Hash()).lease != number):
            yield f"filler {number} gives up", _put(s, number, Filler())
        else:
            old = s.hash or Hash()
            adds = "additive_fill" in self._rules
            full = Hash(True, me.saw_denied or (adds and old.denied), None, identity)
            then = replace(_put(s, number, Filler()), hash=full, old_hash=False)
            yield f"filler {number} completes", then

    # ---- A reader: read the hash, and ask the issuer unless the hash can be believed

    def _read(self, s: State) -> Iterator[tuple[str, State]]:
        me = s.reader
        if me.step == "ask":
            remembered = me.remembers and "reader_asks_anew" not in self._rules
            yield "the reader asks the issuer", _answer(s, admitted=remembered or self._admits(s))
        elif s.requests:
            begun = replace(me, is_late=_is_revoked(s))
            then = replace(s, requests=s.requests - 1, reader=begun)
            distrusts = s.distrust and "reader_distrusts" in self._rules
            if s.up and not distrusts and s.hash is not None and self._reader_believes(s):
                yield "the reader believes the hash", _answer(then, admitted=not s.hash.denied)
            else:
                yield "the reader reads", replace(then, reader=replace(begun, step="ask"))

    def _reader_believes(self, s: State) -> bool:
        if "reader_checks_run" in self._rules:
            return self._is_believed(s)
        return s.hash is not None and s.hash.complete

    # ---- What happens to the server

    def _environment(self, s: State) -> Iterator[tuple[str, State]]:
        if s.up and s.outages:
            distrust = "distrust_after_outage" in self._rules
            away = replace(s, up=False, outages=s.outages - 1, distrust=distrust)
            yield "Redis is cut off", replace(away, old_hash=s.hash is not None)
        if not s.up:
            yield "Redis is back", replace(s, up=True)
        if s.up and s.kept:
            denied = self._denied(s.hash or Hash())
            yield "the revoker's node writes what it kept", replace(s, kept=False, hash=denied)
        if s.up and s.distrust and not s.kept:
            rest = None if s.old_hash else s.hash
            yield "the TTL passes", replace(s, distrust=False, old_hash=False, hash=rest)
        if s.hash is not None and s.evictions:
            yield "the hash is evicted", replace(s, hash=None, evictions=s.evictions - 1)
        if s.restarts:
            if s.snapshot == "none taken":
                yield "a snapshot is taken", replace(s, snapshot=s.hash)
            else:
                assert not isinstance(s.snapshot, str)
                yield "it restarts from the snapshot", self._restarted(s, s.snapshot)
            yield "it restarts empty", self._restarted(s, None)

    def _restarted(self, s: State, left: Hash | None) -> State:
        runs = (max(s.runs) + 1, s.runs[1])
        return replace(s, hash=left, runs=runs, learned=_NEW, restarts=s.restarts - 1)

    def _fail_over(self, s: State) -> Iterator[tuple[str, State]]:
        if not s.fail_overs:
            return
        if s.replica != s.hash:
            yield "the replica catches up", replace(s, replica=s.hash)
        # The former primary keeps what it has and becomes the replica, which lags until it catches
        # up. Connections to it stay open.
        promoted = replace(s, server=1 - s.server, promotions=s.promotions + 1)
        swapped = replace(promoted, hash=s.replica, replica=s.hash)
        yield "the replica is promoted", replace(swapped, fail_overs=s.fail_overs - 1)


_NEW: Final = (_NOBODY, _NOBODY)


def _is_revoked(s: State) -> bool:
    return s.revoker in {"done", "dead"}


def _answer(s: State, *, admitted: bool) -> State:
    me = s.reader
    has_admitted = me.has_admitted or (admitted and me.is_late)
    reader = Reader(remembers=me.remembers or admitted, has_admitted=has_admitted)
    return replace(s, reader=reader)


def _put(s: State, number: int, filler: Filler) -> State:
    fillers = list(s.fillers)
    fillers[number] = filler
    return replace(s, fillers=tuple(fillers))
