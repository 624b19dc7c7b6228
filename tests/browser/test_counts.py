"""How many refreshes tabs need that are opened at once, or that hear of another session."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.devices import (
    KEEP_HALF_MINUTES,
    WITHOUT_LOCKS,
    Device,
    assert_still_logged_in,
    call,
    heard,
    log_in,
    open_at_once,
    ready,
    session_of,
    wait_until,
)
from tests.live.length import LONG
from tests.live.site import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

pytestmark = [pytest.mark.browser, pytest.mark.live, pytest.mark.example]

NUMBERS = [10, 30] if LONG else [10]
LOCKS = pytest.mark.parametrize("has_locks", [True, False], ids=["locks", "no locks"])

logger = logging.getLogger(__name__)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[..., int]:
    """Give how many refreshes have brought a token, and report it; none may be throttled."""

    def counted(responses: list[Response], name: str) -> int:
        statuses: Counter[int] = Counter(
            response.status for response in responses if response.url.endswith("/refresh/")
        )
        logger.warning("%s: %s", name, dict(statuses))
        record_property(name, dict(statuses))
        assert 429 not in statuses
        return statuses[200]

    return counted


@LOCKS
@pytest.mark.parametrize("number", NUMBERS)
def test_tabs_restored_at_once_need_one_refresh_each(
    device: Device, count: Callable[..., int], number: int, has_locks: bool
) -> None:
    """A tab that is loading, and hears that another one has refreshed, goes on with its own."""
    tab, sid = begin(device, has_locks=has_locks)
    responses = heard(device.context, "response")
    tabs = open_at_once(device, number)
    for each in tabs:
        ready(each)
    settle([tab, *tabs])
    assert count(responses, f"{number} tabs restored") <= number
    assert_still_logged_in(device, [tab, *tabs], sid)


@LOCKS
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("what", ["login", "changePassword"])
def test_another_session_in_one_of_many_tabs_is_one_refresh_for_each_of_the_others(
    device: Device, count: Callable[..., int], what: str, number: int, has_locks: bool
) -> None:
    """Each of the others takes it up once."""
    tab, former = begin(device, has_locks=has_locks)
    others = open_at_once(device, number - 1)
    for each in others:
        ready(each)
    settle([tab, *others])
    responses = heard(device.context, "response")
    given = {"login": [device.username, PASSWORD], "changePassword": [PASSWORD, PASSWORD + "!"]}
    tab.evaluate(f"(given) => auth.{what}(...given)", given[what])
    sid = session_of(tab)
    assert sid != former
    wait_until(lambda: {session_of(each) for each in others} == {sid}, "not followed", tab)
    settle([tab, *others])
    assert count(responses, f"{what} in one of {number} tabs") < number


def begin(device: Device, *, has_locks: bool) -> tuple[Page, str]:
    """Log in, in a browser with Web Locks or without."""
    # Nobody overtakes, however busy this machine is.
    device.context.add_init_script(KEEP_HALF_MINUTES)
    if not has_locks:
        device.context.add_init_script(WITHOUT_LOCKS)
    return log_in(device)


def settle(tabs: list[Page]) -> None:
    """Wait until no tab lacks a token: a call waits for the refresh that its tab has begun."""
    for _ in range(2):
        assert {call(tab) for tab in tabs} == {200}
