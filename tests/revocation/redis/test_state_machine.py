"""Requests, revocations and failures in every order, on the real code and a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
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

from jwt_auth.models import RefreshTokenFamily
from jwt_auth.revocation.base import Denial
from jwt_auth.revocation.redis import RedisRevocation, scripts
from jwt_auth.revocation.redis.circuit_breaker import Circuit, State
from jwt_auth.revocation.redis.reader import HashReader
from tests.conftest import MakeUser
from tests.flows.scene import log_in
from tests.live.length import LONG
from tests.revocation.redis.scene import admits, cache_at, keys_of, token_of, use_redis
from tests.revocation.redis.servers import RedisServer, running
from tests.revocation.redis.world import Filler, World

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.redis, pytest.mark.sql]

_NODES = st.integers(0, 1)
#: From the newest. There is always a session that isn't revoked.
_SESSIONS = st.sampled_from([-1, -1, -1, -2])
_MISHAPS = ["evict", "restart", "restart_from_snapshot", "pass_ttl"]
_RARELY = st.sampled_from([False, False, False, False, True])
_NAMES = count()


@pytest.fixture
def make_world(server: RedisServer, make_user: MakeUser, settings: Settings) -> Callable[[], World]:
    """Make worlds with a user and two sessions."""
    settings.CACHES = {**settings.CACHES, "revocation": cache_at(server.url)}
    return lambda: World(server, make_user(f"user{next(_NAMES)}"))


@pytest.fixture
def world(make_world: Callable[[], World]) -> Iterator[World]:
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

    @rule(node=_NODES, session=_SESSIONS, saves=st.booleans())
    def request(self, node: int, session: int, saves: bool) -> None:
        """Let a request run through, and complete the hash if it may."""
        self.world.nodes[node].admits(self.world.sessions[session])
        if saves:
            self.world.take_snapshot()

    @rule(session=_SESSIONS)
    def request_at_reader(self, session: int) -> None:
        """Let a request of another service run through."""
        self.world.reader.admits(self.world.sessions[session])

    @rule(node=_NODES, session=_SESSIONS, begins=st.booleans())
    def fill(self, node: int, session: int, begins: bool) -> None:
        """Begin to complete the hash, or continue."""
        if begins or not self.fillers:
            filler = self.world.take_lease(node, session)
            self.fillers += [] if filler is None else [filler]
            return
        filler = self.fillers[session % len(self.fillers)]
        if filler.fields is None:
            self.world.read(filler)
        else:
            self.world.write(filler)
            self.fillers.remove(filler)

    @rule(node=_NODES, session=st.sampled_from([-1, -1, -1, -2, None]), begins=_RARELY)
    def revoke(self, node: int, session: int | None, begins: bool) -> None:
        """Begin to revoke, or continue."""
        under_way = list(self.world)
        if begins or not under_way:
            self.world.deny(node, session)
        elif not under_way[0].has_committed:
            self.world.commit(under_way[0])
        else:
            self.world.confirm(under_way[0])
            self.world.log_in()

    @precondition(lambda self: any(revoker.has_committed for revoker in self.world))
    @rule(dies=st.booleans())
    def kill(self, dies: bool) -> None:
        """Let a revoker that has committed die."""
        for revoker in list(self.world) if dies else []:
            if revoker.has_committed:
                self.world.die(revoker)
                self.world.log_in()

    @rule(what=st.sampled_from(_MISHAPS))
    def meet_mishap(self, what: str) -> None:
        """Let an event happen to Redis, or let time pass."""
        getattr(self.world, what)()

    @rule(change=st.sampled_from(["go_away", "come_back", "recover"]), nodes=st.lists(_NODES))
    def change_network(self, change: str, nodes: list[int]) -> None:
        """Cut all nodes off, or connect them again."""
        getattr(self.world, change)()
        for node in nodes:
            self.world.nodes[node].circuit.tick()
            self.world.reader.circuit.tick()


@pytest.mark.timeout(1800)  # the long form takes minutes
def test_no_history_forgets_a_revocation(make_world: Callable[[], World]) -> None:
    """After the 204 a token stays refused; after a killed revoker's commit, from the TTL on."""
    machine = type("Machine", (Machine,), {"make_world": staticmethod(make_world)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=500 if LONG else 120,
            stateful_step_count=40,
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


def _without_run_id(patch: Patch) -> None:
    ask = HashReader._ask

    def ask_and_believe(self: HashReader, token: Any) -> Any:
        found = ask(self, token)
        return found and (found[0], found[0].run)

    patch.setattr(HashReader, "_ask", ask_and_believe)
    _without(patch, "COMPLETE", "if ARGV[1] ~= ARGV[2] then return 0 end")


def _without_mark_on_own_run(patch: Patch) -> None:
    _without(patch, "MARK", "if run and run ~= ARGV[1] then redis.call('DEL', KEYS[1]) end")


def _without_additive_fill(patch: Patch) -> None:
    patch.setattr(scripts, "COMPLETE", scripts.COMPLETE.replace("HSETNX", "HSET"))


def _without_distrust_after_outage(patch: Patch) -> None:
    tick = Circuit.tick

    def tick_and_believe(self: Circuit) -> None:
        self._distrust = 0
        tick(self)

    patch.setattr(Circuit, "tick", tick_and_believe)


def _without_step(name: str) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(RedisRevocation, name, lambda self, denial: None)


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
    world.restart_from_snapshot()


def _die_after_stale_read(world: World) -> None:
    filler = world.take_lease(1)
    world.read(filler)
    revoker = world.deny(0)
    world.commit(revoker)
    world.die(revoker)
    world.write(filler)


def _mark_what_a_former_server_left(world: World) -> None:
    world.nodes[1].admits(world.sessions[0])
    world.take_snapshot()
    world.restart_from_snapshot()
    revoker = world.deny(0)
    world.nodes[1].admits(world.sessions[0])
    world.commit(revoker)
    world.die(revoker)


def _revoke_in_an_outage_that_all_have_seen(world: World) -> None:
    world.nodes[1].admits(world.sessions[0])
    world.go_away()
    for each in (world.nodes[1], world.reader):
        each.admits(world.sessions[1])
    revoker = world.deny(0)
    world.commit(revoker)
    world.confirm(revoker)
    world.come_back()
    for each in (world.nodes[1], world.reader) * 2:
        each.circuit.tick()


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
    "deny_after_commit": (_without_step("confirm"), _evict_the_mark),
    "run_id": (_without_run_id, _restart_from_old_snapshot),
    "mark_on_own_run": (_without_mark_on_own_run, _mark_what_a_former_server_left),
    "deny_first": (_without_step("deny"), _die_after_stale_read),
    "additive_fill": (_without_additive_fill, _die_after_stale_read),
    "distrust_after_outage": (
        _without_distrust_after_outage,
        _revoke_in_an_outage_that_all_have_seen,
    ),
    "write_what_was_kept": (_without_step("_keep"), _revoke_in_an_outage_that_one_has_seen),
}


@pytest.mark.parametrize("rule", _RULES)
def test_without_any_rule_a_revocation_is_forgotten(
    rule: str, make_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rule, one history accepts a revoked token; with the rule, it doesn't.

    The same holds at a node and at a service that only reads.
    """
    take_out, history = _RULES[rule]
    admitted = []
    for patches in ([], [take_out]):
        with monkeypatch.context() as patch:
            for apply in patches:
                apply(patch)
            world = make_world()
            history(world)
            admitted += [
                each.admits(world.sessions[0], only_looks=True)
                for each in (world.nodes[1], world.reader)
            ]
            world.close()
    assert admitted == [False, False, True, True]


def test_hash_of_former_server_gives_nothing_to_next(world: World) -> None:
    """A request of another session completes the hash. Its data about the first one is gone."""
    _restart_from_old_snapshot(world)
    assert world.nodes[1].admits(world.sessions[1])
    assert not world.nodes[1].admits(world.sessions[0])


@pytest.mark.parametrize("loses", ["nothing", "everything", "the revocation"])
def test_real_restart_forgets_nothing(
    loses: str, tmp_path: Path, user: AbstractBaseUser, settings: Settings
) -> None:
    """A server that is killed comes back empty, or from a file older than a revocation."""
    server = RedisServer(tmp_path, "--save", "" if loses == "everything" else "3600 1000000")
    backend = use_redis(settings, cache_at(server.url))
    with running(server), server.client() as client:
        revoked, valid = (token_of(log_in(user)) for _ in range(2))
        backend.get_user(revoked)
        backend.get_user(valid)
        if loses == "the revocation":
            client.save()
        denial = Denial(user_id=user.pk, session_ids=[revoked.session_id])
        backend.deny(denial)
        RefreshTokenFamily.objects.filter(pk=revoked.session_id).update(
            revoked_at=revoked.issued_at
        )
        backend.confirm(denial)
        if loses == "nothing":
            client.save()
        server.stop()
        server.start()
        assert len(keys_of(server)) == (0 if loses == "everything" else 1)
        assert (admits(backend, revoked), admits(backend, valid)) == (False, True)
        assert backend.circuit.state is State.CLOSED
