"""Calls to a service with one client that is kept, renewed and forgotten in a forked child."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from jwt_auth.keys.remote_client import SEE_TABLE, Fault, RemoteClient

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).resolve().parents[3]


class Refused(Exception):
    """The service doesn't accept the client's credential."""


class Away(Exception):
    """The service doesn't answer."""


def explain(error: Exception) -> Fault:
    return Fault(
        reason=type(error).__name__,
        passes=isinstance(error, Away),
        credential=isinstance(error, Refused),
    )


@pytest.fixture
def remote() -> RemoteClient:
    """A service whose first client is called 1, the next one 2, and so on."""
    return RemoteClient(count(1).__next__, explain=explain, places=2, name="jwt_auth-test")


def test_two_refused_calls_make_one_new_client(remote: RemoteClient) -> None:
    """Each of many logins would otherwise fetch a credential when one has expired."""
    both = threading.Barrier(2)

    def request(client: int) -> int:
        if client == 1:
            both.wait(60)
            raise Refused
        return client

    remote.get_client()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(remote.attempt, request) for _ in range(2)]
    assert [call.result() for call in calls] == [2, 2]


def test_credential_is_read_again_once(remote: RemoteClient) -> None:
    """One that is wrong would otherwise be shown to the service for ever."""
    clients: list[int] = []

    def request(client: int) -> None:
        clients.append(client)
        raise Refused

    remote.get_client()
    with pytest.raises(Refused):
        remote.attempt(request)
    assert clients == [1, 2]


def test_error_that_passes_is_tried_again_after_each_pause(
    remote: RemoteClient, pauses: list[float]
) -> None:
    """The pauses vary by half, so that servers that failed together don't return together."""
    clients: list[int] = []

    def request(client: int) -> None:
        clients.append(client)
        raise Away

    with pytest.raises(Away):
        remote.attempt(request, pauses=(0.2, 0.6))
    assert clients == [1, 1, 1]
    assert 0.1 <= pauses[0] <= 0.3 <= pauses[1] <= 0.9
    assert pauses != [0.2, 0.6]


def test_messages_point_to_a_table_that_exists() -> None:
    """An operator reads them at three in the morning."""
    (page,) = [word for word in SEE_TABLE.rstrip(".").split() if word.endswith(".md")]
    assert "\n## Errors\n" in (ROOT / page).read_text()
