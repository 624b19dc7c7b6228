"""A service without a database that reads the issuer's Redis: what a logout means there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.live.site import Server, Site, bearer
from tests.live.test_transcript import log_in
from tests.live.traffic import loses_sockets
from tests.live.verifying import VerifyOnlySite, whoami
from tests.live.waiting import wait_until
from tests.revocation.redis.servers import PATIENT, RedisServer, running
from tests.revocation.redis.test_shared import READ_ONLY

pytestmark = [
    pytest.mark.live,
    pytest.mark.redis,
    pytest.mark.example,
    loses_sockets,
    pytest.mark.timeout(600),
]

_PAGE = Path(__file__).parents[2] / "docs/how-to/redis.md"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", "--save", "")
    with running(server):
        _allow_reader(server)
        yield server


def _allow_reader(server: RedisServer) -> None:
    server.run("ACL", "SETUSER", "reader", "reset", *READ_ONLY.split())


@pytest.fixture
def issuer_site(site: Site, redis: RedisServer) -> Site:
    return site.using(REDIS_URL=redis.url)


@pytest.fixture
def issuer(issuer_site: Site) -> Iterator[Server]:
    with issuer_site.serve() as server:
        yield server


@pytest.fixture
def service(
    issuer: Server, issuer_site: Site, redis: RedisServer, tmp_path: Path
) -> Iterator[Server]:
    """The service, with the settings of the page."""
    (lines,) = re.findall(
        r"(?s)```python\n(CACHES = \{[^`]+SharedRedis[^`]+)```", _PAGE.read_text()
    )
    lines = lines.replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}")
    # A machine that is busy with other tests may need longer than the default.
    lines = lines.replace('"VERIFY_URL"', f'"VERIFY_TIMEOUT": {PATIENT}, "VERIFY_URL"')
    lines = lines.replace("https://auth.example.com", issuer.address)
    key_set = f"{issuer.address}/.well-known/jwks.json"
    site = VerifyOnlySite.create(tmp_path / "service", issuer_site, key_set, lines)
    with site.serve() as server:
        yield server


def _log_out(client: requests.Session, token: str) -> None:
    assert client.post("/api/auth/logout/", headers=bearer(token)).status_code == 204


def test_logout_at_the_issuer_is_one_here(
    issuer: Server, service: Server, redis: RedisServer
) -> None:
    """For the next request on every process, also while Redis is empty, away, or just back."""
    with issuer.session() as at_issuer, service.session() as here:
        good, ended = log_in(at_issuer), log_in(at_issuer)
        wait_until(
            lambda: set(service.ask_many(lambda client: whoami(client, good))) == {200},
            "every worker has the keys",
        )
        for _ in range(20):
            token = log_in(at_issuer)
            assert whoami(here, token) == 200
            _log_out(at_issuer, token)
            assert whoami(here, token) == 401
        assert [whoami(here, token) for token in (good, ended)] == [200, 200]
        _log_out(at_issuer, ended)

        def answers() -> set[int]:
            both = service.ask_many(lambda client: (whoami(client, good), whoami(client, ended)))
            return {good for good, _ in both} | {-ended for _, ended in both}

        assert answers() == {200, -401}
        redis.run("FLUSHALL")
        assert answers() == {200, -401}
        redis.stop()
        assert answers() == {200, -401}
        during = log_in(at_issuer)
        assert whoami(here, during) == 200
        _log_out(at_issuer, during)
        assert whoami(here, during) == 401
        redis.start()
        _allow_reader(redis)
        assert answers() == {200, -401}
        assert whoami(here, during) == 401
    for token in (good, ended, during):
        assert token not in service.read_log()
