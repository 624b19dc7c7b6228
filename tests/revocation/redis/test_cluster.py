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

from jwt_auth.exceptions import Refusal
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.cluster import ClusterConnectionFactory
from jwt_auth.revocation.redis import RedisRevocation
from jwt_auth.revocation.redis.circuit_breaker import State
from tests.conftest import MakeUser
from tests.flows.scene import log_in, refusal_of
from tests.revocation.contract import RevocationContract
from tests.revocation.redis.cluster import address_of, cluster_cli, wait_until_whole
from tests.revocation.redis.conftest import REDIS
from tests.revocation.redis.scene import (
    authenticate,
    end,
    forked,
    hash_of_user,
    keys_of,
    known,
    token_of,
    trust_at_once,
)
from tests.revocation.redis.servers import PATIENT, RedisServer, running, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis]

_SLOTS = 16_384


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three servers that share the slots."""
    folder = tmp_path_factory.mktemp("cluster")
    # Long, because a node that is only slow must not be given up during a test.
    arguments = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--save", "")
    servers = [RedisServer(folder / str(number), *arguments) for number in range(3)]
    with running(*servers):
        cluster_cli("--cluster", "create", *map(address_of, servers), "--cluster-yes")
        wait_until_whole(servers)
        yield servers


@pytest.fixture(autouse=True)
def backend(nodes: list[RedisServer], settings: Settings) -> RedisRevocation:
    """The backend on the cluster, configured as in the factory's docstring."""
    for node in nodes:
        with node.client() as client:
            client.flushall()
    factory = f"{ClusterConnectionFactory.__module__}.{ClusterConnectionFactory.__qualname__}"
    settings.CACHES = {
        **settings.CACHES,
        "cluster": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{nodes[0].port}",
            "OPTIONS": {"CONNECTION_FACTORY": factory},
        },
    }
    options = {"CACHE": "cluster", "TIMEOUT": PATIENT, "PREFIX": nodes[0].folder.parent.name}
    settings.JWT_AUTH_REVOCATION = {"BACKEND": REDIS, "OPTIONS": options}
    found = get_backend()
    assert isinstance(found, RedisRevocation)
    return found


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
    sizes = []
    for node in nodes:
        with node.client() as client:
            sizes.append(client.dbsize())
    assert sum(sizes) == 12
    assert all(sizes)


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


