"""Traffic on two servers and a service that only verifies, through all that happens to keys.

Not one request is refused through a rotation, one by five processes at once, a change of the
algorithm, an outage of the key store and a restart in the middle of it. The short form lets the
minutes between publication and activation pass by moving the ring's times back; in the long one, or
with ``LIVE_KEYS=long``, they pass, and the outage lasts a minute.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest
import requests

from jwt_auth.keys.ring import KeyRing, RingKey
from jwt_auth.keys.stores.base import KeyStore
from tests.keys.remote.libraries import require
from tests.keys.remote.service import Service
from tests.keys.remote.vault_server import WRITE, Vault
from tests.live.conftest import USERS
from tests.live.length import LONG
from tests.live.site import COMMAND_TIMEOUT, Client, Server, Site
from tests.live.traffic import Seen, Traffic, loses_sockets
from tests.live.verifier import VerifyOnlyService
from tests.live.waiting import wait_until

require("hvac", "vault")

from jwt_auth.keys.stores.vault import VaultKeyStore  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.example, loses_sockets]

IS_LONG = os.environ.get("LIVE_KEYS", "long" if LONG else "") == "long"
OUTAGE = 60.0 if IS_LONG else 0.0
CLIENTS = 8 if IS_LONG else 4
NODES = 3

#: Seconds. Ahead is the least that the checks allow with that interval.
RELOAD, AHEAD = 1, 5 * 60 + 1

#: Seconds that a key whose time is moved back still has to wait.
MARGIN = 2.0

TOKEN = "hvs.only-for-tests"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two servers behind one address, as a load balancer has them."""

    servers: list[Server]

    def session(self) -> requests.Session:
        client = Balanced(self.servers)
        client.verify = str(self.servers[0].certificate)
        client.trust_env = False
        return client


