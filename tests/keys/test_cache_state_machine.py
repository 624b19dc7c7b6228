"""Requests, answers, outages, hangs, older rings, unknown kids and forks in any order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from jwt_auth.keys import cache, cache_limits
from jwt_auth.keys.ring import KeyRing
from tests.keys.cache_world import World, world_of
from tests.live.length import LONG

MakeWorld = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def make_world(ring: KeyRing, settings: Settings) -> MakeWorld:
    """Make worlds with a store of one key."""
    return partial(world_of, ring, settings)


#: Some are taken more often than others.
_STEPS = (
    "ask_for_unknown_kid",
    "ask_for_unknown_kid",
    "ask_for_new_kid",
    "rotate",
    "set_back",
    "come_back",
    "fail",
    "hang",
    "recover",
    "recover",
    "let_go",
)


class Machine(RuleBasedStateMachine):
    """Takes the world's steps in any order."""

    make_world: MakeWorld
    stamped: bool

    def __init__(self) -> None:
        super().__init__()
        self._opened = type(self).make_world(stamped=type(self).stamped)
        self.world = self._opened.__enter__()

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)

    @invariant()
    def holds(self) -> None:
        self.world.check()

    @rule(times=st.integers(1, 3))
    def request(self, times: int) -> None:
        """Have requests use the ring."""
        for _ in range(times):
            self.world.request()

    @rule(seconds=st.sampled_from([0.5, 1, 2, 29.9, 30, 60, 61, 121, 1000]))
    def request_after(self, seconds: float) -> None:
        """Let time pass without a request, and then have one."""
        self.world.request_after(seconds)

    @rule(step=st.sampled_from(_STEPS))
    def take(self, step: str) -> None:
        """Let anything else happen."""
        getattr(self.world, step)()

    @rule(forks=st.sampled_from([False] * 9 + [True]), withdraws=st.booleans())
    def change(self, forks: bool, withdraws: bool) -> None:
        """Fork, rarely, or rotate."""
        if forks:
            self.world.fork()
        else:
            self.world.rotate(withdraws=withdraws)


@pytest.mark.timeout(1800)  # the long form takes minutes
@pytest.mark.parametrize("stamped", [True, False])
def test_no_history_breaks_a_promise(make_world: MakeWorld, stamped: bool) -> None:
    """Each step checks all that the cache promises."""
    members = {"make_world": staticmethod(make_world), "stamped": stamped}
    run_state_machine_as_test(
        type("Machine", (Machine,), members),
        settings=settings(
            max_examples=1000 if LONG else 25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# ---- Each rule is needed


def _nothing(*args: object, **kwargs: object) -> None:
    """Stand in the place of a rule."""


def _always(*args: object, **kwargs: object) -> bool:
    return True


_start_load, _tell = cache._Cache._start_load, cache._Cache._tell


def _start_and_wait(*args: Any, **kwargs: Any) -> Any:
    load = _start_load(*args, **kwargs)
    cache._wait(load)
    return load


def _start_another(self: Any, *args: Any, **kwargs: Any) -> Any:
    self._load = None
    return _start_load(self, *args, **kwargs)


def _forget_stamp(copy: Any, **changes: Any) -> Any:
    return replace(copy, **changes | {"refused_stamp": None})


def _say_that_it_ended(self: Any, origin: str) -> None:
    cache_limits.logger.warning("The key ring was loaded from %s again.", origin)


def _tell_again(self: Any, former: Any, copy: Any, failure: Any) -> None:
    earlier = min(key.created_at for key in former.loaded.ring.keys)
    _tell(self, replace(former, told_at=earlier), copy, failure)


#: What stands in the place of each rule when it is taken out.
_WITHOUT: dict[str, list[tuple[object, str, object]]] = {
    # Nor does a thread load: it may be faster than the request.
    "waiting_when_idle": [(cache, "_wait", _nothing), (cache._cache._executor, "submit", _nothing)],
    "stale_answers": [(cache._Cache, "_start_load", _start_and_wait)],
    "single_flight": [(cache._Cache, "_start_load", _start_another)],
    "bound_on_threads": [(cache._cache._executor, "_places", 100)],
    "abandoning": [(cache, "_LONGEST_LOAD", float("inf"))],
    "refusing_older_rings": [(cache, "find_refused", _nothing)],
    "pauses": [(cache_limits.GrowingPauses, "may_load", _always)],
    "refused_stamps": [(cache, "replace", _forget_stamp)],
    "log_interval": [(cache_limits, "_LOG_INTERVAL", 0.0)],
    "remembered_trouble": [(cache_limits.StoreTrouble, "ended", _say_that_it_ended)],
    "time_of_the_last_events": [(cache._Cache, "_tell", _tell_again)],
    "fork_hook": [(cache._Cache, "reset_threads", _nothing)],
}


def _idle(world: World) -> None:
    world.rotate()
    world.request_after(61)


def _hang(world: World, *, pause: float) -> None:
    world.hang()
    for _ in range(6):
        world.request_after(pause)


def _hang_once(world: World) -> None:
    world.hang()
    world.request_after(31)
    world.recover()
    world.rotate()
    world.request_after(121)


def _lag(world: World) -> None:
    world.rotate(withdraws=True)
    world.request_after(61)
    world.let_pass(59)
    world.set_back()
    world.request_after(2)


def _invent_kids(world: World) -> None:
    for _ in range(3):
        world.ask_for_unknown_kid()


def _invent_kids_while_it_fails(world: World) -> None:
    world.rotate()
    world.fail()
    _invent_kids(world)


def _fail(world: World) -> None:
    world.fail()
    for _ in range(3):
        world.request_after(31)


def _live(world: World) -> None:
    world.rotate()
    for _ in range(30):
        world.request_after(61)


def _fork_while_loading(world: World) -> None:
    world.hang()
    world.request_after(31)
    world.fork()


#: A history that breaks a promise without the rule.
_HISTORIES: dict[str, tuple[Callable[[World], None], str]] = {
    "waiting_when_idle": (_idle, "too old"),
    "stale_answers": (partial(_hang, pause=31), "waits for the store"),
    "single_flight": (partial(_hang, pause=31), "two loads"),
    "bound_on_threads": (partial(_hang, pause=121), "too many threads"),
    "abandoning": (_hang_once, "too old"),
    "refusing_older_rings": (_lag, "taken at once"),
    "pauses": (_invent_kids, "unknown kids"),
    "refused_stamps": (_invent_kids_while_it_fails, "unknown kids"),
    "log_interval": (_fail, "flooded"),
    "remembered_trouble": (_live, "without a failure"),
    "time_of_the_last_events": (_live, "sent twice"),
    "fork_hook": (_fork_while_loading, "forked child"),
}


@pytest.mark.parametrize("name", _WITHOUT)
def test_without_any_rule_a_promise_is_broken(
    name: str, make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule has a history that is good with it, and breaks its promise without it."""
    history, promise = _HISTORIES[name]
    stamped = name != "pauses"
    with make_world(stamped=stamped) as world:
        history(world)
    with make_world(stamped=stamped) as world, monkeypatch.context() as patched:
        for owner, attribute, without in _WITHOUT[name]:
            patched.setattr(owner, attribute, without)
        with pytest.raises(AssertionError, match=promise):
            history(world)
