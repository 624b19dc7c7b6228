"""What may happen to Redis. Each lasts so many seconds, and has ended when it returns."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from tests.chaos.stage import TIMEOUT, TTL, Stage
from tests.revocation.redis.servers import RedisServer


def flush(stage: Stage, seconds: float) -> None:
    """Somebody empties it, again and again."""
    with stage.client() as client:
        for _ in _ticks(seconds, 0.2):
            client.flushall()


def delete(stage: Stage, seconds: float) -> None:
    """Single hashes go."""
    with stage.client() as client:
        for _ in _ticks(seconds, 0.02):
            if key := client.randomkey():
                client.delete(key)


def evict(stage: Stage, seconds: float) -> None:
    """The memory is too small for all hashes."""
    with stage.client() as client:
        before = _info(client)["evicted_keys"]
        client.config_set("maxmemory-policy", "allkeys-lru")
        for _ in _ticks(seconds, 0.2):
            client.config_set("maxmemory", _info(client)["used_memory"] - 2_000)
        assert _info(client)["evicted_keys"] > before
        _give_memory(client)


def fill(stage: Stage, seconds: float) -> None:
    """The memory is full and nothing is evicted: it answers, but takes nothing more."""
    with stage.client() as client:
        client.config_set("maxmemory", 1)
        time.sleep(seconds)
        _give_memory(client)


def refuse_writes(stage: Stage, seconds: float) -> None:
    """It answers what it knows and takes nothing, as after a snapshot that could not be saved."""
    with stage.client() as client:
        client.config_set("min-replicas-to-write", 1)
        time.sleep(seconds)
        client.config_set("min-replicas-to-write", 0)


def kill(stage: Stage, seconds: float) -> None:
    """It dies, and comes back empty."""
    stage.redis.stop()
    time.sleep(seconds)
    (stage.redis.folder / "dump.rdb").unlink(missing_ok=True)
    stage.redis.start()


def restore(stage: Stage, seconds: float) -> None:
    """It dies, and comes back from an old snapshot, with hashes that have not expired."""
    _save(stage)
    time.sleep(min(seconds, TTL / 3))
    stage.redis.stop()
    stage.redis.start()
    with stage.client() as client:
        assert client.dbsize()
    time.sleep(seconds)


def fail_over(stage: Stage, seconds: float) -> None:
    """Another server takes over at once, which has missed the last revocations."""
    _save(stage)
    former = stage.redis
    folder = former.folder.with_name(f"redis-{time.monotonic_ns()}")
    folder.mkdir()
    shutil.copy(former.folder / "dump.rdb", folder)
    stage.redis = RedisServer(folder, "--save", "")
    time.sleep(min(seconds, TTL / 3))
    with stage.client() as client:
        assert client.dbsize()
    stage.proxy.switch(stage.redis.port)
    former.stop()
    time.sleep(seconds)


def hang(stage: Stage, seconds: float) -> None:
    """The process stands still."""
    with hanging(stage):
        time.sleep(seconds)


@contextmanager
def hanging(stage: Stage) -> Iterator[None]:
    """Have the process stand still meanwhile."""
    os.kill(stage.redis.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stage.redis.pid, signal.SIGCONT)


def pause(stage: Stage, seconds: float) -> None:
    """It lets all clients wait."""
    with stage.client() as client:
        client.client_pause(int(seconds * 1000))
    time.sleep(seconds)


def delay(stage: Stage, seconds: float) -> None:
    """Answers come, but later than anybody waits."""
    stage.proxy.delay = 3 * TIMEOUT
    time.sleep(seconds)
    stage.proxy.delay = 0.0


def cut(stage: Stage, seconds: float) -> None:
    """Connections are reset, and new ones refused."""
    stage.proxy.refuse()
    time.sleep(seconds)
    stage.proxy.listen()


def half_open(stage: Stage, seconds: float) -> None:
    """Connections are accepted, and never answered."""
    stage.proxy.mute()
    time.sleep(seconds)
    stage.proxy.unmute()


def change_password(stage: Stage, seconds: float) -> None:
    """Nobody knows the password any more."""
    with stage.client() as client, client.pipeline(transaction=True) as steps:
        # At once: those who are let in already would stay in.
        steps.config_set("requirepass", "another")
        steps.client_kill_filter(_type="normal", skipme=True)
        steps.execute()
        time.sleep(seconds)
        client.config_set("requirepass", "")


def throw_out(stage: Stage, seconds: float) -> None:
    """It closes all connections again and again, as it does where output buffers are full."""
    with stage.client() as client:
        client.config_set("client-output-buffer-limit", "normal 1 1 1")
        for _ in _ticks(seconds, 0.25):
            client.client_kill_filter(_type="normal", skipme=True)
        client.config_set("client-output-buffer-limit", "normal 0 0 0")


def _ticks(seconds: float, every: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(every * random.uniform(0.5, 1.5))


def _info(client: Redis) -> Any:
    return client.info()


def _give_memory(client: Redis) -> None:
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")


def _save(stage: Stage) -> None:
    with stage.client() as client:
        client.save()
