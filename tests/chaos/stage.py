"""Two servers that revoke by way of one Redis, behind a proxy that can be disturbed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

from redis import Redis

from tests.chaos.proxy import Proxy
from tests.chaos.visitors import PROCESSES, VISITORS, names_of
from tests.chaos.workers import Workers
from tests.live.length import LONG
from tests.live.site import Server, Site
from tests.revocation.redis.servers import RedisServer

#: How long each disturbance lasts at least, in seconds; it goes on until every worker has met it.
SECONDS = float(os.environ.get("CHAOS_SECONDS", "20" if LONG else "0.8"))

#: Options of the backend, in seconds. A short TTL has the servers ask Redis again soon. With a
#: shorter TIMEOUT a busy machine could cut a single worker off from Redis: what that one revokes,
#: others may accept.
TTL = float(os.environ.get("CHAOS_TTL", "5" if SECONDS > 2 else "2"))
TIMEOUT = float(os.environ.get("CHAOS_TIMEOUT", "0.5"))

#: Users that no visitor is: one for each witness, so that Redis learns of him when he comes.
WITNESSES = tuple(f"witness-{number}" for number in range(40))


class Stage:
    """What a disturbance can get at."""

    def __init__(self, site: Site, redis: RedisServer, proxy: Proxy) -> None:
        self.site = site
        self.redis = redis
        self.proxy = proxy
        self.servers: list[Server] = []
        self.workers = Workers(self.servers)
        self._witnesses = cycle(WITNESSES)

    def client(self) -> Redis:
        """Open a client that does not go through the proxy."""
        return self.redis.client(socket_timeout=60)

    def next_witness(self) -> str:
        """Name a user whom Redis does not know yet."""
        return next(self._witnesses)

    def stop_redis(self) -> None:
        """End whichever server is there by now."""
        self.redis.stop()

    def hmgets(self) -> int:
        """Count the revocation checks that Redis has answered since it was started."""
        with self.client() as client:
            stats: Any = client.info("commandstats")
        return int(stats.get("cmdstat_hmget", {}).get("calls", 0))


@contextmanager
def set_up(folder: Path, database: str) -> Iterator[Stage]:
    """Start Redis, the proxy and both servers; end them whatever happens."""
    visitors = [name for number in range(PROCESSES * VISITORS) for name in names_of(number)]
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis", "--save", "")
        proxy = Proxy(redis.port)
        site = Site.create(
            folder, database, *WITNESSES, *visitors, DJANGO_SETTINGS_MODULE="tests.chaos.settings"
        ).using(
            REDIS_URL=proxy.url,
            JWT_AUTH_ACCESS_TOKEN_LIFETIME="3600",
            JWT_AUTH_REVOCATION=json.dumps(
                {
                    "BACKEND": "jwt_auth.revocation.redis.RedisRevocation",
                    "OPTIONS": {"CACHE": "default", "TTL": TTL, "TIMEOUT": TIMEOUT},
                }
            ),
            GUNICORN_CMD_ARGS="--access-logfile - --access-logformat 'worker %(p)s'",
        )
        stage = Stage(site, redis, proxy)
        stack.callback(stage.stop_redis)
        stack.callback(proxy.close)
        stage.servers += [stack.enter_context(site.start()) for _ in range(2)]
        for server in stage.servers:
            server.wait_until_up()
        yield stage
