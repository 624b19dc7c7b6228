"""A session that ends on one server is refused by the other at the very next request."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median

import jwt
import pytest
import requests

from tests.chaos.report import FIGURES, Record
from tests.chaos.stage import WITNESSES, Stage
from tests.live.length import LONG
from tests.live.site import bearer
from tests.live.test_transcript import hello, log_in

ROUNDS = int(os.environ.get("LATENCY_ROUNDS", "1000" if LONG else "30"))

pytestmark = [
    pytest.mark.live,
    pytest.mark.example,
    pytest.mark.timeout(300 + ROUNDS),
]

#: Ends the session of the first token; the second is another one of the same user.
Revocation = Callable[[requests.Session, str, str], requests.Response]


def log_out(client: requests.Session, token: str, other: str) -> requests.Response:
    """End the own session."""
    return client.post("/api/auth/logout/", headers=bearer(token))


def log_out_everywhere(client: requests.Session, token: str, other: str) -> requests.Response:
    """End all of the user's."""
    return client.post("/api/auth/logout-all/", headers=bearer(other))


def delete_session(client: requests.Session, token: str, other: str) -> requests.Response:
    """End it from another one."""
    session = jwt.decode(token, options={"verify_signature": False})["sid"]
    return client.delete(f"/api/auth/sessions/{session}/", headers=bearer(other))


@pytest.fixture
def clients(stage: Stage) -> Iterator[list[requests.Session]]:
    """One of each server."""
    with ExitStack() as stack:
        yield [stack.enter_context(server.session()) for server in stage.servers]


@pytest.mark.parametrize("revoke", [log_out, log_out_everywhere, delete_session])
def test_session_ended_on_one_server_is_refused_by_the_other_at_once(
    clients: list[requests.Session], revoke: Revocation, record_property: Record
) -> None:
    """Each time, in both directions, whichever worker answers."""
    times, late = [], 0
    for number in range(ROUNDS):
        here, there = clients[number % 2], clients[1 - number % 2]
        for client in clients:
            client.close()  # any worker may answer
        token, other = _open_session(here), _open_session(here)
        assert [hello(client, token) for client in (here, there, there)] == [200] * 3
        assert revoke(here, token, other).status_code == 204
        answered = time.perf_counter()
        late += hello(there, token) != 401
        times.append(1000 * (time.perf_counter() - answered))
    record_property(
        FIGURES,
        f"{revoke.__name__}: {ROUNDS - late} of {ROUNDS} refused by the other server at once; it "
        f"took the next request {median(times):.1f} ms (median) and {max(times):.0f} ms (slowest)",
    )
    assert late == 0


def _open_session(client: requests.Session) -> str:
    """Give its access token; the cookie would say which session is meant, too."""
    token = log_in(client, WITNESSES[0])
    client.cookies.clear()
    return token
