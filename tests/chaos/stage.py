"""Two servers that revoke by way of one Redis, behind a proxy that can be disturbed."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from tests.chaos.proxy import Proxy
from tests.live.site import WORKERS, Server, Site
from tests.revocation.redis.servers import RedisServer

#: How long each disturbance lasts, in seconds: much longer than TIMEOUT, so that each worker has a
#: request that fails. One that had none, or only in the last TIMEOUT seconds, goes on believing.
SECONDS = float(os.environ.get("CHAOS_SECONDS", "1.5"))

#: Options of the backend, in seconds: short ones, so that the servers soon ask Redis again.
TTL = float(os.environ.get("CHAOS_TTL", "5" if SECONDS > 2 else "2.5"))
TIMEOUT = 0.25

#: Each session as a pair of access and refresh token. Logging in would hash a password each time.
_MAKE_STOCK = """
import json
from datetime import UTC, datetime
from pathlib import Path
from django.contrib.auth import get_user_model
from django.db import transaction
from jwt_auth import flows
from jwt_auth.models import Client
users = get_user_model().objects
client = Client(ip_address=None, user_agent="")
with transaction.atomic():
    made = [users.create(username=f"{prefix}-{{number}}") for number in range({number})]
    stock = []
    for user in made:
        pairs = [flows.log_in(user, client=client, now=datetime.now(UTC)) for _ in range({each})]
        stock.append([(pair.access_token.text, pair.refresh_token.text) for pair in pairs])
Path({path!r}).write_text(json.dumps(stock))
"""


class Stage:
    """What a disturbance can get at."""

    def __init__(self, site: Site, redis: RedisServer, proxy: Proxy) -> None:
        self.site = site
        self.redis = redis
        self.proxy = proxy
        self.servers: list[Server] = []

    def client(self) -> Redis:
        """Open a client that does not go through the proxy."""
        return self.redis.client(socket_timeout=10)

    def stop_redis(self) -> None:
        """End whichever server is there by now."""
        self.redis.stop()

    def make_stock(self, users: int, sessions: int) -> list[list[list[str]]]:
        """Open so many sessions of so many new users; pairs of access and refresh token."""
        prefix = secrets.token_hex(4)
        path = self.site.folder / f"stock-{prefix}.json"
        script = _MAKE_STOCK.replace("{prefix}", prefix)
        self.site.manage("shell", "-c", script.format(number=users, each=sessions, path=str(path)))
        stock: list[list[list[str]]] = json.loads(path.read_text())
        return stock

    def hmgets(self) -> int:
        """Count the revocation checks that Redis has answered since it was started."""
        with self.client() as client:
            stats: Any = client.info("commandstats")
        return int(stats.get("cmdstat_hmget", {}).get("calls", 0))

    def open_circuits(self) -> int:
        """Count the workers that don't ask Redis, by what they have logged."""
        logs = [server.log.read_text(errors="replace") for server in self.servers]
        failed = sum(log.count("Redis has failed") for log in logs)
        return failed - sum(log.count("Redis is back") for log in logs)

    def mark(self) -> list[int]:
        """Remember the ends of the servers' logs."""
        return [server.log.stat().st_size for server in self.servers]

    def workers_since(self, marks: list[int]) -> int:
        """Count the workers that have answered something since then."""
        found: set[tuple[int, str]] = set()
        for number, (server, mark) in enumerate(zip(self.servers, marks, strict=True)):
            log = server.log.read_text(errors="replace")[mark:]
            found |= {(number, pid) for pid in re.findall(r"^worker <(\d+)>$", log, re.MULTILINE)}
        return len(found)


@contextmanager
def set_up(folder: Path, database: str) -> Iterator[Stage]:
    """Start Redis, the proxy and both servers; end them whatever happens."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis", "--save", "")
        proxy = Proxy(redis.port)
        site = Site.create(folder, database).using(
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
        stage.servers = [stack.enter_context(site.serve()) for _ in range(2)]
        yield stage


ALL_WORKERS = 2 * WORKERS
