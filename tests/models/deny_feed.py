"""The protocol of the deny feed: every interleaving, within a small scope.

One session, one revocation in a transaction of any length, one service that fetches. Until the
commit, the issuer gives the session new access tokens. ``CASES`` are what must hold: a token that
was revoked ``INTERVAL`` ticks ago is not accepted, and while the issuer is away, one that was
revoked ``STALENESS`` ticks ago.

late
    The transaction commits long after it has written its record.
death
    The same, and the process dies before it can date the commit.
lowered
    The same, and the lifetime of access tokens is lowered meanwhile.
outage
    The issuer can't be reached for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

RULES: Final = (
    "whole_answers",
    "dated_at_commit",
    "undated_are_told",
    "older_tokens_are_refused",
    "renewed_before_use",
    "nothing_after_staleness",
    "as_old_as_the_question",
)

INTERVAL: Final = 1
STALENESS: Final = 2
#: Ticks that an access token lives: before the setting is lowered, and afterwards.
_LONG, _SHORT = 4, 3
_END: Final = 6


@dataclass(frozen=True)
class State:
    """The world. Times are ticks, and ``None`` is never."""

    now: int = 0
    lifetime: int = _SHORT
    #: The newest access token, and its own lifetime.
    issued: int = 0
    lives: int = _SHORT
    #: The revocation: its record is written, it is committed, the record is dated.
    written: int | None = None
    committed: int | None = None
    dated: int | None = None
    #: A reader with a cursor has seen a record with a higher number, which was committed earlier.
    passed: bool = False
    #: The fetch under way: when it was asked, and the answer, if the issuer has read it.
    asked: int | None = None
    answer: bool | None = None
    #: The copy: how old it counts, and whether it has the denial.
    copied: int | None = None
    knows: bool = False
    up: bool = True
    outages: int = 0
    may_die: bool = False
    may_lower: bool = False


CASES: Final = {
    "late": State(),
    "death": State(may_die=True),
    "lowered": State(may_lower=True, lifetime=_LONG, lives=_LONG),
    "outage": State(outages=1),
}


class Protocol:
    """The steps, by the rules that are active."""

    def __init__(self, *, without: str | None = None) -> None:
        self._rules = frozenset(RULES) - {without}

    def violation(self, s: State) -> str | None:
        """Whether the revoked session's newest token is accepted for too long."""
        if s.committed is None or not self._accepts(s):
            return None
        bound = INTERVAL if s.up else STALENESS
        return "a revoked token gets in" if s.now - s.committed >= bound else None

    def _accepts(self, s: State) -> bool:
        age = s.now - s.issued
        if s.copied is None or s.knows or age >= s.lives:
            return False
        if "older_tokens_are_refused" in self._rules and age >= s.lifetime:
            return False
        # While the issuer is up, a request with an older copy waits for the next one.
        if s.up and "renewed_before_use" in self._rules:
            return s.now - s.copied < INTERVAL
        return "nothing_after_staleness" not in self._rules or s.now - s.copied < STALENESS

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        """List the possible next events."""
        if s.now < _END:
            yield "a tick", replace(s, now=s.now + 1)
        if s.committed is None and s.issued < s.now:
            yield "the session is refreshed", replace(s, issued=s.now, lives=s.lifetime)
        if s.may_lower:
            yield "the lifetime is lowered", replace(s, lifetime=_SHORT, may_lower=False)
        yield from self._revoke(s)
        yield from self._fetch(s)
        if s.outages:
            yield "the issuer is cut off", replace(s, up=False, outages=0, asked=None, answer=None)
        if not s.up:
            yield "the issuer is back", replace(s, up=True)

    def _revoke(self, s: State) -> Iterator[tuple[str, State]]:
        if s.written is None:
            yield "the record is written", replace(s, written=s.now)
        elif s.committed is None:
            date = s.now if "dated_at_commit" in self._rules else s.written
            yield "the revocation is committed", replace(s, committed=s.now, dated=date)
            if s.may_die:
                yield "it is committed, not dated", replace(s, committed=s.now)

    def _fetch(self, s: State) -> Iterator[tuple[str, State]]:
        if s.up and s.asked is None:
            yield "the service asks", replace(s, asked=s.now)
        if s.up and s.asked is not None and s.answer is None:
            passed = s.passed or (s.written is not None and s.committed is None)
            yield "the issuer reads", replace(s, answer=self._tells(s), passed=passed)
        if s.asked is not None and s.answer is not None:
            copied = s.asked if "as_old_as_the_question" in self._rules else s.now
            done = replace(s, asked=None, answer=None, copied=copied, knows=s.answer)
            yield "the answer arrives", done

    def _tells(self, s: State) -> bool:
        if s.committed is None or ("whole_answers" not in self._rules and s.passed):
            return False
        if s.dated is None:
            return "undated_are_told" in self._rules
        return s.now - s.dated < s.lifetime
