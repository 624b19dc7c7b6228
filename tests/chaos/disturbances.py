"""What may happen to Redis. Each lasts until it has been seen, and has ended when it returns."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from tests.chaos.stage import SECONDS, TIMEOUT, Stage
from tests.chaos.traffic import Traffic
from tests.chaos.witness import Witness
from tests.live.waiting import PATIENCE, wait_until
from tests.revocation.redis.servers import RedisServer

#: Milliseconds: longer than any test.
_FOR_EVER = 3_600_000


class Meanwhile:
    """The time that a disturbance lasts, and what has to be seen of it."""

    def __init__(
        self, stage: Stage, traffic: Traffic, *, everybody_fails: bool, believed_for: float = 0.0
    ) -> None:
        self._traffic = traffic
        self.witness = Witness(stage.servers, stage.next_witness(), believed_for=believed_for)
        self.witness.appear()
        self.began = time.monotonic()
        self.mark = mark = stage.workers.mark()
        self._is_known = mark.all_have_failed if everybody_fails else mark.all_have_answered

    def is_over(self) -> bool:
        """Tell whether it has lasted, and every worker and some revocations have met it."""
        return (
            time.monotonic() > self.began + SECONDS
            and self._is_known()
            and self._traffic.is_busy_since(self.began)
        )

    def ticks(self, every: float, until: Callable[[], object] = lambda: True) -> Iterator[None]:
        """Come by every so many seconds, give or take a half, for as long as it lasts."""
        deadline = time.monotonic() + PATIENCE + SECONDS
        while not (self.is_over() and until()):
            assert time.monotonic() < deadline, "the disturbance has not been seen everywhere"
            yield
            self.witness.log_out()
            self.witness.look_now_and_then()
            time.sleep(every * random.uniform(0.5, 1.5))

    def wait(self) -> None:
        """Have it last."""
        for _ in self.ticks(0.05):
            pass

    def wait_for_revocations(self) -> None:
        """Have something revoked from now on."""
        now = time.monotonic()
        self.witness.log_out()
        wait_until(lambda: self._traffic.is_busy_since(now), "sessions are revoked")


def flush(stage: Stage, meanwhile: Meanwhile) -> None:
    """Somebody empties it, again and again."""
    with stage.client() as client:
        for _ in meanwhile.ticks(0.2):
            client.flushall()


def delete(stage: Stage, meanwhile: Meanwhile) -> None:
    """Single hashes go."""
    with stage.client() as client:
        for _ in meanwhile.ticks(0.02):
            if key := client.randomkey():
                client.delete(key)


def evict(stage: Stage, meanwhile: Meanwhile) -> None:
    """The memory is too small for all hashes."""
    with stage.client() as client:
        before = _info(client)["evicted_keys"]
        client.config_set("maxmemory-policy", "allkeys-lru")
        with _ending(lambda: _give_memory(client)):
            for _ in meanwhile.ticks(0.2, until=lambda: _info(client)["evicted_keys"] > before):
                client.config_set("maxmemory", _info(client)["used_memory"] - 2_000)


def fill(stage: Stage, meanwhile: Meanwhile) -> None:
    """The memory is full and nothing is evicted: it answers, but takes nothing more."""
    with stage.client() as client, _ending(lambda: _give_memory(client)):
        client.config_set("maxmemory", 1)
        meanwhile.wait()


def refuse_writes(stage: Stage, meanwhile: Meanwhile) -> None:
    """It answers what it knows and takes nothing, as after a snapshot that could not be saved."""
    name = "min-replicas-to-write"
    with stage.client() as client, _ending(lambda: client.config_set(name, 0)):
        client.config_set(name, 1)
        meanwhile.wait()


def kill(stage: Stage, meanwhile: Meanwhile) -> None:
    """It dies, and comes back empty."""
    (stage.redis.folder / "dump.rdb").unlink(missing_ok=True)
    with _ending(stage.redis.start):
        stage.redis.stop()
        meanwhile.wait()


def restore(stage: Stage, meanwhile: Meanwhile) -> None:
    """It dies, and comes back from an old snapshot, with hashes that have not expired."""
    _save(stage)
    meanwhile.wait_for_revocations()
    stage.redis.stop()
    stage.redis.start()
    with stage.client() as client:
        assert client.dbsize()
    meanwhile.wait()


def fail_over(stage: Stage, meanwhile: Meanwhile) -> None:
    """Another server takes over at once, which has missed the last revocations."""
    _save(stage)
    former = stage.redis
    folder = former.folder.with_name(f"redis-{time.monotonic_ns()}")
    folder.mkdir()
    shutil.copy(former.folder / "dump.rdb", folder)
    stage.redis = RedisServer(folder, "--save", "")
    meanwhile.wait_for_revocations()
    with stage.client() as client:
        assert client.dbsize()
    stage.proxy.switch(stage.redis.port)
    former.stop()
    meanwhile.wait()


def hang(stage: Stage, meanwhile: Meanwhile) -> None:
    """The process stands still."""
    pid = stage.redis.pid
    with _ending(lambda: os.kill(pid, signal.SIGCONT)):
        os.kill(pid, signal.SIGSTOP)
        meanwhile.wait()


def pause(stage: Stage, meanwhile: Meanwhile) -> None:
    """It lets all clients wait."""
    # Nobody but a replica can end a pause.
    with (
        stage.client() as client,
        socket.create_connection(("127.0.0.1", stage.redis.port)) as replica,
    ):
        replica.sendall(b"SYNC\r\n")
        wait_until(lambda: _info(client)["connected_slaves"], "there is a replica")
        with _ending(lambda: replica.sendall(b"CLIENT UNPAUSE\r\n")):
            client.client_pause(_FOR_EVER)
            meanwhile.wait()


def delay(stage: Stage, meanwhile: Meanwhile) -> None:
    """Answers come, but later than anybody waits."""
    with _ending(lambda: setattr(stage.proxy, "delay", 0.0)):
        stage.proxy.delay = TIMEOUT  # on the way there, and on the way back
        meanwhile.wait()


def cut(stage: Stage, meanwhile: Meanwhile) -> None:
    """Connections are reset, and new ones refused."""
    with being_cut(stage):
        meanwhile.wait()


@contextmanager
def being_cut(stage: Stage) -> Iterator[None]:
    """Have connections refused meanwhile."""
    with _ending(stage.proxy.listen):
        stage.proxy.refuse()
        yield


def half_open(stage: Stage, meanwhile: Meanwhile) -> None:
    """Connections are accepted, and never answered."""
    with _ending(stage.proxy.unmute):
        stage.proxy.mute()
        meanwhile.wait()


def change_password(stage: Stage, meanwhile: Meanwhile) -> None:
    """Nobody knows the password any more."""
    name = "requirepass"
    with stage.client() as client, _ending(lambda: client.config_set(name, "")):
        with client.pipeline(transaction=True) as steps:
            # At once: those who are let in already would stay in.
            steps.config_set(name, "another")
            steps.client_kill_filter(_type="normal", skipme=True)
            steps.execute()
        meanwhile.wait()


def throw_out(stage: Stage, meanwhile: Meanwhile) -> None:
    """It closes all connections again and again, as it does where output buffers are full."""
    name = "client-output-buffer-limit"
    with stage.client() as client, _ending(lambda: client.config_set(name, "normal 0 0 0")):
        client.config_set(name, "normal 1 1 1")
        former: set[str] = set()
        for _ in meanwhile.ticks(0.25):
            present = {each["id"] for each in client.client_list(_type="normal")}
            # Who was just thrown out may come back once: a worker that gets nowhere is cut off.
            for number in former & present:
                client.client_kill_filter(_id=number, skipme=True)
            former = present


#: Those in which it answers nobody: a worker that had no request meanwhile does not notice, and may
#: believe a hash from before for its TTL.
OUTAGES = frozenset({hang, pause, delay, cut, half_open, change_password})


@contextmanager
def _ending(end: Callable[[], object]) -> Iterator[None]:
    """End it also where a test fails meanwhile: the next one has the same stage."""
    try:
        yield
    finally:
        end()


def _info(client: Redis) -> Any:
    return client.info()


def _give_memory(client: Redis) -> None:
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")


def _save(stage: Stage) -> None:
    """Save a snapshot whose hashes will not have expired when somebody comes back with it."""
    with stage.client() as client:
        wait_until(
            lambda: sum(bool(client.pexpire(key, _FOR_EVER)) for key in client.scan_iter()),
            "there are hashes",
        )
        client.save()
