"""A Redis Cluster with a slot in migration: an interrupted reshard leaves it so for good.

The heir of the slot is another primary, or a node that has just joined and has no slot yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from redis.exceptions import RedisError

from jwt_auth import flows
from jwt_auth.flows import Issued
from jwt_auth.models import Reason
from jwt_auth.revocation.redis import RedisRevocation
from tests.conftest import MakeUser
from tests.flows.scene import log_in
from tests.revocation.redis.cluster import Migration, address_of, has_key, wait_until_whole
from tests.revocation.redis.scene import admits, end, known, state_of, token_of, trust_at_once
from tests.revocation.redis.servers import RedisServer, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]


@pytest.fixture
def backend(on_cluster: RedisRevocation, nobody_probes: None) -> RedisRevocation:
    """The backend that revokes."""
    return on_cluster


@pytest.fixture
def sessions(backend: RedisRevocation, make_user: MakeUser) -> list[Issued]:
    """One for each of thirty users, all known to Redis."""
    return [known(log_in(make_user(f"user{number}"))) for number in range(30)]


@pytest.fixture(params=["another primary", "a node without slots"])
def migration(
    request: pytest.FixtureRequest,
    nodes: list[RedisServer],
    sessions: list[Issued],
    backend: RedisRevocation,
) -> Iterator[Migration]:
    """The slot of the first user is being moved, and the user's hash has arrived."""
    key = backend.keys.of_user(sessions[0].family.user_id)
    owner = next(node for node in nodes if has_key(node, key))
    others = [node for node in nodes[:3] if node is not owner]
    migration = Migration(nodes, key, others[0] if request.param == "another primary" else nodes[3])
    migration.move_key()
    yield migration
    migration.give_up()