def test_cluster_that_is_gone_fails_no_request(
    user: AbstractBaseUser, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even the first request of a process, which asks the cluster for its nodes."""
    cache = {**settings.CACHES["cluster"], "LOCATION": "redis://127.0.0.1:1"}
    settings.CACHES = {**settings.CACHES, "nowhere": cache}
    backend = RedisRevocation("nowhere")
    monkeypatch.setattr(backend.circuit, "watch", lambda: None)
    assert backend.get_user(_token(user)) == user
    assert backend.circuit.state is State.OPEN


def test_slot_without_node_fails_no_request(
    user: AbstractBaseUser, backend: RedisRevocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that doesn't cover a slot counts as failed."""
    fresh = RedisRevocation("cluster")
    monkeypatch.setattr(fresh.circuit, "watch", lambda: None)
    client: Any = get_redis_connection("cluster")
    monkeypatch.setattr(client.nodes_manager, "slots_cache", {})
    assert fresh.get_user(_token(user)) == user
    assert fresh.circuit.state is State.OPEN


def test_probe_of_cluster_that_is_gone_fails(
    backend: RedisRevocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The circuit stays open, as with any other server."""
    client: Any = get_redis_connection("cluster")
    monkeypatch.setattr(client.nodes_manager, "startup_nodes", {})
    assert backend.client.ping()


def test_factory_makes_one_client_and_can_close_it(backend: RedisRevocation) -> None:
    """Threads share it. Its connections are opened again."""
    cache: Any = caches["cluster"]
    factory = cache.client.connection_factory
    client: Any = get_redis_connection("cluster")
    assert client is factory.connect(cache.client._server[0])
    factory.disconnect(client)
    assert client.ping()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: it has threads
def test_forked_child_waits_for_none_of_its_parents_locks(backend: RedisRevocation) -> None:
    """Locked by another thread, in a client that the forking thread also has."""
    client: Any = get_redis_connection("cluster")
    held, release = Event(), Event()

    def hold() -> None:
        with client._lock, client.nodes_manager._initialization_lock, client.nodes_manager._lock:
            held.set()
            release.wait()

    holder = Thread(target=hold)
    holder.start()
    try:
        assert held.wait(PATIENT)
        with forked(lambda: backend.client.ping() == {}):
            pass
    finally:
        release.set()
        holder.join()
    assert get_redis_connection("cluster") is client


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # Python 3.12: it has threads
def test_forked_child_does_not_wait_for_its_parents_client() -> None:
    """It is being made, for a node that accepts connections and doesn't answer."""
    with _silent_node() as (node, url):
        maker = _Caller(url, socket_timeout=PATIENT)
        maker.start()
        connection, _ = node.accept()
        with connection:
            assert connection.recv(1)  # it has asked, and waits

            def fails() -> bool:
                caller = _Caller(url, socket_timeout=0.1)
                caller.run()
                return caller.failure is not None

            with forked(fails):
                pass
    maker.join()
    assert maker.failure is not None


def test_threads_that_wait_for_a_client_fail_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that doesn't answer costs each of them one time-out. Later requests try again."""
    attempts = []
    make = RedisCluster.from_url

    def note(**options: Any) -> RedisCluster:
        attempts.append(options)
        return make(**options)

    monkeypatch.setattr(RedisCluster, "from_url", note)
    with _silent_node() as (node, url):
        maker = _Caller(url, socket_timeout=PATIENT)
        maker.start()
        connection, _ = node.accept()
        with connection:
            assert connection.recv(1)
            lock = ClusterConnectionFactory._clusters[url].lock = _Queue(
                ClusterConnectionFactory._clusters[url].lock
            )
            waiting = [_Caller(url, socket_timeout=PATIENT) for _ in range(3)]
            for caller in waiting:
                caller.start()
            wait_for(lambda: len(lock.queue) == len(waiting))
    for caller in (maker, *waiting):
        caller.join()
        assert caller.failure is not None
    assert all(isinstance(caller.failure, RedisError) for caller in waiting)
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
def _silent_node() -> Iterator[tuple[socket.socket, str]]:
    """Listen at an address that accepts connections, and answer nothing; then refuse them."""
    with socket.create_server(("127.0.0.1", 0)) as node:
        yield node, f"redis://127.0.0.1:{node.getsockname()[1]}"


def _token(user: AbstractBaseUser) -> Any:
    return token_of(log_in(user))


def _owner(nodes: list[RedisServer]) -> RedisServer:
    """The node that has the user's hash."""
    return next(node for node in nodes if keys_of(node))


def _move_slot(nodes: list[RedisServer]) -> None:
    """Give the user's slot to the next node, without its keys: they have expired meanwhile."""
    owner = _owner(nodes)
    heir = nodes[(nodes.index(owner) + 1) % len(nodes)]
    (key,) = keys_of(owner)
    with owner.client() as source, heir.client() as target:
        source.flushall()
        slot = source.execute_command("CLUSTER KEYSLOT", key)
        new_id = target.execute_command("CLUSTER MYID")
        old_id = source.execute_command("CLUSTER MYID")
        target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", old_id)
        source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", new_id)
        # The new owner first: its import has a newer epoch, so gossip can't undo it.
        target.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)
        source.execute_command("CLUSTER SETSLOT", slot, "NODE", new_id)
    for node in nodes:
        wait_for(partial(_takes_for_owner, node, key, heir))


def _takes_for_owner(node: RedisServer, key: bytes, owner: RedisServer) -> bool:
    with node.client() as client:
        try:
            client.exists(key)
        except MovedError as moved:
            return bool(moved.port == owner.port)
    return node is owner
