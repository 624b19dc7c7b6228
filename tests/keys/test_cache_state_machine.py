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
from jwt_auth.keys.bounded_call import BoundedExecutor
from jwt_auth.keys.ring import KeyRing
from tests.keys.cache_world import World, world_of
from tests.keys.reloading import record_reloads
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
    def let_pass(self, seconds: float) -> None:
        """Let time pass without a request, and then have one."""
        self.world.let_pass(seconds)
        self.world.request()

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

Patch = pytest.MonkeyPatch


def _without_waiting_when_idle(patch: Patch) -> None:
    patch.setattr(cache, "_wait", lambda load: None)
    # As if the thread was slow: otherwise it may be faster than the request.
    patch.setattr(cache._cache._executor, "submit", lambda function: None)


def _without_stale_answers(patch: Patch) -> None:
    start = cache._Cache._start_load

    def start_and_wait(*args: Any, **kwargs: Any) -> Any:
        load = start(*args, **kwargs)
        cache._wait(load)
        return load

    patch.setattr(cache._Cache, "_start_load", start_and_wait)


def _without_single_flight(patch: Patch) -> None:
    start = cache._Cache._start_load

    def start_another(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._load = None
        return start(self, *args, **kwargs)

    patch.setattr(cache._Cache, "_start_load", start_another)


def _without_bound_on_threads(patch: Patch) -> None:
    patch.setattr(cache._cache, "_executor", BoundedExecutor(100, name="jwt_auth-keys"))
    record_reloads(patch)


def _without_abandoning(patch: Patch) -> None:
    patch.setattr(cache, "_LONGEST_LOAD", float("inf"))


def _without_refusing_older_rings(patch: Patch) -> None:
    patch.setattr(cache, "find_refused", lambda *args, **kwargs: None)


def _without_pauses(patch: Patch) -> None:
    patch.setattr(cache_limits.UnknownKidPauses, "may_load", lambda *args, **kwargs: True)


def _without_refused_stamps(patch: Patch) -> None:
    patch.setattr(cache, "replace", lambda copy, **changes: _forget_stamp(replace(copy, **changes)))


def _forget_stamp(copy: Any) -> Any:
    return replace(copy, refused_stamp=None)


def _without_log_interval(patch: Patch) -> None:
    patch.setattr(cache_limits, "_LOG_INTERVAL", 0.0)


def _without_remembered_trouble(patch: Patch) -> None:
    def say(self: Any, origin: str) -> None:
        cache_limits.logger.warning("The key ring was loaded from %s again.", origin)

    patch.setattr(cache_limits.StoreTrouble, "ended", say)


def _without_time_of_the_last_events(patch: Patch) -> None:
    tell = cache._Cache._tell

    def tell_again(self: Any, former: Any, copy: Any, failure: Any) -> None:
        earlier = min(key.created_at for key in former.loaded.ring.keys)
        tell(self, replace(former, told_at=earlier), copy, failure)

    patch.setattr(cache._Cache, "_tell", tell_again)


def _without_fork_hook(patch: Patch) -> None:
    patch.setattr(cache._Cache, "reset_threads", lambda self: None)


def _idle(world: World) -> None:
    world.rotate()
    world.let_pass(61)
    world.request()


def _hang(world: World) -> None:
    world.hang()
    for _ in range(6):
        world.let_pass(31)
        world.request()


def _hang_for_long(world: World) -> None:
    world.hang()
    for _ in range(6):
        world.let_pass(121)
        world.request()


def _hang_once(world: World) -> None:
    world.hang()
    world.let_pass(31)
    world.request()
    world.recover()
    world.rotate()
    world.let_pass(121)
    world.request()


def _lag(world: World) -> None:
    world.rotate(withdraws=True)
    world.let_pass(61)
    world.request()
    world.let_pass(59)
    world.set_back()
    world.let_pass(2)
    world.request()


def _invent_kids(world: World) -> None:
    for _ in range(3):
        world.ask_for_unknown_kid()


def _invent_kids_while_it_fails(world: World) -> None:
    world.rotate()
    world.fail()
    for _ in range(3):
        world.ask_for_unknown_kid()


def _fail(world: World) -> None:
    world.fail()
    for _ in range(3):
        world.let_pass(31)
        world.request()


def _live(world: World) -> None:
    world.rotate()
    for _ in range(30):
        world.let_pass(61)
        world.request()


def _fork_while_loading(world: World) -> None:
    world.hang()
    world.let_pass(31)
    world.request()
    world.fork()


_RULES: dict[str, tuple[Callable[[Patch], None], Callable[[World], None], str]] = {
    "waiting_when_idle": (_without_waiting_when_idle, _idle, "too old"),
    "stale_answers": (_without_stale_answers, _hang, "waits for the store"),
    "single_flight": (_without_single_flight, _hang, "two loads"),
    "bound_on_threads": (_without_bound_on_threads, _hang_for_long, "too many threads"),
    "abandoning": (_without_abandoning, _hang_once, "too old"),
    "refusing_older_rings": (_without_refusing_older_rings, _lag, "taken at once"),
    "pauses": (_without_pauses, _invent_kids, "unknown kids"),
    "refused_stamps": (_without_refused_stamps, _invent_kids_while_it_fails, "unknown kids"),
    "log_interval": (_without_log_interval, _fail, "flooded"),
    "remembered_trouble": (_without_remembered_trouble, _live, "without a failure"),
    "time_of_the_last_events": (_without_time_of_the_last_events, _live, "sent twice"),
    "fork_hook": (_without_fork_hook, _fork_while_loading, "forked child"),
}


@pytest.mark.parametrize("name", _RULES)
def test_without_any_rule_a_promise_is_broken(
    name: str, make_world: MakeWorld, monkeypatch: Patch
) -> None:
    """Each rule has a history that is good with it, and breaks its promise without it."""
    take_out, history, promise = _RULES[name]
    stamped = name != "pauses"
    with make_world(stamped=stamped) as world:
        history(world)
    with make_world(stamped=stamped) as world, monkeypatch.context() as patched:
        take_out(patched)
        with pytest.raises(AssertionError, match=promise):
            history(world)
