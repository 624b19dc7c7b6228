"""Requests, revocations and mishaps in every order, on the real code and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from jwt_auth.revocation import scripts
from jwt_auth.revocation.circuit import Circuit
from jwt_auth.revocation.redis import RedisRevocation
from tests.conftest import MakeUser
from tests.revocation.redis.conftest import cache_of
from tests.revocation.redis.servers import RedisServer
from tests.revocation.redis.world import Filler, Revoker, World

pytestmark = pytest.mark.django_db(transaction=True)

_NODES = st.integers(0, 1)
_NAMES = count()


@pytest.fixture
def make_world(server: RedisServer, make_user: MakeUser, settings: Settings) -> Callable[[], World]:
    """Make worlds with a user and two sessions."""
    settings.CACHES = {**settings.CACHES, "revocation": cache_of(server)}
    return lambda: World(server, make_user(f"user{next(_NAMES)}"))


@pytest.fixture
def world(make_world: Callable[[], World]) -> Iterator[World]:
    """A world of one test."""
    world = make_world()
    yield world
    world.close()


class Machine(RuleBasedStateMachine):
    """Takes the world's steps in any order."""

    make_world: Callable[[], World]

    def __init__(self) -> None:
        super().__init__()
        self.world = type(self).make_world()
        self.fillers: list[Filler] = []

    def teardown(self) -> None:
        self.world.close()

    @invariant()
    def holds(self) -> None:
        self.world.check()

    # ---- Requests

    @rule(node=_NODES, session=st.integers(0, 2))
    def request(self, node: int, session: int) -> None:
        """Let a request run through, and complete the hash if it is for it to do."""
        tokens = self.world.sessions
        self.world.nodes[node].admits(tokens[session % len(tokens)])

    @precondition(lambda self: len(self.world.sessions) < 3)
    @rule()
    def log_in(self) -> None:
        self.world.log_in()

    @precondition(lambda self: len(self.fillers) < 2)
    @rule(node=_NODES, session=st.integers(0, 2))
    def take_lease(self, node: int, session: int) -> None:
        filler = self.world.take_lease(node, session % len(self.world.sessions))
        if filler is not None:
            self.fillers.append(filler)

    @precondition(lambda self: self.fillers)
    @rule(which=st.integers(0, 1))
    def go_on_filling(self, which: int) -> None:
        filler = self.fillers[which % len(self.fillers)]
        if filler.fields is None:
            self.world.read(filler)
        else:
            self.world.write(filler)
            self.fillers.remove(filler)

    # ---- Revocations

    @precondition(lambda self: len(self.world.revokers) < 3)
    @rule(node=_NODES, session=st.sampled_from([0, 0, 1, None]))
    def deny(self, node: int, session: int | None) -> None:
        self.world.deny(node, session)

    @precondition(lambda self: list(self.world))
    @rule(which=st.integers(0, 2), dies=st.sampled_from([False, False, False, True]))
    def go_on_revoking(self, which: int, dies: bool) -> None:
        active: list[Revoker] = list(self.world)
        revoker = active[which % len(active)]
        if not revoker.has_committed:
            self.world.commit(revoker)
        elif dies:
            self.world.die(revoker)
        else:
            self.world.confirm(revoker)

    # ---- Mishaps

    @rule()
    def evict(self) -> None:
        self.world.evict()

    @rule()
    def take_snapshot(self) -> None:
        self.world.take_snapshot()

    @rule(from_snapshot=st.booleans())
    def restart(self, from_snapshot: bool) -> None:
        self.world.restart(from_snapshot=from_snapshot)

    @rule()
    def turn_on_or_off(self) -> None:
        if self.world.is_up:
            self.world.go_away()
        else:
            self.world.come_back()

    @rule(node=_NODES)
    def tick(self, node: int) -> None:
        self.world.nodes[node].circuit.tick()

    @rule()
    def pass_ttl(self) -> None:
        self.world.pass_ttl()


