"""A real Redis Cluster of three nodes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event, Thread
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.cache import caches
from django_redis import get_redis_connection
from pytest_django import DjangoAssertNumQueries, Settings
from redis.cluster import RedisCluster
from redis.exceptions import MovedError, RedisError

from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.cluster import ClusterConnectionFactory
from jwt_auth.revocation.redis import RedisRevocation, SharedRedis
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.conftest import MakeUser
from tests.flows.scene import authenticate, log_in, refusal_of
from tests.keys.reloading import holds_in_child
from tests.revocation.contract import RevocationContract
from tests.revocation.redis.cluster import Migration, wait_until_whole
from tests.revocation.redis.scene import end, hash_of_user, keys_of, known, token_of, trust_at_once
from tests.revocation.redis.servers import PATIENT, RedisServer, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]


@pytest.fixture(autouse=True)
def backend(on_cluster: RedisRevocation) -> RedisRevocation:
    return on_cluster


class TestContract(RevocationContract):
    @pytest.fixture(autouse=True)
    def _backend(self, backend: RedisRevocation) -> Iterator[None]:
        yield
        assert backend.circuit.state is State.CLOSED  # Redis has answered, not the database


def test_users_are_spread_over_nodes(
    nodes: list[RedisServer], make_user: MakeUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Each hash has its slot. A known session needs no SQL wherever it is."""
    sessions = [known(log_in(make_user(f"user{number}"))) for number in range(12)]
    with django_assert_num_queries(0):
        for issued in sessions:
            authenticate(issued)
    *of_primaries, of_newcomer = (node.run("DBSIZE") for node in nodes)
    assert (sum(of_primaries), of_newcomer) == (12, 0)
    assert all(of_primaries)


