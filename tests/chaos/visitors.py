"""A process of clients: each lives on sessions of its own, ends some, notes every answer.

`python -m tests.chaos.visitors` reads what to do from the first line of its standard input and
goes on until that is closed. It needs no Django, and knows of the servers what a client knows.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, TextIO

import jwt
import requests

from tests.live.length import LONG
from tests.live.site import PASSWORD, Client, bearer

#: How many processes there are, clients in each of them, and users of each client.
PROCESSES, VISITORS, USERS = 3 if LONG else 2, 3, 2

COOKIE = "__Secure-refresh_token"

#: Seconds between two requests of one client, and between two revocations of it.
PAUSE, BETWEEN_REVOCATIONS = 0.04, 0.3

#: Sessions that a client has of each user.
SESSIONS = 4

#: How often a request is sent whose connection was cut: a server closes an idle one at any time.
TRIES = 4


@dataclass(eq=False)
class Session:
    """What a browser or an app has of a session."""

    user: str
    access: str
    refresh: str
    id: str = field(init=False)

    def __post_init__(self) -> None:
        self.id = jwt.decode(self.access, options={"verify_signature": False})["sid"]


class Notes:
    """The file that all clients of a process write their answers to."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = Lock()

    def write(self, note: dict[str, Any]) -> None:
        with self._lock:
            self._file.write(json.dumps(note) + "\n")
            self._file.flush()


class Visitor:
    """One client of two servers."""

    def __init__(self, clients: Sequence[Client], users: Sequence[str], notes: Notes) -> None:
        self._clients = clients
        self._notes = notes
        self._users = users
        self._random = random.Random(users[0])
        self._living: list[Session] = []
        self._ended: list[tuple[Session, float, str]] = []
        self._last = time.monotonic()

    def visit_until(self, stopped: Event) -> None:
        while not stopped.wait(PAUSE):
            due = self._last + BETWEEN_REVOCATIONS * self._random.uniform(0.5, 1.5)
            if len(self._living) < SESSIONS * len(self._users):
                self._log_in()
            elif time.monotonic() > due:
                self._revoke()
                self._last = time.monotonic()
            elif self._ended and self._random.random() < 0.45:
                # The latest ones most of the time: a late acceptance is the likelier the sooner.
                among = self._ended[-6:] if self._random.random() < 0.7 else self._ended
                self._call_ended(self._random.choice(among), self._random.randrange(2))
            else:
                self._call(self._random.choice(self._living), self._random.randrange(2))

    def look_back(self) -> None:
        """Send once more some of what was ended, and all that lives."""
        for number, ended in enumerate(self._random.sample(self._ended, min(30, len(self._ended)))):
            self._call_ended(ended, number % 2)
        for number, session in enumerate(self._living):
            self._call(session, number % 2)

    def _log_in(self) -> None:
        mine = Counter(session.user for session in self._living)
        user = min(self._users, key=lambda user: mine[user])
        server = self._random.randrange(2)
        body = {"username": user, "password": PASSWORD}
        answer = self._send("log-in", server, "POST", "/api/auth/login/", {}, json=body)
        if answer is not None and answer.ok:
            access, refresh = answer.json()["access_token"], answer.cookies[COOKIE]
            self._living.append(Session(user, access, refresh))

    def _call(self, session: Session, server: int) -> None:
        self._send("living", server, "GET", "/api/hello/", bearer(session.access))

    def _call_ended(self, ended: tuple[Session, float, str], server: int) -> None:
        session, when, how = ended
        note = {"since": time.monotonic() - when, "how": how}
        self._send("ended", server, "GET", "/api/hello/", bearer(session.access), note)

    def _revoke(self) -> None:
        session = self._random.choice(self._living)
        for server in (0, 1):  # so that Redis knows it
            self._call(session, server)
        ways = (self._log_out, self._log_out_by_token, self._delete, self._log_out_everywhere)
        (way,) = self._random.choices(ways, weights=(4, 2, 3, 1))
        server = self._random.randrange(2)
        ended = way(session, server)
        now = time.monotonic()
        self._living = [other for other in self._living if other not in ended]
        self._ended += [(each, now, way.__name__.strip("_")) for each in ended]
        for each in (1 - server, server):
            self._call_ended(self._ended[-1], each)

    def _log_out(self, session: Session, server: int) -> list[Session]:
        cookie = {"Cookie": f"{COOKIE}={session.refresh}"}
        self._send("revocation", server, "POST", "/api/auth/logout/", cookie)
        return [session]

    def _log_out_by_token(self, session: Session, server: int) -> list[Session]:
        self._send("revocation", server, "POST", "/api/auth/logout/", bearer(session.access))
        return [session]

    def _delete(self, session: Session, server: int) -> list[Session]:
        others = [other for other in self._living if other.user == session.user]
        by = bearer(self._random.choice(others).access)
        self._send("revocation", server, "DELETE", f"/api/auth/sessions/{session.id}/", by)
        return [session]

    def _log_out_everywhere(self, session: Session, server: int) -> list[Session]:
        self._send("revocation", server, "POST", "/api/auth/logout-all/", bearer(session.access))
        return [other for other in self._living if other.user == session.user]

    def _send(
        self,
        what: str,
        server: int,
        method: str,
        path: str,
        headers: dict[str, str],
        note: Mapping[str, Any] = {},
        json: dict[str, str] | None = None,
    ) -> requests.Response | None:
        client = self._clients[server]
        if self._random.random() < 0.2:
            client.close()  # the next connection may reach the other worker
        began = time.monotonic()
        status, answer = 0, None
        for attempt in range(TRIES):
            client.cookies.clear()
            try:
                answer = client.request(method, path, headers=headers, json=json)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                continue
            status = answer.status_code
            # A revocation whose answer was lost has ended the token that asks for it again.
            if what == "revocation" and attempt and status in {401, 404}:
                status = 204
            break
        own = {"what": what, "server": server, "status": status, "path": path}
        self._notes.write({**own, **note, "began": began, "ended": time.monotonic()})
        return answer


def main() -> None:
    """Run until standard input ends."""
    task = json.loads(sys.stdin.readline())
    stopped = Event()
    with open(task["notes"], "w") as file:  # noqa: PTH123  # a path of the parent's
        notes = Notes(file)
        visitors = [_visitor(task, users, notes) for users in task["users"]]
        with ThreadPoolExecutor(len(visitors)) as pool:
            stories = [pool.submit(_story, visitor, stopped) for visitor in visitors]
            sys.stdin.read()
            stopped.set()
        for story in stories:
            story.result()


def names_of(visitor: int) -> list[str]:
    """Name the users of a visitor."""
    return [f"visitor-{visitor}-{number}" for number in range(USERS)]


def _visitor(task: dict[str, Any], users: list[str], notes: Notes) -> Visitor:
    clients = [Client(address) for address in task["servers"]]
    for client in clients:
        client.verify = task["certificate"]
        client.trust_env = False
    return Visitor(clients, users, notes)


def _story(visitor: Visitor, stopped: Event) -> None:
    visitor.visit_until(stopped)
    visitor.look_back()


if __name__ == "__main__":
    main()
