"""A node that has seen Redis fail still tells it of ended sessions: other nodes trust it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from redis.exceptions import ConnectionError as RedisConnectionError

from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.flows.scene import log_in, refusal_of
from tests.revocation.redis.scene import admits, cut_off, end, fill, known, token_of
from tests.revocation.redis.servers import RedisServer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.redis,
    pytest.mark.usefixtures("nobody_probes"),
]


def test_failure_of_one_request_keeps_no_revocation_back(
    user: AbstractBaseUser, backend: RedisRevocation, other: RedisRevocation
) -> None:
    """One lost connection may be a problem of this node only."""
    issued = known(log_in(user))
    backend.circuit.fail(RedisConnectionError("lost"))
    end(issued)
    assert not admits(other, token_of(issued))
    assert backend.circuit.state is State.OPEN


def test_full_redis_takes_revocations(
    user: AbstractBaseUser, backend: RedisRevocation, other: RedisRevocation, server: RedisServer
) -> None:
    """A node that could not write a hash no longer asks Redis, but others do."""
    first, second = known(log_in(user)), known(log_in(user))
    fill(server)
    known(log_in(user))
    assert backend.circuit.state is State.OPEN
    end(first)
    assert not admits(other, token_of(first))
    backend.circuit.tick()
    assert backend.circuit.state is State.OPEN
    end(second)
    assert not admits(other, token_of(second))


def test_full_redis_takes_what_was_kept(
    user: AbstractBaseUser, backend: RedisRevocation, other: RedisRevocation, server: RedisServer
) -> None:
    """An earlier outage makes no difference."""
    issued = known(log_in(user))
    with cut_off():
        backend.circuit.tick()
        end(issued)
    assert admits(other, token_of(issued))
    fill(server)
    backend.circuit.tick()
    assert not admits(other, token_of(issued))
    assert backend.circuit.state is State.OPEN


def test_revocation_does_not_wait_for_redis_that_a_probe_has_missed(
    user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """While Redis hangs, only the first requests wait for the time-out."""
    issued = known(log_in(user))
    with cut_off() as lost:
        backend.circuit.tick()
        lost.clear()
        end(issued)
        assert lost == []
        assert refusal_of(issued) is not None
    backend.circuit.tick()
    assert not backend.circuit.is_given_up


def test_answer_is_not_believed_if_redis_failed_another_request_meanwhile(
    user: AbstractBaseUser, other: RedisRevocation, monkeypatch: pytest.MonkeyPatch
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

    assert admits(other, token_of(issued))  # within the TTL: this node has seen no failure
    with monkeypatch.context() as patch:
        patch.setattr(other.client, "call", answer_late)
        assert not admits(other, token_of(issued))