def test_moved_slot_is_followed(
    nodes: list[RedisServer], user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """Requests and revocations continue at the slot's new place, and nothing is lost."""
    revoked, valid = known(log_in(user)), known(log_in(user))
    end(revoked)
    _move_slot(nodes)
    assert refusal_of(revoked) is Refusal.SESSION_ENDED
    assert refusal_of(valid) is None
    _move_slot(nodes)
    end(valid)
    assert refusal_of(valid) is Refusal.SESSION_ENDED
    assert backend.circuit.state is State.CLOSED


def test_service_that_only_reads_finds_each_user(
    backend: RedisRevocation, make_user: MakeUser, settings: Settings
) -> None:
    """On the node that has the user's slot; the probe asks all nodes."""
    options = settings.JWT_AUTH_REVOCATION["OPTIONS"]
    service = SharedRedis(VERIFY_URL="http://127.0.0.1:1/", **options)
    for number in range(6):
        issued = known(log_in(make_user(f"user{number}")))
        assert service.get_user(token_of(issued)).pk == str(issued.family.user_id)
        end(issued)
        with pytest.raises(AccessTokenRefused):
            service.get_user(token_of(issued))
    service._probe()
    assert service.circuit.state is State.CLOSED


def test_probe_of_a_service_that_only_reads_asks_all_nodes(
    backend: RedisRevocation, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them may answer while the cluster as a whole is unknown."""
    options = settings.JWT_AUTH_REVOCATION["OPTIONS"]
    service = SharedRedis(VERIFY_URL="http://127.0.0.1:1/", **options)
    client: Any = get_redis_connection("revocation")
    monkeypatch.setattr(client.nodes_manager, "startup_nodes", {})
    with pytest.raises(RedisError):
        service._probe()


def test_node_that_is_gone_fails_no_request(
    nodes: list[RedisServer], user: AbstractBaseUser, backend: RedisRevocation
) -> None:
    """The database answers until the cluster is complete again."""
    revoked, valid = known(log_in(user)), known(log_in(user))
    owner = _owner(nodes)
    owner.stop()
    try:
        assert refusal_of(valid) is None
        end(revoked)
        assert refusal_of(revoked) is Refusal.SESSION_ENDED
        assert backend.circuit.state is not State.CLOSED
        backend.circuit.tick()
        assert backend.circuit.state is State.OPEN
    finally:
        owner.start()
        wait_until_whole(nodes)
    trust_at_once(backend.circuit)
    wait_for(lambda: backend.circuit.state is State.CLOSED)
    assert hash_of_user(owner)[f"s:{revoked.family.pk}".encode()] == b"1"
    assert (refusal_of(revoked), refusal_of(valid)) == (Refusal.SESSION_ENDED, None)


@pytest.mark.usefixtures("nobody_probes")
def test_slot_without_node_fails_no_request(
    user: AbstractBaseUser, backend: RedisRevocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that doesn't cover a slot counts as failed."""
    client: Any = get_redis_connection("revocation")
    monkeypatch.setattr(client.nodes_manager, "slots_cache", {})
    assert backend.get_user(token_of(log_in(user))) == user
    assert backend.circuit.state is State.OPEN


def test_probe_of_cluster_that_is_gone_fails(
    backend: RedisRevocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The circuit stays open, as with any other server."""
    client: Any = get_redis_connection("revocation")
    monkeypatch.setattr(client.nodes_manager, "startup_nodes", {})
    assert backend.client.ping()


def test_factory_makes_one_client_and_can_close_it() -> None:
    """Threads share it. Its connections are opened again."""
    cache: Any = caches["revocation"]
    factory = cache.client.connection_factory
    client: Any = get_redis_connection("revocation")
    assert client is factory.connect(cache.client._server[0])
    factory.disconnect(client)
    assert client.ping()


def test_forked_child_waits_for_none_of_its_parents_locks(backend: RedisRevocation) -> None:
    """Locked by another thread, in a client that the forking thread also has."""
    client: Any = get_redis_connection("revocation")
    held, release = Event(), Event()

    def hold() -> None:
        with client._lock, client.nodes_manager._initialization_lock, client.nodes_manager._lock:
            held.set()
            release.wait()

    holder = Thread(target=hold)
    holder.start()
    try:
        assert held.wait(PATIENT)
        assert holds_in_child(lambda: backend.client.ping() == {})
    finally:
        release.set()
        holder.join()
    assert get_redis_connection("revocation") is client


def test_forked_child_does_not_wait_for_its_parents_client() -> None:
    """It is being made, for a node that accepts connections and doesn't answer."""
    with _client_being_made() as url:

        def fails() -> bool:
            caller = _Caller(url, socket_timeout=0.1)
            caller.run()
            return caller.failure is not None

        assert holds_in_child(fails)


def test_threads_that_wait_for_a_client_fail_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that doesn't answer costs each of them one time-out. Later requests try again."""
    attempts = []
    make = RedisCluster.from_url

    def note(**options: Any) -> RedisCluster:
        attempts.append(options)
        return make(**options)

    monkeypatch.setattr(RedisCluster, "from_url", note)
    with _client_being_made() as url:
        lock = ClusterConnectionFactory._clusters[url].lock = _Queue(
            ClusterConnectionFactory._clusters[url].lock
        )
        waiting = [_Caller(url, socket_timeout=PATIENT) for _ in range(3)]
        for caller in waiting:
            caller.start()
        wait_for(lambda: len(lock.queue) == len(waiting))
    for caller in waiting:
        caller.join()
        assert isinstance(caller.failure, RedisError)
    assert len(attempts) == 1
    _Caller(url).run()
    assert len(attempts) == 2


class _Caller(Thread):
    """Asks for a client, and keeps the error."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self._url = url
        self._factory = ClusterConnectionFactory({"REDIS_CLIENT_KWARGS": options})

    def run(self) -> None:
        try:
            self._factory.connect(self._url)
        except Exception as error:  # noqa: BLE001  redis-py's have no family
            self.failure = error


class _Queue:
    """A lock that records which threads ask for it."""

    def __init__(self, lock: Any) -> None:
        self.queue: list[None] = []
        self._lock = lock

    def __enter__(self) -> None:
        self.queue.append(None)
        self._lock.acquire()

    def __exit__(self, *arguments: object) -> None:
        self._lock.release()


@contextmanager
def _client_being_made() -> Iterator[str]:
    """Let a thread wait for a node that accepts connections and answers nothing, and then fail."""
    with socket.create_server(("127.0.0.1", 0)) as node:
        url = f"redis://127.0.0.1:{node.getsockname()[1]}"
        maker = _Caller(url, socket_timeout=PATIENT)
        maker.start()
        connection, _ = node.accept()
        with connection:
            assert connection.recv(1)  # it has asked, and waits
            yield url
    maker.join()
    assert maker.failure is not None


def _owner(nodes: list[RedisServer]) -> RedisServer:
    """The node that has the user's hash."""
    return next(node for node in nodes if keys_of(node))


def _move_slot(nodes: list[RedisServer]) -> None:
    """Give the user's slot to the next node, without its keys: they have expired meanwhile."""
    *primaries, _ = nodes
    owner = _owner(primaries)
    heir = primaries[(primaries.index(owner) + 1) % len(primaries)]
    (key,) = keys_of(owner)
    migration = Migration(nodes, key, heir)
    owner.run("FLUSHALL")
    migration.finish()
    for node in nodes:
        wait_for(partial(_takes_for_owner, node, key, heir))


def _takes_for_owner(node: RedisServer, key: bytes, owner: RedisServer) -> bool:
    try:
        node.run("EXISTS", key)
    except MovedError as moved:
        return bool(moved.port == owner.port)
    return node is owner
