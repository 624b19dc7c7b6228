"""A Redis Cluster for tests, with a slot that can be held in migration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.programs import need
from tests.revocation.redis.scene import keys_of
from tests.revocation.redis.servers import RedisServer, running, wait_for

#: Long, because a node that is only slow must not be given up during a test.
_ARGUMENTS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--save", "")


@contextmanager
def cluster_of_three(folder: Path) -> Iterator[list[RedisServer]]:
    """Start three servers that share the slots, and a fourth one without any."""
    servers = [RedisServer(folder / str(number), *_ARGUMENTS) for number in range(4)]
    *primaries, newcomer = servers
    with running(*servers):
        cluster_cli("--cluster", "create", *map(address_of, primaries), "--cluster-yes")
        wait_until_whole(primaries)
        cluster_cli("--cluster", "add-node", address_of(newcomer), address_of(primaries[0]))
        wait_until_whole(servers)
        _wait_for(servers, "cluster_known_nodes", str(len(servers)))
        yield servers


class Migration:
    """A slot that is held between two nodes."""

    def __init__(self, nodes: list[RedisServer], key: bytes, heir: RedisServer) -> None:
        self.key = key
        self.heir = heir
        self.owner = next(node for node in nodes if has_key(node, key))
        self._slot = heir.run("CLUSTER KEYSLOT", key)
        self._set(heir, "IMPORTING", self.owner.run("CLUSTER MYID"))
        self._set(self.owner, "MIGRATING", heir.run("CLUSTER MYID"))

    def move_key(self) -> None:
        """Move the user's hash, as a reshard does key by key."""
        self.owner.run("MIGRATE", "127.0.0.1", self.heir.port, self.key, 0, 60_000)

    def finish(self) -> None:
        """Assign the slot to its new node."""
        heir = self.heir.run("CLUSTER MYID")
        # The new owner first: its import has a newer epoch, so gossip can't undo it.
        for node in (self.heir, self.owner):
            self._set(node, "NODE", heir)

    def give_up(self) -> None:
        """Leave the slot on its former node, and both nodes empty."""
        owner = self.owner.run("CLUSTER MYID")
        for node in (self.owner, self.heir):
            node.run("FLUSHALL")
            self._set(node, "STABLE")
            self._set(node, "NODE", owner)

    def _set(self, node: RedisServer, *state: Any) -> None:
        node.run("CLUSTER SETSLOT", self._slot, *state)


def address_of(server: RedisServer) -> str:
    """The ID of a node in its cluster."""
    return f"127.0.0.1:{server.port}"


def cluster_cli(*arguments: str) -> None:
    """Run redis-cli; it has to succeed."""
    subprocess.run([need("redis-cli"), *arguments], capture_output=True, check=True)


def wait_until_whole(nodes: list[RedisServer]) -> None:
    """Wait until every node reports that the cluster is complete."""
    _wait_for(nodes, "cluster_state", "ok")


def has_key(node: RedisServer, key: bytes) -> bool:
    """Whether the key exists, on whichever node its slot is."""
    return key in keys_of(node)


def _wait_for(nodes: list[RedisServer], name: str, value: str) -> None:
    for node in nodes:
        wait_for(partial(_reports, node, name, value))


def _reports(node: RedisServer, name: str, value: str) -> bool:
    return bool(node.run("CLUSTER INFO")[name] == value)
