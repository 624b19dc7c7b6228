"""The deny feed between two processes: an issuer, and a service that has no database.

The service's interval is a second where the test would otherwise wait for minutes.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.live.site import ROOT, Server, Site, bearer
from tests.live.test_transcript import log_in
from tests.live.verifying import VerifyOnlySite
from tests.live.waiting import wait_until
from tests.live.workers import WORKER

pytestmark = [pytest.mark.live, pytest.mark.example, pytest.mark.timeout(600)]

RecordProperty = Callable[[str, object], None]

RECIPE = ROOT / "docs/how-to/recipes/deny-feed/settings.py"
FEED = "https://auth.example.com/api/auth/denials/"
KEY_SET = "/.well-known/jwks.json"

INTERVAL = float(os.environ.get("DENY_FEED_INTERVAL", "1"))
ROUNDS = int(os.environ.get("DENY_FEED_ROUNDS", "6"))
STALENESS = max(5.0, 2 * INTERVAL)

#: As text in the settings, whose values the test changes without changing the rest of the recipe.
TIMES = (
    f'JWT_AUTH_REVOCATION["OPTIONS"] |= {{"INTERVAL": {INTERVAL}, "MAX_STALENESS": {STALENESS}}}'
)

logger = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def issuer_site(site: Site) -> Site:
    """The example project with the feed, and a service client's credentials for the service."""
    made = json.loads(site.manage("create_service_client", "feed", "--format", "json"))
    return site.using(
        JWT_AUTH_DENY_FEED="true",
        DENY_FEED_CLIENT_ID=made["client_id"],
        DENY_FEED_CLIENT_SECRET=made["client_secret"],
    )


@pytest.fixture(scope="module")
def issuer(issuer_site: Site) -> Iterator[Server]:
    with issuer_site.serve() as server:
        yield server


@pytest.fixture
def service_site(issuer: Server, issuer_site: Site, tmp_path: Path) -> VerifyOnlySite:
    """The service of the pages: what both recipes say, with this issuer's address."""
    recipe = RECIPE.read_text().replace(FEED, f"{issuer.address}/api/auth/denials/")
    assert issuer.address in recipe
    return VerifyOnlySite.create(
        tmp_path / "one", issuer_site, issuer.address + KEY_SET, recipe, TIMES
    )


@pytest.fixture
def service(service_site: VerifyOnlySite) -> Iterator[Server]:
    with service_site.serve() as server:
        yield server


def _answers(service: Server, token: str) -> set[int]:
    """What all processes of the service answer."""
    statuses: dict[str, int] = {}

    def ask(client: requests.Session) -> tuple[str, int]:
        answer = client.get("/api/whoami/", headers=bearer(token))
        return answer.headers[WORKER], answer.status_code

    def has_asked_all() -> bool:
        statuses.update(service.ask_many(ask, clients=8))
        return set(map(str, service.worker_pids())) <= statuses.keys()

    wait_until(has_asked_all, "every process has answered")
    return set(statuses.values())


def _seconds_until(service: Server, token: str, status: int) -> float:
    began = time.monotonic()
    wait_until(lambda: _answers(service, token) == {status}, f"the service answers {status}")
    return time.monotonic() - began


def test_logout_reaches_the_service(
    issuer: Server, service: Server, record_property: RecordProperty
) -> None:
    """One session after another ends at the issuer; another one goes on."""
    took = []
    with issuer.session() as staying, issuer.session() as leaving:
        other = log_in(staying)
        for _ in range(ROUNDS):
            token = log_in(leaving)
            assert _answers(service, token) == {200}
            assert leaving.post("/api/auth/logout/", headers=bearer(token)).status_code == 204
            took.append(_seconds_until(service, token, 401))
            assert _answers(service, other) == {200}
    figures = {"median": statistics.median(took), "worst": max(took), "interval": INTERVAL}
    record_property("seconds from logout to refusal", figures)
    logger.info("seconds from logout to refusal: %s", figures)


def test_commands_reach_the_service(issuer: Server, service: Server, issuer_site: Site) -> None:
    """They run in other processes than the one that answers the service."""
    with issuer.session() as client:
        for arguments in (["--user", "alice"], ["--all"]):
            token = log_in(client)
            assert _answers(service, token) == {200}
            issuer_site.manage("revoke_tokens", *arguments)
            _seconds_until(service, token, 401)
        # Of a later second than the end of everything, whose clock is the same here.
        wait_until(
            lambda: _answers(service, log_in(client)) == {200}, "a new login is accepted again"
        )


def test_service_without_its_issuer_refuses_everything_until_it_is_back(
    issuer: Server, service: Server, record_property: RecordProperty
) -> None:
    """It hangs first, as in an outage of the network. 503 says that the client may try again."""
    with issuer.session() as client:
        token = log_in(client)
    assert _answers(service, token) == {200}
    began = time.monotonic()
    os.killpg(issuer.process.pid, signal.SIGSTOP)
    try:
        seen = _answers(service, token)
        until_503 = _seconds_until(service, token, 503)
        lasted = time.monotonic() - began
        wait_until(lambda: "can't be fetched" in service.read_log(), "the log says why")
    finally:
        os.killpg(issuer.process.pid, signal.SIGCONT)
    until_200 = _seconds_until(service, token, 200)
    assert seen <= {200, 503}
    wait_until(lambda: "feed can be read again" in service.read_log(), "the log says it")
    figures = {"until 503": until_503, "since the outage": lasted, "back": until_200}
    record_property("seconds", figures)
    logger.info("%s", figures)


def test_deployment_check_reads_the_feed(
    service_site: VerifyOnlySite, issuer_site: Site, tmp_path: Path
) -> None:
    """With wrong credentials it says so. No message quotes them."""
    good = service_site.manage("check", "--deploy")
    assert good.returncode == 0
    assert "jwt_auth.W09" not in good.stderr
    site = issuer_site.using(DENY_FEED_CLIENT_SECRET="a-wrong-secret")
    settings = (service_site.folder / "service/settings.py").read_text()
    wrong = VerifyOnlySite.create(tmp_path / "two", site, "unused")
    (wrong.folder / "service/settings.py").write_text(settings)
    said = wrong.manage("check", "--deploy").stderr
    assert "jwt_auth.W096" in said
    assert "it answered 401. Check CLIENT_ID and CLIENT_SECRET." in said
    assert "a-wrong-secret" not in said


def test_recipe_is_what_the_page_shows() -> None:
    """The file that runs here is the one that the page includes."""
    page = (ROOT / "docs/how-to/deny-feed.md").read_text()
    assert "```{literalinclude} recipes/deny-feed/settings.py" in page
