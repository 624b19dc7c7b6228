"""The protocol of refresh token rotation: every interleaving, in a small scope, within the window.

The honest browser sends its cookie with the pending Idempotency-Key and may reload at any moment:
the request goes on at the server, and the answer may or may not reach the cookie jar. It keeps the
key through reloads and takes a new one only after an answer. A request has two steps at the server:
read the row, then one conditional write or none. The thief copied the cookie at some moment and
sends it once, without the key.

``CASES`` are what must hold:

honest
    The family is never ended, and the browser never holds a token that would be taken for reuse.
thief
    A consumed token from the thief always ends the family; and if the thief rotated first, the
    browser's next request does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

RULES: Final = (
    "compare_and_set",
    "read_again",
    "retry_key",
    "superseded_is_soft",
    "key_must_match",
    "keep_key_on_reload",
)

#: Generations of tokens, keys of the browser, and requests that run at the same time.
_GENERATIONS: Final = 4
_KEYS: Final = 4
_REQUESTS: Final = 3


@dataclass(frozen=True, order=True)
class Request:
    """A request in progress; ``read`` is the row as it was read: the generation, whether ended."""

    generation: int
    #: The Idempotency-Key; 0: no key.
    key: int
    is_thiefs: bool
    read: tuple[int, bool] = (0, False)


@dataclass(frozen=True)
class State:
    """The row, the browser, the thief, and the requests in progress."""

    generation: int = 1
    ended: bool = False
    #: The consumed generation and the key of every rotation within the window.
    recent: tuple[tuple[int, int], ...] = ()
    cookie: int = 1
    key: int = 1
    last_key: int = 1
    under_way: tuple[Request, ...] = ()
    has_thief: bool = False
    stolen: int = 0
    thief_has_sent: bool = False


CASES: Final = {"honest": State(), "thief": State(has_thief=True)}


class Protocol:
    """The steps, by the rules that are active."""

    def __init__(self, *, without: str | None = None) -> None:
        self._rules = frozenset(RULES) - {without}

    def violation(self, s: State) -> str | None:
        """Name the client that was judged wrongly."""
        if not s.has_thief and s.ended:
            return "the honest browser is logged out"
        waits = any(request.is_thiefs for request in s.under_way)
        # This is right only if the thief was the first to use the token.
        if s.thief_has_sent and not waits and not s.ended and (s.stolen, 0) not in s.recent:
            return "a consumed token from the thief goes unpunished"
        return None

    def steps(self, s: State) -> Iterator[tuple[str, State]]:
        """List the possible next events."""
        yield from self._clients(s)
        for request in set(s.under_way):
            if request.read == (0, False):
                read = replace(request, read=(s.generation, s.ended))
                then = _sent(_answered(s, request), read)
                yield f"the server reads for {_name(request)}", then
            else:
                yield from self._write(s, request)

    def _clients(self, s: State) -> Iterator[tuple[str, State]]:
        may_send = len(s.under_way) < _REQUESTS
        if may_send and not s.ended and s.generation < _GENERATIONS:
            request = Request(s.cookie, s.key, is_thiefs=False)
            yield f"the browser sends {s.cookie} with key {s.key}", _sent(s, request)
            if "keep_key_on_reload" not in self._rules and s.last_key < _KEYS:
                key = s.last_key + 1
                yield "a reload forgets the key", replace(s, key=key, last_key=key)
        if s.has_thief and not s.stolen:
            yield f"the thief copies {s.cookie}", replace(s, stolen=s.cookie)
        if s.stolen and not s.thief_has_sent and may_send:
            request = Request(s.stolen, 0, is_thiefs=True)
            yield f"the thief sends {s.stolen}", replace(_sent(s, request), thief_has_sent=True)

    def _write(self, s: State, r: Request) -> Iterator[tuple[str, State]]:
        read_generation, read_ended = r.read
        rest = _answered(s, r)
        if read_ended:
            yield f"{_name(r)} is refused", rest
            return
        is_current = s.generation == r.generation and not s.ended
        if read_generation == r.generation and (is_current or "compare_and_set" not in self._rules):
            recent = (*s.recent, (r.generation, r.key))
            token = r.generation + 1
            yield from self._answer(replace(rest, generation=token, recent=recent), r, token)
            return
        if read_generation == r.generation and "read_again" not in self._rules:
            verdict = "reuse"
        else:
            verdict = self._judge(s, r)
        if verdict == "reuse":
            yield f"{_name(r)} is taken for reuse", replace(rest, ended=True)
        elif verdict == "the same successor":
            yield from self._answer(rest, r, s.generation)
        else:
            yield f"{_name(r)} is {verdict}", rest

    def _judge(self, s: State, r: Request) -> str:
        """Decide about a request whose token is not current."""
        if s.ended:
            return "refused"
        for consumed, key in s.recent:
            matches = "key_must_match" not in self._rules or (r.key and key == r.key)
            if consumed != r.generation or not matches:
                continue
            if "retry_key" not in self._rules:
                break
            if consumed == s.generation - 1:
                return "the same successor"
            if "superseded_is_soft" in self._rules:
                return "superseded"
        return "reuse"

    def _answer(self, s: State, r: Request, token: int) -> Iterator[tuple[str, State]]:
        yield f"{_name(r)} gets {token}, which is lost", s
        # Answers may arrive in any order. The client takes turns, so a late one of a page that was
        # left is dropped by the browser.
        if not r.is_thiefs and token > s.cookie:
            key = min(s.last_key + 1, _KEYS)
            then = replace(s, cookie=token, key=key, last_key=key)
            yield f"{_name(r)} gets {token}", then


def _sent(s: State, request: Request) -> State:
    return replace(s, under_way=tuple(sorted((*s.under_way, request))))


def _answered(s: State, request: Request) -> State:
    under_way = list(s.under_way)
    under_way.remove(request)
    return replace(s, under_way=tuple(under_way))


def _name(request: Request) -> str:
    who = "the thief" if request.is_thiefs else "the browser"
    return f"{who}'s {request.generation}"
