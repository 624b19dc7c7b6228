"""Each test has a job, and each job runs the tests that its markers ask for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import chain, combinations

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


def test_test_has_a_job_whatever_its_markers() -> None:
    """Those that are not in these expressions change nothing."""
    words = set(re.findall(r"\w+", " ".join(job.tests for job in ALL))) - {"and", "or", "not"}
    possible = chain.from_iterable(combinations(words, size) for size in range(len(words) + 1))
    assert [markers for markers in possible if not names(*markers)] == []


def test_list_counts_tests_and_runs() -> None:
    """Here those of this file, each of which runs once."""
    listed = subprocess.run(
        [sys.executable, "-m", "tests.jobs", "list"],
        cwd=ROOT,
        env=os.environ | {"PYTEST_ADDOPTS": "tests/test_jobs.py"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert re.search(r"^(\d+) tests, \1 runs$", listed.stdout, re.MULTILINE)


def test_test_without_a_job_stops_the_collection(
    item: pytest.Item, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, so that whoever has given it its markers can give it a job."""
    assert [job.name for job in jobs_of(item)] == ["quick"]
    monkeypatch.delattr(item.config, "workerinput", raising=False)
    monkeypatch.setattr(jobs, "ALL", tuple(job for job in ALL if job.name != "quick"))
    with pytest.raises(pytest.UsageError, match=item.name):
        conftest.pytest_collection_modifyitems(item.config, [item])
