"""Mixed traffic on two workers goes on undisturbed by key rotations and a killed worker."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

import pytest

from jwt_auth.keys.stores.file import FileKeyStore
from tests.live.conftest import USERS
from tests.live.length import LONG
from tests.live.site import Server, Site
from tests.live.traffic import Seen, Traffic, loses_sockets
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example, loses_sockets]

#: Seconds at least.
SECONDS = float(os.environ.get("LIVE_SECONDS", "60" if LONG else "0"))
CLIENTS, ROTATIONS = 6, 3

STEPS = ("log-in", "call", "refresh", "logout", "ended call", "ended refresh")

logger = logging.getLogger(__name__)


@pytest.mark.timeout(SECONDS + 300)
def test_traffic_gets_no_wrong_answer_through_rotations_and_a_killed_worker(
    site: Site, server: Server, record_property: Callable[[str, object], None]
) -> None:
    """No living token is refused, no ended one accepted, nothing answers 5xx."""

    def story(seen: Seen) -> None:
        ends = time.monotonic() + SECONDS
        for _ in range(ROTATIONS):
            rotate(site, seen)
            kill_a_worker(server)
        while time.monotonic() < ends:
            kill_a_worker(server)
            time.sleep(min(10, SECONDS))
        wait_until(lambda: all(seen.count(step) for step in STEPS), "each step has been taken")

    report = Traffic(server=server, users=USERS, clients=CLIENTS).during(story)
    for name, count in sorted(report.counts.items()):
        record_property(name, count)
    logger.info("%s", dict(sorted(report.counts.items())))
    assert report.wrong[:10] == [], server.errors()
    assert report.counts["5xx"] == 0


def rotate(site: Site, seen: Seen) -> None:
    """Rotate, in a process of its own, and wait until the new key has signed."""
    site.manage("rotate_keys", "--now")
    new = FileKeyStore(PATH=str(site.keys)).load().keys[-1].kid
    wait_until(lambda: seen.has_signed(new), "the new key signs")


def kill_a_worker(server: Server) -> None:
    """Kill one, and see that the master replaces it."""
    server.kill_worker()
    wait_until(lambda: len(server.worker_pids()) == server.workers, "the killed worker is replaced")
