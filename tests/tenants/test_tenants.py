"""A token is good only in the database and schema in which its session lives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings
from pytest_django import DjangoDbBlocker

from tests.live.databases import scratch_database
from tests.neighbours.packages import optional
from tests.revocation.redis.servers import RedisServer, running

pytestmark = [pytest.mark.live, pytest.mark.example]

Play = Callable[..., dict[str, Any]]

BACKENDS = ["database", "redis", "stateless"]


@pytest.fixture
def play(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Play]:
    """Run the scenario with a way to keep tenants apart, a backend and so many databases."""
    with ExitStack() as stack:

        def run(settings_module: str, backend: str, *databases: str) -> dict[str, Any]:
            urls = {}
            for variable in databases:
                folder = tmp_path / variable
                folder.mkdir()
                urls[variable] = stack.enter_context(scratch_database(folder, django_db_blocker))
            folder = tmp_path / "redis"
            folder.mkdir()
            server = RedisServer(folder, "--save", "")
            stack.enter_context(running(server))
            environment = {
                **os.environ,
                **urls,
                "DJANGO_SETTINGS_MODULE": settings_module,
                "EXAMPLE_DATA_DIR": str(tmp_path),
                "SECRET_KEY": "only-for-tests-" + "0123456789abcdef" * 4,
                "TENANTS_REDIS_URL": server.url,
            }
            command = [sys.executable, "-m", "tests.tenants.scenario", backend]
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return told

        yield run


def _assert_apart(told: dict[str, Any], backend: str, *, by_schema: bool) -> None:
    """Two users with the key 1 have nothing in common."""
    at_once = 200 if backend == "stateless" else 401
    assert told == {
        "log_in": [200, 200],
        "own": [200, 200, 200],
        "foreign_access_token": [401, 401],
        "foreign_refresh_token": 401,
        "foreign_logout": [204, 200],
        "logout_all_of_other": [204, 200],
        "ended": at_once,
        "denied": [[], ["1"]],
        "read_in_other": "a@example.com",
        "changed_from_other": None if by_schema else ["refused, True"] * 2,
        "after_change": [200, 200],
        "new_devices": ["a@example.com", "b@example.com"],
        "one_time_tokens": [400, 400, 204, 400, 204],
        "links_by_threads": ["a@example.com"],
        "links_by_a_worker": ["a@example.com"] if by_schema else None,
        "guesses": [401, 401, 429],
        "guess_at_other": 401,
        "revoke_all_of_other": 200,
        "revoke_all": at_once,
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_tenants_in_schemas_are_strangers(play: Play, backend: str) -> None:
    """With django-tenants on PostgreSQL, as the page says to set it up."""
    optional("django_tenants")
    if django.VERSION < (6,):
        optional("django_tasks")
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        pytest.skip("django-tenants needs PostgreSQL")
    told = play("tests.tenants.schemas_settings", backend, "DATABASE_URL")
    _assert_apart(told, backend, by_schema=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tenants_in_databases_are_strangers(play: Play, backend: str) -> None:
    """With a router that sends each request to its tenant's database."""
    databases = ("DATABASE_URL", "TENANT_A_URL", "TENANT_B_URL")
    _assert_apart(
        play("tests.tenants.databases_settings", backend, *databases), backend, by_schema=False
    )
