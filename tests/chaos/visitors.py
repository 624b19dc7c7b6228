"""A process of clients: each lives on sessions that it was given, ends some, notes every answer.

`python -m tests.chaos.visitors` reads what to do from the first line of its standard input and
goes on until that is closed. It needs no Django, and knows of the servers what a client knows.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any, TextIO

import jwt
import requests

from tests.live.site import Client, bearer

COOKIE = "__Secure-refresh_token"

#: Seconds between two requests of one client, and between two revocations of it.
PAUSE, BETWEEN_REVOCATIONS = 0.04, 0.7

#: Sessions that a client uses at a time: few, so that Redis knows them.
BUSY = 6

#: How often a request is sent whose connection was cut: a server closes an idle one at any time.
TRIES = 4


@dataclass(eq=False)
class Session:
    """What a browser or an app has of a session."""

    user: int
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

    def __init__(self, clients: Sequence[Client], users: list[list[Session]], notes: Notes) -> None:
        self._clients = clients
        self._notes = notes
        self._random = random.Random(users[0][0].id)
        self._living = [session for sessions in users for session in sessions]
        self._ended: list[tuple[Session, float, str]] = []
        self._last = time.monotonic()

    def visit_until(self, stopped: Event) -> None:
        while not stopped.wait(PAUSE):
            due = self._last + BETWEEN_REVOCATIONS * self._random.uniform(0.5, 1.5)
            if time.monotonic() > due and len(self._living) > BUSY:
                self._revoke()
                self._last = time.monotonic()
            elif self._ended and self._random.random() < 0.45:
                # The latest ones most of the time: a late acceptance is the likelier the sooner.
                among = self._ended[-6:] if self._random.random() < 0.7 else self._ended
                self._call_ended(self._random.choice(among), self._random.randrange(2))
            else:
                session = self._random.choice(self._living[:BUSY])
                self._call(session, self._random.randrange(2))

    def look_back(self) -> None:
        """Send once more what was ended, and some of what lives."""
        for number, ended in enumerate(self._random.sample(self._ended, min(50, len(self._ended)))):
            self._call_ended(ended, number % 2)
        for number, session in enumerate(self._living[: 2 * BUSY]):
            self._call(session, number % 2)

    def _call(self, session: Session, server: int) -> None:
        self._send("living", server, "GET", "/api/hello/", bearer(session.access))

    def _call_ended(self, ended: tuple[Session, float, str], server: int) -> None:
        session, when, how = ended
        note = {"since": time.monotonic() - when, "how": how}
        self._send("ended", server, "GET", "/api/hello/", bearer(session.access), **note)

    def _revoke(self) -> None:
        session = self._random.choice(self._living[:BUSY])
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
        self, what: str, server: int, method: str, path: str, headers: dict[str, str], **more: Any
    ) -> None:
        client = self._clients[server]
        if self._random.random() < 0.2:
            client.close()  # the next connection may reach the other worker
        began = time.monotonic()
        status = 0
        for attempt in range(TRIES):
            try:
                status = client.request(method, path, headers=headers).status_code
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                continue
            # A revocation whose answer was lost has ended the token that asks for it again.
            if what == "revocation" and attempt and status in {401, 404}:
                status = 204
            break
        note = {"what": what, "server": server, "status": status, "path": path, **more}
        self._notes.write({**note, "began": began, "ended": time.monotonic()})


def main() -> None:
    """Run until standard input ends."""
    task = json.loads(sys.stdin.readline())
    stopped = Event()
    with open(task["notes"], "w") as file:  # noqa: PTH123  # a path of the parent's
        notes = Notes(file)
        visitors = [_visitor(task, stock, notes) for stock in task["stock"]]
        threads = [Thread(target=_story, args=(visitor, stopped)) for visitor in visitors]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        stopped.set()
        for thread in threads:
            thread.join()


def _visitor(task: dict[str, Any], stock: list[list[list[str]]], notes: Notes) -> Visitor:
    clients = [Client(address) for address in task["servers"]]
    for client in clients:
        client.verify = task["certificate"]
        client.trust_env = False
    users = [[Session(n, *tokens) for tokens in sessions] for n, sessions in enumerate(stock)]
    return Visitor(clients, users, notes)


def _story(visitor: Visitor, stopped: Event) -> None:
    visitor.visit_until(stopped)
    visitor.look_back()


if __name__ == "__main__":
    main()
