"""A Redis Cluster for tests, with a slot that can be held in migration."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.revocation.redis.scene import keys_of
from tests.revocation.redis.servers import RedisServer, need, running, wait_for

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
        for node in servers:
            wait_for(partial(_knows_all, node, len(servers)))
        yield servers


class Migration:
    """A slot that is held between two nodes."""

    def __init__(self, nodes: list[RedisServer], key: bytes, heir: RedisServer) -> None:
        self.key = key
        self.heir = heir
        self.owner = next(node for node in nodes if has_key(node, key))
        with self.owner.client() as owner, heir.client() as target:
            self._slot = owner.execute_command("CLUSTER KEYSLOT", key)
            self._set(target, "IMPORTING", owner.execute_command("CLUSTER MYID"))
            self._set(owner, "MIGRATING", target.execute_command("CLUSTER MYID"))

    def move_key(self) -> None:
        """Move the user's hash, as a reshard does key by key."""
        with self.owner.client() as owner:
            owner.migrate("127.0.0.1", self.heir.port, self.key, 0, 60_000)

    def finish(self) -> None:
        """Assign the slot to its new node."""
        with self.heir.client() as client:
            heir = client.execute_command("CLUSTER MYID")
        # The new owner first: its import has a newer epoch, so gossip can't undo it.
        for node in (self.heir, self.owner):
            with node.client() as client:
                self._set(client, "NODE", heir)

    def give_up(self) -> None:
        """Leave the slot on its former node, and both nodes empty."""
        with self.owner.client() as client:
            owner = client.execute_command("CLUSTER MYID")
        for node in (self.owner, self.heir):
            with node.client() as client:
                client.flushall()
                self._set(client, "STABLE")
                self._set(client, "NODE", owner)

    def _set(self, client: Any, *state: Any) -> None:
        client.execute_command("CLUSTER SETSLOT", self._slot, *state)


def address_of(server: RedisServer) -> str:
    """The ID of a node in its cluster."""
    return f"127.0.0.1:{server.port}"


def cluster_cli(*arguments: str) -> None:
    """Run redis-cli; it has to succeed."""
    subprocess.run([need("redis-cli"), *arguments], capture_output=True, check=True)


def wait_until_whole(nodes: list[RedisServer]) -> None:
    """Wait until every node reports that the cluster is complete."""
    for node in nodes:
        wait_for(partial(_is_whole, node))


def _is_whole(node: RedisServer) -> bool:
    with node.client() as client:
        info: Any = client.cluster("INFO")
    return bool(info["cluster_state"] == "ok")


def has_key(node: RedisServer, key: bytes) -> bool:
    """Whether the key exists, on whichever node its slot is."""
    return key in keys_of(node)


def _knows_all(node: RedisServer, number: int) -> bool:
    with node.client() as client:
        info: Any = client.cluster("INFO")
    return int(info["cluster_known_nodes"]) == number