@pytest.mark.usefixtures("migration")
def test_request_asks_where_the_hash_is(
    sessions: list[Issued], other: RedisRevocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis continues to answer, also for the users of that slot, and nothing counts as failed."""
    monkeypatch.setattr(other, "_database", None)
    for _ in range(2):
        assert all(_admits(other, issued) for issued in sessions)
    _has_not_failed(other)


def test_hash_is_made_in_a_slot_on_its_way(
    sessions: list[Issued], migration: Migration, other: RedisRevocation
) -> None:
    """A hash that is on neither node is made on the new one."""
    migration.heir.run("FLUSHALL")
    assert _admits(other, sessions[0])
    assert has_key(migration.heir, migration.key)
    _has_not_failed(other)


def _end_each(sessions: list[Issued]) -> None:
    for issued in sessions:
        end(issued)


def _end_users(sessions: list[Issued]) -> None:
    for issued in sessions:
        call_command("revoke_tokens", "--user", str(issued.family.user_id), verbosity=0)


def _end_all(sessions: list[Issued]) -> None:
    flows.end_all_sessions(reason=Reason.ADMINISTRATOR, client=None, now=datetime.now(UTC))


@pytest.mark.usefixtures("migration")
@pytest.mark.parametrize("revoke", [_end_each, _end_users, _end_all])
def test_revocation_reaches_a_hash_that_has_moved(
    revoke: Callable[[list[Issued]], None],
    sessions: list[Issued],
    backend: RedisRevocation,
    other: RedisRevocation,
) -> None:
    """Immediately, for another process and for every user. That hash doesn't end the scan."""
    revoke(sessions)
    assert not any(_admits(other, issued) for issued in sessions)
    _has_not_failed(backend, other)


@pytest.mark.parametrize("ends", ["stays", "is over"])
def test_key_that_moves_during_a_scan_is_found(
    ends: str, nodes: list[RedisServer], sessions: list[Issued], backend: RedisRevocation
) -> None:
    """From a server that hasn't been scanned yet to one that has."""
    first, *_, last = backend.client._servers()
    to, of = (
        next(node for node in nodes if address_of(node) == each.name) for each in (first, last)
    )
    key = next(key for issued in sessions if has_key(of, key := _key(backend, issued)))
    scan = backend.client.scan(b"*", {})
    found = [next(scan)]
    migration = Migration(nodes, key, to)
    try:
        migration.move_key()
        if ends == "is over":
            migration.finish()
        found += scan
    finally:
        migration.give_up()
    assert set(found) == {_key(backend, issued) for issued in sessions}


# ---- One key, slot or node that fails


@pytest.fixture
def broken(
    nodes: list[RedisServer], sessions: list[Issued], backend: RedisRevocation
) -> Iterator[bytes]:
    """The hash of the first user fails every command."""
    key = backend.keys.of_user(sessions[0].family.user_id)
    owner = next(node for node in nodes if has_key(node, key))
    owner.run("DEL", key)
    owner.run("SET", key, "not a hash")
    yield key
    owner.run("DEL", key)


@pytest.mark.usefixtures("broken")
def test_key_that_fails_does_not_end_the_scan(
    sessions: list[Issued], backend: RedisRevocation, other: RedisRevocation
) -> None:
    """All others are written. The denial is kept because of the one."""
    _end_all(sessions)
    assert not any(_admits(other, issued) for issued in sessions[1:])
    assert len(backend.denials.kept) == 1


@pytest.mark.usefixtures("broken")
def test_kept_denial_that_fails_does_not_hold_up_the_others(
    sessions: list[Issued], backend: RedisRevocation, other: RedisRevocation
) -> None:
    """The probe writes the others, and keeps only the one."""
    backend.circuit.fail(RedisError("test"))
    backend.circuit.is_given_up = True
    _end_each(sessions)
    assert len(backend.denials.kept) == len(sessions)
    backend.circuit.tick()
    assert [denial.user_id for denial in backend.denials.kept] == [sessions[0].family.user_id]
    assert not any(_admits(other, issued) for issued in sessions[1:])
    assert state_of(backend.circuit).name == "OPEN"


def test_node_that_is_gone_holds_up_no_other(
    nodes: list[RedisServer],
    sessions: list[Issued],
    backend: RedisRevocation,
    other: RedisRevocation,
) -> None:
    """Kept or new, of one user or of all: reachable nodes are written immediately."""
    *_, gone = nodes[:3]
    elsewhere = [issued for issued in sessions if not has_key(gone, _key(backend, issued))]
    first, second, *rest = elsewhere
    there = next(issued for issued in sessions if issued not in elsewhere)
    gone.stop()
    try:
        end(there)
        backend.circuit.tick()
        assert backend.circuit.is_given_up
        end(first)
        assert not _admits(other, first)
        _end_all(sessions)
        assert not any(_admits(other, issued) for issued in (second, *rest))
        assert len(backend.denials.kept) == 2
        backend.circuit.tick()
        assert len(backend.denials.kept) == 2
        assert state_of(backend.circuit).name == "OPEN"
    finally:
        gone.start()
        wait_until_whole(nodes)
    trust_at_once(backend.circuit)
    wait_for(lambda: _closes(backend))
    assert not backend.denials.kept


def test_newcomer_is_not_looked_for_where_nobody_answers(
    nodes: list[RedisServer], backend: RedisRevocation
) -> None:
    """Every node has failed: nothing is found, and no error is raised."""
    away = {address_of(node): RedisError("test") for node in nodes}
    assert list(backend.client.scan(b"*", away)) == []


def _has_not_failed(*nodes: RedisRevocation) -> None:
    """Redis has answered, and has taken every denial."""
    for node in nodes:
        assert state_of(node.circuit).name == "CLOSED"
        assert not node.denials.kept


def _closes(backend: RedisRevocation) -> bool:
    backend.circuit.tick()
    return state_of(backend.circuit).name == "CLOSED"


def _admits(node: RedisRevocation, issued: Issued) -> bool:
    return admits(node, token_of(issued))


def _key(backend: RedisRevocation, issued: Issued) -> bytes:
    return backend.keys.of_user(issued.family.user_id)
