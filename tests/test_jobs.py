"""Each test has a job, and each job runs the tests that its markers ask for."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests import conftest, jobs
from tests.jobs import ALL, ROOT, jobs_of


@pytest.fixture
def item(request: pytest.FixtureRequest) -> pytest.Item:
    """The test itself, as pytest has collected it."""
    item: pytest.Item = request.node
    return item


def names(*markers: str) -> list[str]:
    return [job.name for job in ALL if job.runs(markers)]


def test_test_without_markers_runs_once() -> None:
    """In the job that needs no server."""
    assert names() == names("smoke", "example", "parametrize") == ["quick"]


@pytest.mark.parametrize("marker", ["redis", "remote", "live"])
def test_test_with_servers_runs_in_their_job(marker: str) -> None:
    """`make test` needs none of them."""
    assert names(marker) == [marker]


def test_test_with_a_browser_runs_in_others_if_they_can_differ() -> None:
    """By night, Firefox runs nearly all of them."""
    assert names("browser") == names("browser", "chromium") == ["browser"]
    assert names("browser", "engines") == ["browser", "firefox", "webkit"]


def test_marker_of_an_axis_adds_jobs() -> None:
    """One for each other database, one for each other user model."""
    assert names("sql") == ["quick", "postgresql", "mariadb"]
    assert names("user_model") == ["quick", *jobs.USER_MODELS[1:]]


def test_every_test_has_a_job() -> None:
    """The list of jobs names those that have none."""
    command = [sys.executable, "-m", "tests.jobs", "list"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert re.search(r"^\d+ tests, \d+ runs$", listed.stdout, re.MULTILINE)


def test_test_without_a_job_stops_the_collection(
    item: pytest.Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, so that whoever has given it its markers can give it a job."""
    assert [job.name for job in jobs_of(item)] == ["quick"]
    monkeypatch.delattr(item.config, "workerinput", raising=False)
    monkeypatch.setattr(jobs, "ALL", tuple(job for job in ALL if job.name != "quick"))
    with pytest.raises(pytest.UsageError, match=item.name):
        conftest.pytest_collection_modifyitems(item.config, [item])
