"""A browser, a server and perhaps a thief, acting in any order.

The browser sends its cookie with the key of its pending refresh, and takes a new key only after an
answer. It may be reloaded at any moment: then the server continues with the request, but the answer
may never reach the cookie jar. The server handles a request in two steps: it reads the row, then
writes it or not. Steps of other requests may come between the two. The thief has copied the cookie
at some moment and sends it once, without the key. All of this happens within the retry window.

H. Without a thief the family is never revoked, and the browser's cookie is always valid.
T. A consumed token from the thief ends the family. If the thief was first, the browser's next
   request ends it.
L. There is one lineage: the server never issues two different tokens of one generation.
S. The session ends when it was to end at the login, and its token a lifetime after its last use.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jwt_auth.conf import conf
from jwt_auth.exceptions import RefreshSuperseded, RefreshTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.models import RefreshTokenFamily, RefreshTokenFamilyQuerySet
from jwt_auth.tokens import refresh as refresh_tokens
from tests.flows.scene import BROWSER, STRANGER, log_in, refresh, row_of

#: How long the sessions last: from the third second on, the second limit counts.
LIFETIMES = (timedelta(hours=1), timedelta(hours=1, seconds=2))

_IN_FLIGHT = 3
_PICK = st.integers(0, _IN_FLIGHT - 1)


def lifetimes_for(user: Any, **named: Any) -> tuple[timedelta, timedelta]:
    """Choose for the project."""
    return LIFETIMES


@dataclass(kw_only=True)
class Request:
    """A request in progress; `seen` is the row as the server has read it for this request."""

    token: str
    key: str | None
    by_thief: bool = False
    seen: RefreshTokenFamily | None = None

    @property
    def generation(self) -> int:
        """The generation of the token that the request sends."""
        return refresh_tokens.parse(self.token).generation


class Rotation(RuleBasedStateMachine):
    """The real flows, split into their two steps. Subclasses say who takes part."""

    user: Any
    with_thief = False
    keeps_key_on_reload = True

    def __init__(self) -> None:
        super().__init__()
        self.now = self.opened_at = datetime.now(UTC)
        self.window_ends = self.now + conf.refresh_retry_window
        self.session = log_in(self.user, now=self.now)
        self.cookie = self.session.refresh_token.text
        self.key_number = 1
        self.flight: list[Request] = []
        self.stolen: str | None = None
        self.thief_sent = self.thief_was_first = False
        self.given: dict[int, set[str]] = defaultdict(set)

    @precondition(lambda self: len(self.flight) < _IN_FLIGHT)
    @rule()
    def browser_sends(self) -> None:
        """Send the cookie, even while an earlier request is in progress."""
        self.flight.append(Request(token=self.cookie, key=f"key {self.key_number}"))

    @precondition(lambda self: not self.keeps_key_on_reload)
    @rule()
    def reload_forgets_key(self) -> None:
        """Do what a client must not do."""
        self.key_number += 1

    @precondition(lambda self: self.with_thief and self.stolen is None)
    @rule()
    def thief_copies_cookie(self) -> None:
        """Copy the current cookie."""
        self.stolen = self.cookie

    @precondition(lambda self: self.stolen is not None and not self.thief_sent)
    @rule()
    def thief_sends(self) -> None:
        """Send the copied cookie, once."""
        assert self.stolen is not None
        self.thief_sent = True
        self.flight.append(Request(token=self.stolen, key=None, by_thief=True))

    @precondition(lambda self: any(request.seen is None for request in self.flight))
    @rule(pick=_PICK)
    def server_reads(self, pick: int) -> None:
        """Take the first step of a request."""
        unread = [request for request in self.flight if request.seen is None]
        request = unread[pick % len(unread)]
        request.seen = RefreshTokenFamily.objects.load(self.session.family.pk)

    @precondition(lambda self: any(request.seen for request in self.flight))
    @rule(pick=_PICK, arrives=st.booleans(), seconds=st.integers(0, 2))
    def server_answers(self, pick: int, arrives: bool, seconds: int) -> None:
        """Take the second step some seconds later; the answer arrives or is lost."""
        self.now = min(self.now + timedelta(seconds=seconds), self.window_ends)
        read = [request for request in self.flight if request.seen]
        request = read[pick % len(read)]
        self.flight.remove(request)
        answer = self.answer(request)
        if answer is not None and not request.by_thief and arrives:
            self.take(answer)

    @invariant()
    def there_is_one_lineage(self) -> None:
        """L."""
        assert all(len(tokens) == 1 for tokens in self.given.values())

    @invariant()
    def session_keeps_its_lifetimes(self) -> None:
        """S."""
        row, end = row_of(self.session), self.opened_at + LIFETIMES[1]
        assert row.absolute_expires_at == end
        assert row.expires_at == min(row.last_used_at + LIFETIMES[0], end)

    @invariant()
    def honest_browser_stays(self) -> None:
        """H, first half."""
        if not self.with_thief:
            assert not self.is_revoked()

    @invariant()
    def thief_is_caught(self) -> None:
        """T, first half."""
        answered = self.thief_sent and not any(request.by_thief for request in self.flight)
        if answered and not self.thief_was_first:
            assert self.is_revoked()

    def teardown(self) -> None:
        """H and T, second halves: the outcome of the browser's next request."""
        answer = self.answer(Request(token=self.cookie, key=f"key {self.key_number}"))
        if not self.with_thief:
            assert answer is not None
        elif self.thief_was_first:
            assert self.is_revoked()

    def is_revoked(self) -> bool:
        """Look into the row."""
        return row_of(self.session).revoked_at is not None

    def answer(self, request: Request) -> Issued | None:
        """Run the real refresh, which first finds the row that the request has read before."""
        client = STRANGER if request.by_thief else BROWSER
        before = row_of(self.session).generation
        try:
            with _first_read(request.seen):
                issued = refresh(request.token, key=request.key, now=self.now, client=client)
        except (RefreshTokenRefused, RefreshSuperseded):
            return None
        if request.by_thief and before == request.generation:
            self.thief_was_first = True
        self.given[issued.refresh_token.generation].add(issued.refresh_token.text)
        return issued

    def take(self, answer: Issued) -> None:
        """Store a newer cookie; an older answer belongs to a page that is gone."""
        current = refresh_tokens.parse(self.cookie).generation
        if answer.refresh_token.generation > current:
            self.cookie = answer.refresh_token.text
            self.key_number += 1


def _first_read(seen: RefreshTokenFamily | None) -> Any:
    """Return the row as it was seen, once; later calls read it again."""
    load: Callable[[RefreshTokenFamilyQuerySet, UUID], Any] = RefreshTokenFamilyQuerySet.load
    reads = [] if seen is None else [seen]

    def once(families: RefreshTokenFamilyQuerySet, family_id: UUID) -> RefreshTokenFamily | None:
        found: RefreshTokenFamily | None = reads.pop() if reads else load(families, family_id)
        return found

    return mock.patch.object(RefreshTokenFamilyQuerySet, "load", once)
