"""The jobs that run the tests: `python -m tests.jobs quick`, `all`, `product` or `list`.

A test runs once. It runs again on another database or with another user model only if its markers
say that this can change its outcome. Further arguments go to pytest. Environment variables:

DATABASE_URL    a server that is not at its usual local address
REQUIRE_ALL=1   a test that is left out for want of a server or a program is a failure
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from xml.etree import ElementTree as ET

import pytest

from tests.servers import DATABASES, MARIADB, POSTGRESQL, SQLITE, Found, Missing, find_database

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".test-results"
USER_MODELS = ("accounts.User", "auth.User", "users.UUIDKeyUser", "users.StringKeyUser")

# pytest's exit code where its arguments have selected none of the job's tests.
_NOTHING_SELECTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of pytest."""

    name: str
    #: Which tests it runs: an expression of markers, for pytest's `-m`.
    tests: str
    #: It runs on the first of these that is found.
    databases: tuple[str, ...] = (SQLITE,)
    user_model: str = USER_MODELS[0]
    #: The browser that its tests drive, if they drive one.
    engine: str = "chromium"
    #: Whether it measures coverage, which slows it down. Together such jobs reach every branch.
    is_measured: bool = False

    def runs(self, markers: Collection[str]) -> bool:
        """Tell whether it runs a test with these markers: `-m` means what Python would."""
        code = _compiled(self.tests)
        return bool(eval(code, {"__builtins__": {}}, _Markers.fromkeys(markers, True)))


@cache
def _compiled(expression: str) -> CodeType:
    return compile(expression, "<markers>", "eval")


class _Markers(dict[str, bool]):
    def __missing__(self, name: str) -> bool:
        return False


def _other_users(user_model: str, database: str, *, is_measured: bool = False) -> Job:
    return Job(
        name=user_model,
        tests="user_model and not (live or browser or example)",
        databases=(database,) if database == SQLITE else (database, SQLITE),
        user_model=user_model,
        is_measured=is_measured,
    )


_IN_PROCESS = "not (redis or remote or live or browser)"
_ANY = (POSTGRESQL, SQLITE)
_WEBKIT = Job(name="webkit", tests="engines", databases=_ANY, engine="webkit")

QUICK = (Job(name="quick", tests=_IN_PROCESS, is_measured=True),)
ALL = (
    *QUICK,
    Job(
        name="postgresql", tests=f"sql and {_IN_PROCESS}", databases=(POSTGRESQL,), is_measured=True
    ),
    Job(
        name="mariadb",
        tests="sql and not (live or browser)",
        databases=(MARIADB,),
        is_measured=True,
    ),
    # Each on another database, because how a user's key is stored depends on both.
    _other_users("auth.User", MARIADB),
    _other_users("users.UUIDKeyUser", POSTGRESQL, is_measured=True),
    _other_users("users.StringKeyUser", SQLITE, is_measured=True),
    Job(name="redis", tests="redis and not (live or browser)", databases=_ANY, is_measured=True),
    Job(name="remote", tests="remote and not (live or browser)", is_measured=True),
    Job(name="live", tests="live and not browser", databases=_ANY),
    Job(name="browser", tests="browser", databases=_ANY),
    # What can differ between engines.
    Job(name="firefox", tests="engines", databases=_ANY, engine="firefox"),
    _WEBKIT,
)
#: Every test on every database with every user model and in each browser, in its long form.
PRODUCT = (
    *(
        Job(name=f"{database}-{user_model}", tests="", databases=(database,), user_model=user_model)
        for database in DATABASES
        for user_model in USER_MODELS
    ),
    Job(name="firefox", tests="browser and not chromium", databases=_ANY, engine="firefox"),
    _WEBKIT,
)
SETS = {"quick": QUICK, "all": ALL, "product": PRODUCT}


def jobs_of(item: pytest.Item) -> list[Job]:
    """List the jobs of `make test-all` that run a test."""
    markers = {marker.name for marker in item.iter_markers()}
    return [job for job in ALL if job.runs(markers)]


def main(arguments: Sequence[str]) -> int:
    """Do what the first argument says, and return the exit code."""
    name, *rest = arguments
    return _list() if name == "list" else _run_all(name, rest)


class _Lister:
    """Counts tests. That each of them has a job is checked wherever tests are collected."""

    def __init__(self) -> None:
        self.tests = 0
        self.runs: Counter[str] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.tests = len(session.items)
        for item in session.items:
            self.runs.update(job.name for job in jobs_of(item))


