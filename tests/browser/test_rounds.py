"""Rounds of what people do to a page, counted: how often was somebody logged out who was not?

TEST_LENGTH=long plays more rounds with more tabs, and BROWSER_ROUNDS says how many: a run by hand
takes 200 of each kind, some six minutes a kind.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    WITHOUT_LOCKS,
    Device,
    Stage,
    go_at_once,
    log_in,
    open_at_once,
    ready,
    session_of,
)
from tests.live.length import LONG

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

ROUNDS = int(os.environ.get("BROWSER_ROUNDS") or (10 if LONG else 2))
TABS = 10 if LONG else 6

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What makes a round hard."""

    closes: bool = False
    is_busy: bool = False
    has_locks: bool = True


KINDS = {
    "plain": Kind(),
    "tabs closed": Kind(closes=True),
    "both cores busy": Kind(is_busy=True),
    "no locks": Kind(has_locks=False),
    "all of it": Kind(closes=True, is_busy=True, has_locks=False),
}


@pytest.mark.timeout(120 + ROUNDS * 60)
@pytest.mark.parametrize("name", KINDS)
def test_rounds_log_nobody_out(
    name: str, device: Device, stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    """Many tabs at once, some reloaded, some closed, a server killed every fifth time."""
    kind = KINDS[name]
    if not kind.has_locks:
        device.context.add_init_script(WITHOUT_LOCKS)
    tab, sid = log_in(device)
    chance = random.Random(name)
    with busy(2 if kind.is_busy else 0):
        wrong = [n for n in range(ROUNDS) if set(play(device, kind, n, chance)) != {sid}]
    stage.answer_late(None)
    figures = {
        event: stage.events(sid, event)
        for event in ("session_refreshed", "refresh_retried", "reuse_detected", "session_ended")
    }
    logger.warning("%s: %d rounds, %d wrong, %s", name, ROUNDS, len(wrong), figures)
    record_property(name, figures)
    assert wrong == [], figures
    assert figures["reuse_detected"] == figures["session_ended"] == 0
    assert [session["id"] for session in device.sessions(tab)] == [sid]


def play(device: Device, kind: Kind, number: int, chance: random.Random) -> list[str | None]:
    """Play a round; say which session each tab that is left shows, in the end."""
    device.stage.answer_late(chance.choice((0, 0.02, 0.1, 0.3)))
    if number % 5 == 1:
        device.stage.kill_after_next_rotation()
    tabs = open_at_once(device, TABS)
    tabs[0].wait_for_timeout(chance.uniform(0, 600))
    for tab in tabs[: chance.randrange(TABS // 2)]:
        go_at_once(tab, device.stage.url())
    if kind.closes:
        tabs = close_half(tabs, chance)
    url = device.stage.url()
    shown = [session_of(tab) if ready(tab, url) else None for tab in tabs]
    for tab in tabs:
        tab.close()
    return shown


def close_half(tabs: list[Page], chance: random.Random) -> list[Page]:
    """Close half of the tabs in the middle of whatever they do; give the others."""
    for tab in (closed := chance.sample(tabs, len(tabs) // 2)):
        tab.wait_for_timeout(chance.uniform(0, 60))
        tab.close()
    return [tab for tab in tabs if tab not in closed]


@contextmanager
def busy(cores: int) -> Iterator[None]:
    """Keep so many cores busy."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()
