"""A site with a page for tests, a browser, and devices with users of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_django import DjangoDbBlocker

from tests import mailbox as mailboxes
from tests.browser import webkit
from tests.browser.devices import PATIENCE, Device, Stage
from tests.browser.engines import ENGINE, EXECUTABLE, PACKAGES, start, type_of
from tests.chaos.proxy import Proxy
from tests.live.databases import scratch_database
from tests.live.site import Site
from tests.live.waiting import wait_until
from tests.programs import need

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType

    from tests.browser.person import Person

#: Screens.
PHONE, DESKTOP = (360, 740), (1280, 900)

Meet = Callable[..., "Person"]

#: Of each worker. A browser opens connections ahead of requests; with TLS, each idle one holds one.
THREADS = 128


def leave_out(reason: str) -> None:
    """Leave a test out, or have it fail where everything has to run."""
    if os.environ.get("REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def drivable() -> None:
    """Leave out what drives a browser where that can't be done."""
    if find_spec("playwright") is None:
        leave_out("No browser is driven: install Playwright (pip install playwright).")
    if not os.access(EXECUTABLE, os.X_OK):
        hint = f"Debian: apt install {PACKAGES[ENGINE]}"
        leave_out(f"No browser is driven: {EXECUTABLE} is missing ({hint}).")


@pytest.fixture(scope="session")
def mailbox() -> Iterator[mailboxes.Mailbox]:
    """The mail server of the stage."""
    with mailboxes.serve() as server:
        yield server


@pytest.fixture(scope="session")
def stage(
    drivable: None,
    mailbox: mailboxes.Mailbox,
    tmp_path_factory: pytest.TempPathFactory,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Stage]:
    """The example project over HTTPS, with the tests' page and faults."""
    folder = tmp_path_factory.mktemp("browser")
    folder.chmod(0o700)
    faults = folder / "faults"
    faults.mkdir()
    with scratch_database(folder, django_db_blocker) as database:
        site = replace(Site.create(folder, database), threads=THREADS).using(
            DJANGO_SETTINGS_MODULE="tests.browser.stage.settings",
            ALLOWED_HOSTS="127.0.0.1,.localhost",
            STAGE_FAULTS=str(faults),
            EMAIL_HOST=mailbox.hostname,
            EMAIL_PORT=str(mailbox.port),
            GUNICORN_CMD_ARGS="--preload",  # a killed worker's successor is there at once
        )
        with site.serve() as server:
            yield Stage(site=site, server=server, faults=faults)


@pytest.fixture(scope="module")
def demo(stage: Stage) -> Iterator[str]:
    """The address of the same site with DEBUG on, as `manage.py demo` sets it up."""
    site = stage.site.using(DEBUG="1")
    site.manage("demo", "--no-serve")
    with replace(site, workers=1).serve() as server:
        yield server.address


@pytest.fixture(scope="module")
def prefixed(stage: Stage) -> Iterator[str]:
    """The address of the same site below a prefix, with a throttle."""
    rates = {"login_account": "3/hour", "login_address": None, "refresh": None}
    site = stage.site.using(
        FORCE_SCRIPT_NAME="/below/it",
        SCRIPT_NAME="/below/it",  # gunicorn takes it off, as a proxy would
        JWT_AUTH_THROTTLE_RATES=json.dumps(rates),
    )
    # Attempts are counted in a worker's memory.
    with replace(site, workers=1).start() as server, server.session() as client:

        def is_up() -> bool:
            with suppress(OSError):
                return client.get("/below/it/.well-known/jwks.json").ok
            return False

        wait_until(is_up, f"gunicorn did not come up: {server.log}")
        yield server.address + "/below/it"


@pytest.fixture(scope="module")
def browser_type(drivable: None) -> Iterator[BrowserType]:
    """What starts the engine.

    Not for longer than a module: its event loop would have Django refuse the other tests' queries.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        yield type_of(playwright)


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest, drivable: None) -> Iterator[Any]:
    """A browser of the engine that the job is for."""
    if ENGINE == "webkit":
        with webkit.display() as display:
            yield webkit.Browser(display)
        return
    browser = start(request.getfixturevalue("browser_type"))
    yield browser
    browser.close()


@pytest.fixture
def new_device(stage: Stage, browser: Any) -> Iterator[Callable[..., Device]]:
    """Give devices, each with an empty jar and, unless told, a user of its own."""
    devices: list[Device] = []

    def make(username: str | None = None, at: Stage | None = None, **options: Any) -> Device:
        context = browser.new_context(ignore_https_errors=True, **options)
        context.set_default_timeout(PATIENCE * 1000)
        username = username or stage.make_user()
        devices.append(Device(context=context, stage=at or stage, username=username))
        return devices[-1]

    yield make
    for device in devices:
        device.context.close()
    for switch in stage.faults.iterdir():
        switch.unlink(missing_ok=True)
    assert [error for device in devices for error in device.errors] == []


@pytest.fixture
def device(new_device: Callable[..., Device]) -> Device:
    """A device."""
    return new_device()


@pytest.fixture
def wire(stage: Stage) -> Iterator[Proxy]:
    """A network to the server that can be cut."""
    proxy = Proxy(int(stage.server.address.rpartition(":")[2]))
    yield proxy
    proxy.close()


@pytest.fixture
def wired_device(new_device: Callable[..., Device], stage: Stage, wire: Proxy) -> Device:
    """A device at the far end of that network."""
    server = replace(stage.server, address=f"https://127.0.0.1:{wire.port}")
    return new_device(at=replace(stage, server=server))


@pytest.fixture(scope="session")
def npm() -> str:
    """Npm, for what is judged by the tools of its own world."""
    need("node")
    return need("npm")


@pytest.fixture(scope="module")
def axe(npm: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's source, of the version that package-lock.json pins."""
    folder = tmp_path_factory.mktemp("axe")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).parent / "axe" / name, folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    subprocess.run([npm, "ci", *quiet], cwd=folder, capture_output=True, timeout=250, check=True)
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.fixture
def meet(stage: Stage, browser: Browser, axe: str) -> Iterator[Meet]:
    """Meet people; none of them may have heard an error or a broken policy from their browser."""
    from tests.browser.person import Person

    met: list[Person] = []

    def make(size: Any = DESKTOP, scheme: str = "light", address: str | None = None) -> Person:
        address = address or stage.server.address
        met.append(Person.meet(browser, address, axe, size, scheme))
        return met[-1]

    yield make
    for person in met:
        person.context.close()
    assert [error for person in met for error in person.errors] == []


@pytest.fixture
def name(stage: Stage) -> str:
    """A user of a tenant, whom no other test has."""
    return stage.make_user(tenant="acme")
