"""One run: a scratch database with one user, the measurements, the report."""

from __future__ import annotations

import cProfile
import json
import pstats
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection

from benchmarks import report, settings
from benchmarks.contenders import refreshes, requests_to_a_view
from benchmarks.keys import requests_by_ring
from benchmarks.measure import count_statements, interleave
from benchmarks.services import requests_of_services, requests_to_plain_views
from benchmarks.wsgi_client import Client

#: Per round. A refresh writes to the database and takes ten times as long as a request.
REQUESTS, REFRESHES = 50, 10

#: How many requests are profiled, and how many lines of it are shown.
_PROFILED, _LINES = 2000, 45


@contextmanager
def scratch_site() -> Iterator[Any]:
    """Make the database, the keys and a user, and delete them at the end."""
    name = connection.ops.quote_name(str(connection.settings_dict["NAME"]))
    _execute_outside(f"CREATE DATABASE {name}")
    try:
        call_command("migrate", verbosity=0)
        call_command("generate_keys", verbosity=0)
        yield get_user_model().objects.create_user("bench", "bench@example.test")
    finally:
        connection.close()
        _execute_outside(f"DROP DATABASE {name}")
        for folder in (settings.KEYS, f"{settings.KEYS}-many"):
            shutil.rmtree(folder, ignore_errors=True)


def measure(user: Any, *, rounds: int, to: Path | None) -> bool:
    """Run all rounds, show the results and save them; true if all bounds are met."""
    environment = report.environment(rounds=rounds, requests=REQUESTS, refreshes=REFRESHES)
    client = Client(get_wsgi_application())
    views, exchanges = requests_to_a_view(client, user), refreshes(client, user)
    results = {
        "environment": environment,
        "views": report.of_views(
            interleave(views, rounds=rounds, requests=REQUESTS),
            {name: count_statements(run) for name, run in views.items()},
        ),
        "keys": report.of_keys(
            interleave(requests_by_ring(client, user), rounds=rounds, requests=REQUESTS)
        ),
        "refreshes": report.of_refreshes(
            interleave(exchanges, rounds=rounds, requests=REFRESHES),
            {name: count_statements(run) for name, run in exchanges.items()},
        ),
        "services": report.of_services(
            interleave(requests_of_services(client, user), rounds=rounds, requests=REQUESTS)
        ),
        "plain_views": report.of_services(
            interleave(requests_to_plain_views(user), rounds=rounds, requests=REQUESTS)
        ),
    }
    report.show(results)
    if to is not None:
        to.write_text(json.dumps(results))
    return report.is_met(results)


def profile(what: str, user: Any) -> None:
    """Print where one contender spends its time."""
    client = Client(get_wsgi_application())
    views, exchanges = requests_to_a_view(client, user), refreshes(client, user)
    run = exchanges["ours"] if what == "refresh" else views[what]
    run(_PROFILED // 10)
    profiler = cProfile.Profile()
    profiler.runcall(run, _PROFILED)
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(_LINES)


def _execute_outside(statement: str) -> None:
    """Run a statement that can't be run inside the database that it is about."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)