def _list() -> int:
    lister = _Lister()
    with contextlib.redirect_stdout(io.StringIO()) as said:  # a line for each file, else
        code = pytest.main(["--collect-only", "-qq"], plugins=[lister])
    if code:
        print(said.getvalue())
        return code
    for job in ALL:
        where = f"{' or '.join(job.databases)}, {job.user_model}"
        print(f"{job.name:<20} {lister.runs[job.name]:>5}  {where:<38} {job.tests}")
    print(f"{lister.tests} tests, {lister.runs.total()} runs")
    return code


def _run_all(name: str, arguments: Sequence[str]) -> int:
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir()
    servers = {kind: find_database(kind) for kind in DATABASES}
    urls = {kind: server.url for kind, server in servers.items() if isinstance(server, Found)}
    results = [
        _run(job, urls, arguments, of=name)
        for job in SETS[name]
        if not urls.keys().isdisjoint(job.databases)
    ]
    is_good = all(results)
    if name == "quick":
        print("\nNot run: tests of servers, browsers, other databases and other user models.")
        print("`make test-all` runs those that this machine has the servers for.")
    else:
        is_good = _report_missing(servers) and is_good
    # Some of the tests cover some of the code, and failures come first.
    if is_good and name == "all" and os.environ.get("REQUIRE_ALL") == "1" and not arguments:
        is_good = _is_covered()
    print(_counts())
    return 0 if is_good else 1


def _run(job: Job, urls: Mapping[str, str], arguments: Sequence[str], *, of: str) -> bool:
    database = next(each for each in job.databases if each in urls)
    print(f"\n{job.name}: {database}, {job.user_model}, -m {job.tests!r}", flush=True)
    inherited = {
        name: value
        for name, value in os.environ.items()
        # The machine's own settings of the example are not for the tests.
        if name not in {"DATABASE_URL", "REDIS_URL"} and not name.startswith("JWT_AUTH_")
    }
    own = {
        "DATABASE_URL": urls[database],
        "TEST_USER_MODEL": job.user_model,
        "TEST_ENGINE": job.engine,
        "TEST_LENGTH": "long" if of == "product" else "short",
        "COVERAGE_FILE": str(RESULTS / f"{job.name}.coverage"),
    }
    measuring = ["coverage", "run", "-m"] if of == "all" and job.is_measured else []
    command = [
        *(sys.executable, "-m", *measuring, "pytest", "--quiet", "-m", job.tests),
        # A file stays in one process, so that what its tests share is made once.
        *("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile"),
        *(f"--junitxml={RESULTS / job.name}.xml", *arguments),
    ]
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=inherited | own, check=False).returncode
    print(f"{job.name}: {time.monotonic() - started:.0f} s", flush=True)
    return code == 0 or (code == _NOTHING_SELECTED and bool(arguments))


def _report_missing(servers: Mapping[str, Found | Missing]) -> bool:
    """Say what was left out for want of a server or a program; tell whether that is all right."""
    missing = {kind: server for kind, server in servers.items() if isinstance(server, Missing)}
    for kind, server in missing.items():
        print(f"\nNot tested on {kind}: {server.reason}.\n  To have it tested: {server.hint}.")
    return not missing or os.environ.get("REQUIRE_ALL") != "1"


def _is_covered() -> bool:
    """Combine what the jobs have measured. Every branch of the package has to be covered."""
    environment = {**os.environ, "COVERAGE_FILE": str(ROOT / ".coverage")}
    coverage = [sys.executable, "-m", "coverage"]
    data = sorted(str(path) for path in RESULTS.glob("*.coverage*"))
    subprocess.run([*coverage, "combine", "--quiet", "--keep", *data], env=environment, check=True)
    report = [*coverage, "report", "--fail-under=100"]
    return subprocess.run(report, cwd=ROOT, env=environment, check=False).returncode == 0


def _counts() -> str:
    """Sum up the jobs' reports in the words that pytest uses."""
    suites = [suite for path in RESULTS.glob("*.xml") for suite in ET.parse(path).iter("testsuite")]

    def number(*names: str) -> int:
        return sum(int(suite.get(name, "0")) for suite in suites for name in names)

    failed, skipped = number("failures", "errors"), number("skipped")
    return f"{number('tests') - failed - skipped} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
