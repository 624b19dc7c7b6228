"""The stage, which all tests of a run share, and the table at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.chaos.report import lines_of
from tests.chaos.stage import Stage, set_up
from tests.live.databases import scratch_database


@pytest.fixture(scope="session")
def stage(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Stage]:
    """Two servers with a database, keys, a Redis and a proxy of their own."""
    folder = tmp_path_factory.mktemp("chaos")
    folder.chmod(0o700)
    with scratch_database(folder, django_db_blocker) as database, set_up(folder, database) as stage:
        yield stage


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    if lines := lines_of(terminalreporter):
        terminalreporter.section("Redis disturbed")
        for line in lines:
            terminalreporter.write_line(line)
