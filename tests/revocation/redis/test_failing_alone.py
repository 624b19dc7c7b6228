"""A node that has seen Redis fail still tells it of ended sessions: other nodes trust it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from redis.exceptions import ConnectionError as RedisConnectionError

from jwt_auth.exceptions import AccessTokenRefused
from jwt_auth.flows import Issued
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.flows.scene import log_in, refusal_of
from tests.revocation.redis.scene import cut_off, end, known, token_of
from tests.revocation.redis.servers import RedisServer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]


@pytest.fixture
def node(backend: RedisRevocation, monkeypatch: pytest.MonkeyPatch) -> RedisRevocation:
    """The backend of the settings. Only the test probes."""
    monkeypatch.setattr(backend.circuit, "watch", lambda: None)
    return backend


@pytest.fixture
def other(backend: RedisRevocation, revocation: dict[str, Any]) -> RedisRevocation:
    """Another node, which has seen no failure."""
    return RedisRevocation(**revocation["OPTIONS"])


@pytest.fixture
def full(server: RedisServer) -> Any:
    """Return a function that makes the server refuse all writes."""

    def fill() -> None:
        with server.client() as client:
            client.config_set("maxmemory", "1")

    return fill


def test_failure_of_one_request_keeps_no_revocation_back(
    user: AbstractBaseUser, node: RedisRevocation, other: RedisRevocation
) -> None:
    """One lost connection may be a problem of this node only."""
    issued = known(log_in(user))
    node.circuit.fail(RedisConnectionError("lost"))
    end(issued)
    assert refuses(other, issued)
    assert node.circuit.state is State.OPEN


def test_full_redis_takes_revocations(
    user: AbstractBaseUser, node: RedisRevocation, other: RedisRevocation, full: Any
) -> None:
    """A node that could not write a hash no longer asks Redis, but others do."""
    first, second = known(log_in(user)), known(log_in(user))
    full()
    known(log_in(user))
    assert node.circuit.state is State.OPEN
    end(first)
    assert refuses(other, first)
    node.circuit.tick()
    assert node.circuit.state is State.OPEN
    end(second)
    assert refuses(other, second)


def test_full_redis_takes_what_was_kept(
    user: AbstractBaseUser,
    node: RedisRevocation,
    other: RedisRevocation,
    full: Any,
) -> None:
    """An earlier outage makes no difference."""
    issued = known(log_in(user))
    with cut_off():
        node.circuit.tick()
        end(issued)
    assert not refuses(other, issued)
    full()
    node.circuit.tick()
    assert refuses(other, issued)
    assert node.circuit.state is State.OPEN


def test_revocation_does_not_wait_for_redis_that_a_probe_has_missed(
    user: AbstractBaseUser, node: RedisRevocation
) -> None:
    """While Redis hangs, only the first requests wait for the time-out."""
    issued = known(log_in(user))
    with cut_off() as lost:
        node.circuit.tick()
        lost.clear()
        end(issued)
        assert lost == []
        assert refusal_of(issued) is not None
    node.circuit.tick()
    assert not node.circuit.is_given_up


def test_answer_is_not_believed_if_redis_failed_another_request_meanwhile(
    user: AbstractBaseUser,
    node: RedisRevocation,
    other: RedisRevocation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Redis that let both wait may have missed a revocation. The slower one must not win."""
    issued = known(log_in(user))
    with cut_off():
        end(issued)
    call = other.client.call

    def answer_late(*arguments: Any) -> Any:
        answer = call(*arguments)
        other.circuit.fail(RedisConnectionError("time-out of another request"))
        return answer

    assert not refuses(other, issued)  # within the TTL: this node has seen no failure
    with monkeypatch.context() as patch:
        patch.setattr(other.client, "call", answer_late)
        assert refuses(other, issued)


def refuses(node: RedisRevocation, issued: Issued) -> bool:
    """Whether the node refuses a request of the session."""
    try:
        node.get_user(token_of(issued))
    except AccessTokenRefused:
        return True
    return False
