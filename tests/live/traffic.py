"""Clients that live through log-ins, refreshes and logouts, and know what each answer must be.

A request whose connection is cut is sent again, with the same `Idempotency-Key`, as a real client
does. Every answer is then held against the client's own story: a living token that is refused, an
ended one that is accepted and any 5xx are noted.
"""

from __future__ import annotations

import gc
import random
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol, Self

import jwt
import pytest
import requests

from tests.live.site import PASSWORD, bearer

COOKIE = "__Secure-refresh_token"

#: For tests in which servers die: a connection that is reset before its TLS handshake leaves a
#: socket that nobody closes (`ssl.SSLSocket` raises out of its making, and requests never gets it).
loses_sockets = pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")

#: So many tokens in a row of one key show that every worker signs with it.
LATEST = 10

#: Seconds between two steps of a client: it leaves the servers some time for other things.
PAUSE = 0.02

#: How often a cut request is sent again. The killed worker takes at most one answer with it.
TRIES = 5


@dataclass(kw_only=True)
class Report:
    """What the clients have done and seen."""

    counts: Counter[str] = field(default_factory=Counter)
    #: One line for each answer that no client may get.
    wrong: list[str] = field(default_factory=list)
    kids: set[str] = field(default_factory=set)
    #: Of the latest tokens.
    latest: deque[str] = field(default_factory=lambda: deque(maxlen=LATEST))

    def __iadd__(self, other: Report) -> Self:
        self.counts += other.counts
        self.wrong += other.wrong
        self.kids |= other.kids
        return self


class Reachable(Protocol):
    """A server, or several that stand for one."""

    def session(self) -> requests.Session: ...


def ignore(token: str) -> None:
    """Have nobody else look at the tokens."""


class Visitor:
    """One client: a cookie jar, the tokens that live, and a story that goes on at random."""

    def __init__(
        self, server: Reachable, username: str, seed: int, watch: Callable[[str], None] = ignore
    ) -> None:
        self._watch = watch
        self._client = server.session()
        self._username = username
        # A fixed seed: which step follows which is the same in every run.
        self._random = random.Random(seed)
        self._living: list[str] = []
        self.report = Report()

    def visit_until(self, stopped: Event) -> Report:
        """Go on until told to stop; give what was seen."""
        with self._client:
            self._log_in()
            while not stopped.wait(PAUSE):
                self._take_a_step()
        return self.report

    def _take_a_step(self) -> None:
        steps = (self._call, self._refresh, self._log_out, self._replay)
        (step,) = self._random.choices(steps, weights=(58, 36, 3, 3))
        step()

    def _log_in(self) -> None:
        body = {"username": self._username, "password": PASSWORD}
        answer = self._send("log-in", "POST", "/api/auth/login/", expected=200, json=body)
        assert answer is not None, self.report.wrong[-1]  # without a session, no story goes on
        self._living = []
        self._keep(answer)

    def _call(self) -> None:
        """Any token of a living session is good, those from before a refresh too."""
        token = self._random.choice(self._living)
        self._send("call", "GET", "/api/hello/", expected=200, headers=bearer(token))

    def _refresh(self) -> None:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        answer = self._send("refresh", "POST", "/api/auth/refresh/", expected=200, headers=headers)
        self._keep(answer)

    def _log_out(self) -> None:
        cookie = self._client.cookies[COOKIE]
        self._send("logout", "POST", "/api/auth/logout/", expected=204)
        self._find_all_ended(cookie)

    def _replay(self) -> None:
        """Somebody sends a consumed cookie: that ends the session for everybody."""
        stolen = self._client.cookies[COOKIE]
        self._refresh()
        current = self._client.cookies[COOKIE]
        self._client.cookies.clear()
        self._refused_refresh(stolen)
        self._find_all_ended(current)

    def _find_all_ended(self, cookie: str) -> None:
        """Have every token of the session refused, then begin a new one."""
        self._client.cookies.clear()
        for token in self._living:
            self._send("ended call", "GET", "/api/hello/", expected=401, headers=bearer(token))
        self._refused_refresh(cookie)
        self._log_in()

    def _refused_refresh(self, cookie: str) -> None:
        headers = {"Cookie": f"{COOKIE}={cookie}", "Idempotency-Key": str(uuid.uuid4())}
        self._send("ended refresh", "POST", "/api/auth/refresh/", expected=401, headers=headers)

    def _keep(self, answer: requests.Response | None) -> None:
        if answer is None:
            return
        token = answer.json()["access_token"]
        kid = jwt.get_unverified_header(token)["kid"]
        self.report.kids.add(kid)
        self.report.latest.append(kid)
        self._living = [*self._living[-2:], token]
        self._watch(token)

    def _send(
        self,
        what: str,
        method: str,
        path: str,
        *,
        expected: int,
        json: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response | None:
        """Send until there is an answer; give it where it is the one that has to come."""
        counts = self.report.counts
        # A kept connection stays with one worker: what it was told, the other has to know too.
        headers = {**(headers or {}), "Connection": self._random.choice(("close", "keep-alive"))}
        for _ in range(TRIES):
            counts["requests"] += 1
            try:
                answer = self._client.request(method, path, json=json, headers=headers)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                counts["cut connections"] += 1
                continue
            counts[what] += 1
            if answer.status_code >= 500:
                counts["5xx"] += 1
            if answer.status_code != expected:
                counts["wrong answers"] += 1
                self.report.wrong.append(
                    f"{what}: {answer.status_code} for {expected}: {answer.text}"
                )
                return None
            return answer
        self.report.wrong.append(f"{what}: no answer in {TRIES} tries")
        return None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the clients have seen so far, for an operator who waits for something."""

    reports: Sequence[Report]
    running: Sequence[Future[Report]]

    def count(self, what: str) -> int:
        """Count what has been done."""
        self._raise_failure()
        return sum(report.counts[what] for report in self.reports)

    def has_signed(self, kid: str) -> bool:
        """Tell whether that key has signed a token."""
        self._raise_failure()
        return any(kid in report.kids for report in self.reports)

    def signs_everywhere(self, kid: str) -> bool:
        """Tell whether that key has signed all latest tokens of every client."""
        self._raise_failure()
        return all(list(report.latest) == [kid] * LATEST for report in self.reports)

    def _raise_failure(self) -> None:
        for visit in self.running:
            if visit.done():
                visit.result()


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """So many clients at once, while an operator does something."""

    server: Reachable
    users: Sequence[str]
    clients: int
    #: Is told each token that a client has got.
    watch: Callable[[str], None] = ignore

    def during(self, story: Callable[[Seen], object]) -> Report:
        """Let the clients go on while the operator lives through a story."""
        stopped = Event()
        visitors = [
            Visitor(
                self.server, self.users[number % len(self.users)], seed=number, watch=self.watch
            )
            for number in range(self.clients)
        ]
        total = Report()
        with ThreadPoolExecutor(self.clients) as pool:
            running = [pool.submit(visitor.visit_until, stopped) for visitor in visitors]
            try:
                story(Seen(reports=[visitor.report for visitor in visitors], running=running))
            finally:
                stopped.set()
            for visit in running:
                total += visit.result()
        gc.collect()  # here, where a warning of a lost socket is ignored
        return total
