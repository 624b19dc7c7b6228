"""The key ring in the database, as it is deployed: gunicorn, and commands of several nodes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from pytest_django import DjangoDbBlocker

from jwt_auth.models import StoredKeyRing
from tests.keys.databases import VARIABLE, new_kek
from tests.live.databases import dump, run_sql, scratch_database
from tests.live.site import COMMAND_TIMEOUT, PASSWORD, ROOT, START_TIMEOUT, Site
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

STORE = json.dumps({"BACKEND": "jwt_auth.keys.stores.database.DatabaseKeyStore"})
PAUSING = json.dumps({"BACKEND": "tests.keys.stores.PausingDatabaseKeyStore"})
RING = StoredKeyRing._meta.db_table
NODES = 3

_IN_AN_EVENT_LOOP = """
import asyncio
async def main():
    from django.core.asgi import get_asgi_application as get; get()
asyncio.run(main())
"""

#: Has the first key made as if that had been long ago.
_MAKE_OLD_KEY = """
from datetime import UTC, datetime, timedelta
from jwt_auth.keys import lifecycle
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.models import StoredKeyRing
StoredKeyRing.objects.all().delete()
past = datetime.now(UTC) - timedelta(days=91)
lifecycle.make_first(get_key_store(), algorithm="ES256", now=past)
"""


@pytest.fixture(scope="module")
def first_site(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Site]:
    """A site whose keys are in its database; a warning is an error to it."""
    folder = tmp_path_factory.mktemp("database-keys")
    folder.chmod(0o700)
    settings = {
        "JWT_AUTH_KEY_STORE": STORE,
        VARIABLE: new_kek(),
        "PYTHONWARNINGS": "error::RuntimeWarning",
    }
    with scratch_database(folder, django_db_blocker) as database:
        site = Site.create(folder, database, "alice", **settings)
        run_sql(database, django_db_blocker, f"CREATE TABLE first_ring AS SELECT * FROM {RING}")
        yield site


@pytest.fixture
def site(first_site: Site, django_db_blocker: DjangoDbBlocker) -> Site:
    """That site with the ring that it had at first, whatever the test before has made of it."""
    run_sql(
        first_site.database,
        django_db_blocker,
        f"DELETE FROM {RING}",
        f"INSERT INTO {RING} SELECT * FROM first_ring",
    )
    return first_site


def kids(site: Site) -> list[str]:
    return [row["kid"] for row in json.loads(site.manage("list_keys", "--format", "json"))]


def published_kids(client: requests.Session) -> list[str]:
    return [key["kid"] for key in client.get("/.well-known/jwks.json").json()["keys"]]


@pytest.mark.parametrize("preload", [False, True])
def test_gunicorn_signs_with_keys_from_the_database(
    site: Site, preload: bool, django_db_blocker: DjangoDbBlocker
) -> None:
    """From its first request, also where it forks after it has read them; a rotation and a new
    key-encryption key are followed without a restart, and the database holds nothing private.
    """
    if preload:
        site = site.using(GUNICORN_CMD_ARGS="--preload")
    credentials = {"username": "alice", "password": PASSWORD}
    with site.serve() as server, server.session() as client:
        (former,) = published_kids(client)
        client.headers["Connection"] = "close"
        for _ in range(8):  # both workers
            assert client.post("/api/auth/login/", json=credentials).status_code == 200
        site.manage("rotate_keys", "--now")
        both = kids(site)
        assert former in both
        wait_until(lambda: published_kids(client) == both, "the rotation is followed")
        renewed = site.using(**{VARIABLE: f"{new_kek()},{site.settings[VARIABLE]}"})
        assert "was encrypted under" in renewed.manage("rewrap_keys")
        assert "RuntimeWarning" not in server.read_log()
    with replace(renewed, workers=1).serve() as server, server.session() as client:
        assert published_kids(client) == both
    values = [str(value) for value in dump(site.database, django_db_blocker)]
    assert any(former in value for value in values)
    assert not any('"d"' in value for value in values)


@pytest.mark.parametrize(
    "start",
    [
        "from django.core.wsgi import get_wsgi_application as get; get()",
        "from django.core.asgi import get_asgi_application as get; get()",
        # As uvicorn imports the application: inside its event loop.
        _IN_AN_EVENT_LOOP,
    ],
)
def test_start_leaves_no_connection_to_be_shared_by_forks(site: Site, start: str) -> None:
    """A server may fork once its start is over, as gunicorn does with `--preload`."""
    script = (
        f"{start}\n"
        "from django.db import connections\n"
        "print([c for c in connections.all(initialized_only=True) if c.connection])"
    )
    environment = site.environment
    done = run_python(script, environment)
    assert done.stdout == "[]\n"
    # Nothing but the record of the load: no warning, and nothing that was left open.
    (record,) = done.stderr.splitlines()
    assert "jwt_auth.security: key_loaded" in record
    unreadable = run_python(script, environment | {VARIABLE: new_kek()})
    assert "jwt_auth.E030" in unreadable.stderr  # so it was read


def run_python(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT,
        check=False,
    )


def test_server_that_cannot_read_its_keys_does_not_start(site: Site) -> None:
    """It says which table and which variable, and the line to write."""
    for wrong, reason in (
        (site.using(**{VARIABLE: ""}), f"{VARIABLE} is not set"),
        (site.using(**{VARIABLE: new_kek()}), "put that one back"),
        (site.using(**{VARIABLE: "aHVudGVyMg=="}), "has 7 bytes instead of 32"),
    ):
        with replace(wrong, workers=1).start() as server:
            assert server.process.wait(START_TIMEOUT) != 0
        said = server.read_log()
        assert reason in said
        assert "jwt_auth can't start with 1 problem(s)" in said
        assert "aHVu" not in said


def test_server_without_tables_says_to_migrate(
    site: Site, tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    """At the start, and so do the commands."""
    folder = tmp_path / "empty"
    folder.mkdir()
    with scratch_database(folder, django_db_blocker) as database:
        empty = replace(site, workers=1).using(DATABASE_URL=database)
        with empty.start() as server:
            assert server.process.wait(START_TIMEOUT) != 0
        assert "jwt_auth.E030" in server.read_log()
        assert "run `manage.py migrate`" in server.read_log()


def test_nodes_that_find_a_rotation_due_rotate_once(site: Site) -> None:
    """All have loaded the ring when the first one saves; all end well."""
    site.manage("shell", "-c", _MAKE_OLD_KEY)
    nodes = [
        subprocess.Popen(
            [sys.executable, "manage.py", "rotate_keys", "--if-due", "--skip-checks"],
            cwd=ROOT,
            env=site.using(JWT_AUTH_KEY_STORE=PAUSING).environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(NODES)
    ]
    for node in nodes:
        assert node.stdout is not None
        assert node.stdout.readline() == "loaded\n"
    for node in nodes:
        assert node.stdin is not None
        node.stdin.write("\n")
        node.stdin.flush()  # all at once, before any is waited for
    outputs = [node.communicate(timeout=COMMAND_TIMEOUT)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0] * NODES, outputs
    assert sum("Nothing was changed" in output for output in outputs) == NODES - 1
    assert len(kids(site)) == 2
