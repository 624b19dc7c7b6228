"""Mixed traffic on two workers goes on undisturbed by key rotations and a killed worker."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import pytest

from tests.live.conftest import USERS
from tests.live.site import START_TIMEOUT, WORKERS, Server, Site
from tests.live.traffic import Disturbance, Traffic, loses_sockets

pytestmark = [pytest.mark.live, pytest.mark.example, pytest.mark.slow, loses_sockets]

SECONDS = float(os.environ.get("LIVE_SECONDS", "20"))
CLIENTS = 8

logger = logging.getLogger(__name__)


@pytest.mark.timeout(SECONDS + 240)
def test_traffic_gets_no_wrong_answer_through_rotations_and_a_killed_worker(
    site: Site, server: Server, record_property: Callable[[str, object], None]
) -> None:
    """No living token is refused, no ended one accepted, nothing answers 5xx."""
    report = Traffic(server=server, users=USERS, clients=CLIENTS).run(
        SECONDS, [*rotations(site), *kills(server)]
    )
    for name, count in sorted(report.counts.items()):
        record_property(name, count)
    logger.info("%s", dict(sorted(report.counts.items())))
    assert report.wrong[:10] == [], server.errors()
    assert report.counts["5xx"] == 0
    assert len(report.kids) == 4, "each of the three new keys has signed"
    done = ("log-in", "call", "refresh", "logout", "ended call", "ended refresh")
    assert all(report.counts[what] for what in done)
    wait_for_all_workers(server)


def rotations(site: Site) -> list[Disturbance]:
    """Plan three, each by a process of its own."""
    return [(share, lambda: site.manage("rotate_keys", "--now")) for share in (0.2, 0.4, 0.6)]


def kills(server: Server) -> list[Disturbance]:
    """Plan two, in a long run one for every ten seconds."""
    number = max(2, int(SECONDS / 10) - 1)
    return [((n + 0.5) / number, server.kill_worker) for n in range(number)]


def wait_for_all_workers(server: Server) -> None:
    """See that the master has replaced every killed worker."""
    deadline = time.monotonic() + START_TIMEOUT
    while len(server.worker_pids()) < WORKERS:
        assert time.monotonic() < deadline, "a killed worker was not replaced"
        time.sleep(0.1)
