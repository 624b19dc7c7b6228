"""A Django service that only verifies, through all that happens to the issuer and its keys.

The issuer is the example project in one process, the service another one without a database. Its
reload interval is a second where the minutes of the default would have to pass: ten seconds without
the issuer are ten intervals, as ten minutes are by default.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from jwt_auth.encoding import base64url_encode
from jwt_auth.keys.ring import KeyRing
from jwt_auth.keys.stores.file import FileKeyStore
from tests.keys.remote.service import Answer, Request, Service
from tests.live.site import ROOT, Server, Site, copy_keys
from tests.live.test_emergency import folder_of
from tests.live.test_key_traffic import earlier
from tests.live.test_transcript import kid_of, log_in
from tests.live.traffic import loses_sockets
from tests.live.verifying import VerifyOnlySite, whoami
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example, loses_sockets, pytest.mark.timeout(600)]

RecordProperty = Callable[[str, object], None]

KEY_SET = "/.well-known/jwks.json"

#: The service's interval, in seconds. With the default it would be minutes of waiting.
FAST = ("from datetime import timedelta", "JWT_AUTH_KEY_RELOAD_INTERVAL = timedelta(seconds=1)")

OUTAGE = 10.0
STORM = 10_000

PAGE = ROOT / "docs/how-to/verify-only.md"

logger = logging.getLogger(__name__)


@pytest.fixture
def issuer_site(site: Site, tmp_path: Path) -> Site:
    """The example project with keys that a test may change; its log has every request."""
    own = copy_keys(site, tmp_path / "keys")
    return replace(own, folder=tmp_path).using(GUNICORN_CMD_ARGS="--access-logfile -")


@pytest.fixture
def issuer(issuer_site: Site) -> Iterator[Server]:
    with issuer_site.serve() as server:
        yield server


def fetches(issuer: Server) -> int:
    return issuer.read_log().count(f"GET {KEY_SET} ")


def token_of(issuer: Server) -> str:
    with issuer.session() as client:
        return log_in(client)


@contextmanager
def traffic(service: Server, tokens: list[str]) -> Iterator[Counter[int]]:
    """Present every token again and again, over four connections; count the answers' statuses."""
    statuses: Counter[int] = Counter()
    stopped = Event()

    def present() -> None:
        with service.session() as client:
            while not stopped.is_set():
                for token in list(tokens):
                    statuses[whoami(client, token)] += 1
                time.sleep(0.005)

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(present) for _ in range(4)]
        try:
            yield statuses
        finally:
            stopped.set()
            for each in clients:
                each.result()


def test_service_lives_through_rotation_outage_and_emergency(
    issuer: Server, issuer_site: Site, tmp_path: Path, record_property: RecordProperty
) -> None:
    """No token is refused until a key is withdrawn, and then within the interval."""
    site = VerifyOnlySite.create(tmp_path / "one", issuer_site, issuer.address + KEY_SET, *FAST)
    assert site.manage("check", "--deploy").returncode == 0
    with site.serve() as service:
        tokens = [token_of(issuer)]
        with traffic(service, tokens) as statuses:
            wait_until(lambda: statuses[200] > 100, "the first tokens are good")
            rotate(issuer, issuer_site, service)
            wait_until(lambda: kid_of(token_of(issuer)) != kid_of(tokens[0]), "the next key signs")
            tokens += [token_of(issuer) for _ in range(4)]
            live_on(statuses)
            after_rotation = dict(statuses)

            down_at = time.monotonic()
            os.killpg(issuer.process.pid, signal.SIGSTOP)  # it accepts connections, and is silent
            wait_until(lambda: "could not be reloaded" in service.read_log(), "the log tells it")
            live_on(statuses)
            time.sleep(max(0.0, OUTAGE - (time.monotonic() - down_at)))
            os.killpg(issuer.process.pid, signal.SIGCONT)
            wait_until(lambda: "was loaded from" in service.read_log(), "the issuer is back")
            live_on(statuses)
            after_outage = dict(statuses)

        stolen = kid_of(token_of(issuer))
        victims = [token for token in tokens if kid_of(token) == stolen]
        issuer_site.manage("rotate_keys", "--compromised", stolen, "--yes")
        took = until(lambda: set(ask_all(service, victims[0])) == {401})
        fresh = token_of(issuer)
        wait_until(lambda: set(ask_all(service, fresh)) == {200}, "the new key is known")

    figures = {
        "after the rotation": after_rotation,
        "after the outage": after_outage,
        "seconds until a withdrawn key was refused": round(took, 2),
        "fetches": fetches(issuer),
    }
    report(record_property, figures)
    assert after_outage.keys() == {200}, service.errors()
    # The issuer's interval, the service's, and the slack of a busy machine.
    assert took < 30


def rotate(issuer: Server, site: Site, service: Server) -> None:
    """Rotate as planned, and have the ten minutes until the next key signs pass."""
    site.manage("rotate_keys")
    store = FileKeyStore(PATH=folder_of(site))
    ring = store.load()
    new = ring.keys[-1].kid
    wait_until(lambda: issuer.uses_everywhere(new), "the issuer publishes the next key")
    wait_until(lambda: service.uses_everywhere(new), "the service has the next key")
    moved = tuple(earlier(key, timedelta(minutes=10) - timedelta(seconds=1)) for key in ring.keys)
    store.save(KeyRing(version=ring.version + 1, keys=moved), expected_version=ring.version)


def live_on(statuses: Counter[int]) -> None:
    before = statuses.total()
    wait_until(lambda: statuses.total() > before + 200, "the traffic goes on")


def until(condition: Callable[[], bool]) -> float:
    began = time.monotonic()
    wait_until(condition, "the service follows")
    return time.monotonic() - began