class Balanced(Client):
    """Sends each request to the next server; one that is not there is left for the other."""

    def __init__(self, servers: list[Server]) -> None:
        super().__init__("")
        self._turns = cycle(range(len(servers)))
        self._servers = servers

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        self.address = self._servers[next(self._turns)].address
        return super().prepare_request(request)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Two servers of two workers, their Vault, and who runs them."""

    site: Site
    vault: Service
    store: KeyStore
    pair: Pair
    verifier: VerifyOnlyService
    stack: ExitStack

    def rotate(self, seen: Seen, *arguments: str, nodes: int = 1) -> None:
        """Rotate, on so many nodes at once, and live on until the next key signs everywhere."""
        before = self.store.load()
        running = [self.site.launch("rotate_keys", *arguments) for _ in range(nodes)]
        outputs = [process.communicate(timeout=COMMAND_TIMEOUT)[0] for process in running]
        assert [process.returncode for process in running] == [0] * nodes, outputs
        after = self.store.load()
        assert len(after.keys) == len(before.keys) + 1, outputs
        new = after.keys[-1].kid
        if IS_LONG:
            time.sleep(AHEAD)
        else:
            self._skip_time_ahead_of(new)
        wait_until(lambda: seen.signs_everywhere(new), "the next key signs everywhere")

    def _skip_time_ahead_of(self, kid: str) -> None:
        servers = self.pair.servers
        wait_until(
            lambda: all(each.uses_everywhere(kid) for each in servers), "every worker has the key"
        )
        fetches = self.verifier.counts["fetches"]
        self.verifier.let_pass(AHEAD)
        wait_until(lambda: self.verifier.counts["fetches"] > fetches, "the verifier has the key")
        self.move_back(timedelta(seconds=AHEAD - MARGIN))

    def move_back(self, by: timedelta) -> None:
        """Let time pass, as it looks from the ring."""
        ring = self.store.load()
        moved = KeyRing(version=ring.version + 1, keys=tuple(earlier(key, by) for key in ring.keys))
        self.store.save(moved, expected_version=ring.version)

    def live_through_an_outage(self, seen: Seen) -> None:
        """The store is away; a worker dies, and a whole server is restarted."""
        first, second = self.pair.servers
        with self.vault.being_away():
            ends = time.monotonic() + OUTAGE
            wait_for("The key ring could not be reloaded from", first)
            first.kill_worker()
            second.process.terminate()
            second.process.wait(COMMAND_TIMEOUT)
            restarted = self.stack.enter_context(self.site.start())
            for server in (first, restarted):
                wait_for("The start waits for the key store", server)
            calls = seen.count("call")
            wait_until(lambda: seen.count("call") > calls + 10, "the rest of a server is enough")
            time.sleep(max(0.0, ends - time.monotonic()))
        wait_for("The key ring was loaded from", first)
        restarted.wait_until_up()
        # Not before: a load balancer sends nothing to a server that doesn't answer yet.
        self.pair.servers[1] = restarted


def wait_for(text: str, server: Server) -> None:
    wait_until(lambda: text in server.read_log(), f"the log says {text!r}")


def earlier(key: RingKey, by: timedelta) -> RingKey:
    return replace(
        key,
        created_at=key.created_at - by,
        activates_at=key.activates_at - by,
        expires_at=None if key.expires_at is None else key.expires_at - by,
    )


@contextmanager
def cluster_of(site: Site) -> Iterator[Cluster]:
    with Service(Vault(tokens={TOKEN: WRITE}).respond).running() as vault, ExitStack() as stack:
        options: dict[str, Any] = {
            "URL": f"http://127.0.0.1:{vault.port}",
            "PATH": "example/keys",
            "TOKEN": TOKEN,
            # Seconds. It is in this process, which may get no CPU for a while.
            "TIMEOUT": 20,
            "DEADLINE": 60,
        }
        backend = "jwt_auth.keys.stores.vault.VaultKeyStore"
        site = site.using(
            JWT_AUTH_KEY_STORE=json.dumps({"BACKEND": backend, "OPTIONS": options}),
            JWT_AUTH_ALGORITHM="RS256",
            JWT_AUTH_KEY_RELOAD_INTERVAL=str(RELOAD),
            JWT_AUTH_KEY_PUBLISH_AHEAD=str(AHEAD),
        )
        site.manage("generate_keys")
        pair = Pair(servers=[stack.enter_context(site.start()) for _ in range(2)])
        for server in pair.servers:
            server.wait_until_up()
        yield Cluster(
            site=site,
            vault=vault,
            store=VaultKeyStore(**options),
            pair=pair,
            verifier=VerifyOnlyService(pair),
            stack=stack,
        )


@pytest.mark.timeout(1800 if IS_LONG else 300)
def test_no_request_is_refused_whatever_happens_to_the_keys(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    """Nor by the service that only verifies, which never meets a key that it does not have."""
    with cluster_of(site) as cluster:

        def story(seen: Seen) -> None:
            first = cluster.store.load().keys[0].kid
            wait_until(lambda: seen.signs_everywhere(first), "the first key signs everywhere")
            cluster.move_back(timedelta(days=91))
            cluster.rotate(seen, "--if-due", nodes=NODES)
            cluster.live_through_an_outage(seen)
            cluster.rotate(seen, "--algorithm", "ES256")

        traffic = Traffic(
            server=cluster.pair, users=USERS, clients=CLIENTS, watch=cluster.verifier.present
        )
        began = datetime.now(UTC)
        with cluster.verifier.running():
            report = traffic.during(story)
        took = (datetime.now(UTC) - began).total_seconds()
        ring = cluster.store.load()
        logs = [server.read_log() for server in cluster.pair.servers]

    figures = {**report.counts, **cluster.verifier.counts, "seconds": round(took)}
    for name, count in sorted(figures.items()):
        record_property(name, count)
    logger.info("%s", dict(sorted(figures.items())))
    assert report.wrong[:10] == [], "\n".join(errors_of(logs))
    assert report.counts["5xx"] == 0
    assert cluster.verifier.refused == []
    assert cluster.verifier.counts["unknown kids"] == 0
    assert report.kids == {key.kid for key in ring.keys}
    assert [key.algorithm for key in ring.keys] == ["RS256", "RS256", "ES256"]
    assert all(cluster.verifier.counts[f"verified {name}"] for name in ("RS256", "ES256"))


def errors_of(logs: list[str]) -> list[str]:
    return [line for log in logs for line in log.splitlines() if " ERROR " in line][:20]