@pytest.mark.slow
def test_no_history_forgets_a_revocation(make_world: Callable[[], World]) -> None:
    """What was answered 204 stays refused, and nobody else is; a killed one's after the TTL."""
    machine = type("Machine", (Machine,), {"make_world": staticmethod(make_world)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


# ---- Each rule is needed

Patch = pytest.MonkeyPatch


def _without(patch: Patch, script: str, *lines: str) -> None:
    text = getattr(scripts, script)
    for line in lines:
        assert line in text
        text = text.replace(line, "")
    patch.setattr(scripts, script, text)


def _without_lease(patch: Patch) -> None:
    _without(
        patch, "COMPLETE", "if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[3] then return 0 end"
    )
    _without(patch, "CONFIRM", "redis.call('HDEL', KEYS[1], 'lease')")


def _without_deny_after_commit(patch: Patch) -> None:
    patch.setattr(RedisRevocation, "confirm", lambda self, denial: None)


def _without_run_id(patch: Patch) -> None:
    ask = RedisRevocation._ask

    def ask_and_believe(self: RedisRevocation, token: Any) -> Any:
        answer, _ = ask(self, token)
        return answer, answer.run

    patch.setattr(RedisRevocation, "_ask", ask_and_believe)
    _without(patch, "COMPLETE", "if ARGV[1] ~= ARGV[2] then return 0 end")


def _without_deny_first(patch: Patch) -> None:
    patch.setattr(RedisRevocation, "deny", lambda self, denial: None)


def _without_additive_fill(patch: Patch) -> None:
    patch.setattr(scripts, "COMPLETE", scripts.COMPLETE.replace("HSETNX", "HSET"))


def _without_distrust_after_outage(patch: Patch) -> None:
    tick = Circuit.tick

    def tick_and_believe(self: Circuit) -> None:
        self._distrust = 0
        tick(self)

    patch.setattr(Circuit, "tick", tick_and_believe)


def _without_write_what_was_kept(patch: Patch) -> None:
    patch.setattr(RedisRevocation, "_keep", lambda self, denials: None)


def _evict_before_stale_write(world: World) -> None:
    revoker = world.deny(0)
    filler = world.take_lease(1)
    world.read(filler)
    world.commit(revoker)
    world.confirm(revoker)
    world.evict()
    world.write(filler)


def _evict_the_mark(world: World) -> None:
    revoker = world.deny(0)
    world.evict()
    filler = world.take_lease(1)
    world.read(filler)
    world.commit(revoker)
    world.confirm(revoker)
    world.write(filler)


def _restart_from_old_snapshot(world: World) -> None:
    world.nodes[1].admits(world.sessions[0])
    world.take_snapshot()
    revoker = world.deny(0)
    world.commit(revoker)
    world.confirm(revoker)
    world.restart(from_snapshot=True)


def _die_after_stale_read(world: World) -> None:
    filler = world.take_lease(1)
    world.read(filler)
    revoker = world.deny(0)
    world.commit(revoker)
    world.die(revoker)
    world.write(filler)


def _revoke_in_an_outage_that_all_have_seen(world: World) -> None:
    world.nodes[1].admits(world.sessions[0])
    world.go_away()
    world.nodes[1].admits(world.sessions[1])
    revoker = world.deny(0)
    world.commit(revoker)
    world.confirm(revoker)
    world.come_back()
    for _ in range(2):
        world.nodes[1].circuit.tick()


def _revoke_in_an_outage_that_one_has_seen(world: World) -> None:
    world.nodes[1].admits(world.sessions[0])
    world.go_away()
    revoker = world.deny(0)
    world.commit(revoker)
    world.confirm(revoker)
    world.come_back()
    world.nodes[0].circuit.tick()


_RULES = {
    "lease": (_without_lease, _evict_before_stale_write),
    "deny_after_commit": (_without_deny_after_commit, _evict_the_mark),
    "run_id": (_without_run_id, _restart_from_old_snapshot),
    "deny_first": (_without_deny_first, _die_after_stale_read),
    "additive_fill": (_without_additive_fill, _die_after_stale_read),
    "distrust_after_outage": (
        _without_distrust_after_outage,
        _revoke_in_an_outage_that_all_have_seen,
    ),
    "write_what_was_kept": (_without_write_what_was_kept, _revoke_in_an_outage_that_one_has_seen),
}


@pytest.mark.parametrize("rule", _RULES)
def test_without_any_rule_a_revocation_is_forgotten(
    rule: str, make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule has a history that lets a revoked token in without it, and doesn't with it."""
    take_out, history = _RULES[rule]
    admitted = []
    for patches in ([], [take_out]):
        with monkeypatch.context() as patch:
            for apply in patches:
                apply(patch)
            world = make_world()
            history(world)
            admitted.append(world.nodes[1].admits(world.sessions[0], only_looks=True))
            world.close()
    assert admitted == [False, True]