def ask_all(service: Server, token: str) -> list[int]:
    return service.ask_many(lambda client: whoami(client, token))


def report(record_property: RecordProperty, figures: dict[str, object]) -> None:
    for name, value in figures.items():
        record_property(name, str(value))  # pytest-xdist can't send every type
    logger.info("%s", figures)


def test_storm_of_unknown_kids_is_a_handful_of_fetches(
    issuer: Server, issuer_site: Site, tmp_path: Path, record_property: RecordProperty
) -> None:
    """Ten thousand tokens of invented keys, with the default interval. Good ones stay good."""
    site = VerifyOnlySite.create(tmp_path / "one", issuer_site, issuer.address + KEY_SET)
    with site.serve() as service:
        token = token_of(issuer)
        assert set(ask_all(service, token)) == {200}
        before, began = fetches(issuer), time.monotonic()

        def invent(number: int) -> Counter[int]:
            with service.session() as client:
                return Counter(whoami(client, forged(token)) for _ in range(number))

        with ThreadPoolExecutor(8) as pool:
            refused = sum(pool.map(invent, [STORM // 8] * 8), Counter[int]())
        took = time.monotonic() - began
        assert set(ask_all(service, token)) == {200}
        asked = fetches(issuer) - before
    report(record_property, {"refused": refused, "fetches": asked, "seconds": round(took, 1)})
    assert refused == {401: STORM}
    # Of each worker: the first pauses are 1, 2, 4 … seconds, so 12 fill 17 minutes; and a planned
    # one in each half minute.
    assert asked <= service.workers * (12 + took / 30)


def forged(token: str) -> str:
    """A token of an invented key; its signature is never looked at."""
    header = {"alg": "ES256", "typ": "at+jwt", "kid": secrets.token_urlsafe(16)}
    _, payload, signature = token.split(".")
    return f"{base64url_encode(json.dumps(header).encode())}.{payload}.{signature}"


ANSWERS = {
    "huge": Answer(body=b" " * 10_000_000),
    "slow": Answer(body=b" " * 1000, drip=0.05),
    "html": Answer(body=b"<!doctype html><title>Log in</title>"),
    "file": Answer(status=302, headers={"Location": "file:///etc/passwd"}),
    "error": Answer(status=500),
    "private": Answer.json({"keys": [{"kty": "oct", "kid": "1", "alg": "HS256", "k": "AAAA"}]}),
}


def test_copy_stays_in_use_whatever_the_issuer_answers(
    issuer: Server, issuer_site: Site, tmp_path: Path, record_property: RecordProperty
) -> None:
    """Not one good token is refused, and no answer is a 5xx."""

    def relay(request: Request) -> Answer:
        names = ("Accept", "If-None-Match")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        with issuer.session() as client:
            answer = client.get(KEY_SET, headers=headers)
        body = answer.content
        return Answer(
            status=answer.status_code, body=body, headers={"ETag": answer.headers["ETag"]}
        )

    with Service(relay).running() as front:
        key_set = f"http://127.0.0.1:{front.port}{KEY_SET}"
        site = VerifyOnlySite.create(tmp_path / "one", issuer_site, key_set, *FAST)
        with site.serve() as service, traffic(service, [token_of(issuer)]) as statuses:
            for name, front.always in ANSWERS.items():
                end = len(front.requests) + 3
                wait_until(partial(has_been_asked, front, end), f"{name} was seen")
                live_on(statuses)
            front.always = None
            wait_until(lambda: "was loaded from" in service.read_log(), "the issuer is back")
        relayed = Counter("If-None-Match" in request.headers for request in front.requests)
    report(record_property, {"statuses": dict(statuses), "fetches": len(front.requests)})
    assert statuses.keys() == {200}, service.errors()
    assert relayed[True] > relayed[False]


def has_been_asked(front: Service, times: int) -> bool:
    return len(front.requests) > times


def test_service_starts_without_the_issuer_and_recovers(
    issuer_site: Site, tmp_path: Path, record_property: RecordProperty
) -> None:
    """It answers 503 to tokens, and all else as always. Commands say what is wrong."""
    with Service(lambda request: Answer(status=503)).running() as front:
        key_set = f"http://127.0.0.1:{front.port}{KEY_SET}"
        site = VerifyOnlySite.create(tmp_path / "one", issuer_site, key_set, *FAST)
        checked = site.manage("check", "--deploy")
        assert checked.returncode == 1
        assert "jwt_auth.E030" in checked.stderr
        assert "answers with status 503" in site.manage("list_keys").stderr
        assert "run this command at the issuer" in site.manage("rotate_keys").stderr
        with site.serve() as service, issuer_site.serve() as issuer:
            token = token_of(issuer)
            assert set(ask_all(service, token)) == {503}
            assert "The server starts without the issuer's keys" in service.read_log()
            with issuer.session() as client:
                keys = client.get(KEY_SET).json()
            front.always = Answer.json(keys)
            took = until(lambda: set(ask_all(service, token)) == {200})
    report(record_property, {"seconds until the first token was good": round(took, 2)})


def test_page_shows_what_runs_here(site: Site, tmp_path: Path) -> None:
    """It includes the service's files, and its test of the service passes."""
    page = PAGE.read_text()
    for name in ("settings.py", "urls.py"):
        assert f"```{{literalinclude}} recipes/verify-only/{name}" in page
    (test,) = re.findall(r"```python\n(from django.test .*?)```", page, re.DOTALL)
    service = VerifyOnlySite.create(tmp_path / "one", site, f"https://127.0.0.1:9{KEY_SET}")
    (service.folder / "service/tests.py").write_text(test)
    ran = service.manage("test")
    assert ran.returncode == 0, ran.stderr
    assert "Ran 1 test" in ran.stderr
