"""Run the tests once for each database and user model: what `make test` does.

Arguments go to pytest. Environment variables:

DATABASE_URL, REDIS_URL   where a server is that doesn't stand at its usual local address
REQUIRE_ALL=1             a server that is missing is a failure (for continuous integration)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.servers import MARIADB, POSTGRESQL, REDIS, Found, Missing, find_database, find_redis

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".test-results"

SQLITE = "SQLite"
USER_MODELS = ("accounts.User", "auth.User", "users.UUIDKeyUser", "users.StringKeyUser")
# The long ones first: the first of each database, and PostgreSQL's the longest. Those and Django's
# own user model's run everything; the others leave out what uses no database.
ROWS = (
    (POSTGRESQL, "accounts.User"),
    (MARIADB, "accounts.User"),
    (SQLITE, "accounts.User"),
    (SQLITE, "auth.User"),
    (SQLITE, "users.UUIDKeyUser"),
    (SQLITE, "users.StringKeyUser"),
    (POSTGRESQL, "users.UUIDKeyUser"),
    (MARIADB, "auth.User"),
)

# pytest's exit codes that are no failure: all passed; nothing was selected by the given arguments.
_OK, _NOTHING_SELECTED = 0, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of pytest."""

    database: str
    user_model: str
    # Markers of tests that other rows run: servers see little of the user model and browsers little
    # of the database, what is slow runs once, on PostgreSQL where there is one, and what uses no
    # database is the same everywhere.
    left_out: tuple[str, ...]

    @property
    def title(self) -> str:
        """What the row is called on the screen."""
        return f"{self.database}, {self.user_model}"

    @property
    def slug(self) -> str:
        """What the row's files are called."""
        return f"{self.database}-{self.user_model}".lower().replace(".", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many tests ended how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            passed=self.passed + other.passed,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main(arguments: Sequence[str]) -> int:
    """Run all rows that can be run, say which could not, and return the exit code."""
    require_all = os.environ.get("REQUIRE_ALL") == "1"
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir()

    found, missing = _servers()
    rows = _rows({SQLITE, *found})
    # Two at a time: much of a row is waiting, for a database or for a server to start.
    with ThreadPoolExecutor(max_workers=2) as pool:
        outcomes = list(pool.map(lambda row: _run(row, found, arguments), rows))
    total = sum((counts for counts, _ in outcomes), Counts())
    is_good = all(ok for _, ok in outcomes)

    _report_missing(missing)
    if missing and require_all:
        print("REQUIRE_ALL=1: a server that is missing is a failure.")
        is_good = False
    if total == Counts():
        print("No test was selected.")
        is_good = False
    # A part of the tests covers a part of the code; and what failed has to be mended first.
    if is_good and (missing or arguments):
        print("Coverage is judged only where all tests have run on all databases.")
    elif is_good:
        is_good = _covers_everything()
    print(total)
    return 0 if is_good else 1


def _servers() -> tuple[Mapping[str, Found], Mapping[str, Missing]]:
    answers = {kind: find_database(kind) for kind in (POSTGRESQL, MARIADB)} | {REDIS: find_redis()}
    found = {kind: answer for kind, answer in answers.items() if isinstance(answer, Found)}
    missing = {kind: answer for kind, answer in answers.items() if isinstance(answer, Missing)}
    return found, missing


def _rows(databases: Collection[str]) -> list[Row]:
    seen: set[str] = set()
    rows = []
    for database, user_model in ROWS:
        if database in databases:
            first = database not in seen
            runs_slow = first and database == (POSTGRESQL if POSTGRESQL in databases else SQLITE)
            runs_browser = first and database == (MARIADB if MARIADB in databases else SQLITE)
            left_out: tuple[str, ...] = () if first else ("live",)
            left_out += () if runs_browser else ("browser",)
            left_out += () if runs_slow else ("slow",)
            runs_all = first or (database, user_model) == (SQLITE, "auth.User")
            left_out += () if runs_all else ("databaseless",)
            seen.add(database)
            rows.append(Row(database=database, user_model=user_model, left_out=left_out))
    return rows


def _run(row: Row, found: Mapping[str, Found], arguments: Sequence[str]) -> tuple[Counts, bool]:
    started = time.monotonic()
    report, log = RESULTS / f"{row.slug}.xml", RESULTS / f"{row.slug}.log"
    with log.open("w") as output:
        code = subprocess.run(
            _command(row, report, arguments),
            cwd=ROOT,
            env=_environment(row, found),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    counts = _read(report)
    is_good = code == _OK or (code == _NOTHING_SELECTED and bool(arguments))
    if not is_good and not counts.failed:
        counts += Counts(failed=1)  # pytest itself came to grief
    lines = [f"{row.title:<36}{counts}  ({time.monotonic() - started:.0f} s)"]
    if not is_good:
        lines.append(log.read_text(errors="replace"))
    print("\n".join(lines), flush=True)
    return counts, is_good


def _command(row: Row, report: Path, arguments: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "--quiet"]
    command += [f"--junitxml={report}"]
    if row.left_out:
        command += ["-m", " and ".join(f"not {marker}" for marker in row.left_out)]
    return [*command, *arguments]


def _environment(row: Row, found: Mapping[str, Found]) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL"}
        # The machine's own settings of the example are none of the tests' business.
        and not name.startswith("JWT_AUTH_")
    }
    servers = {"DATABASE_URL": row.database, "REDIS_URL": REDIS}
    urls = {name: found[kind].url for name, kind in servers.items() if kind in found}
    own = {
        "TEST_USER_MODEL": row.user_model,
        "COVERAGE_FILE": str(RESULTS / f"{row.slug}.coverage"),
    }
    return inherited | urls | own


def _read(report: Path) -> Counts:
    """Sum up a JUnit report; a row that wrote none has run nothing."""
    if not report.exists():
        return Counts()
    suites = list(ET.parse(report).iter("testsuite"))

    def number(*names: str) -> int:
        return sum(int(suite.get(name, "0")) for suite in suites for name in names)

    failed, skipped = number("failures", "errors"), number("skipped")
    return Counts(passed=number("tests") - failed - skipped, failed=failed, skipped=skipped)


def _report_missing(missing: Mapping[str, Missing]) -> None:
    if not missing:
        return
    print("\nNot run for want of a server:")
    for kind, why in missing.items():
        what = f"{kind} rows" if kind != REDIS else "tests with Redis"
        print(f"  {what}: {why.reason}.\n    To have them run: {why.hint}.")


def _covers_everything() -> bool:
    """Combine what the rows have measured and hold it to the bar: every branch of the package."""
    environment = {**os.environ, "COVERAGE_FILE": str(ROOT / ".coverage")}
    coverage = [sys.executable, "-m", "coverage"]
    data = sorted(str(path) for path in RESULTS.glob("*.coverage*"))
    subprocess.run([*coverage, "combine", "--quiet", "--keep", *data], env=environment, check=True)
    bar = [*coverage, "report", "--include=jwt_auth/*", "--fail-under=100"]
    return subprocess.run(bar, cwd=ROOT, env=environment, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
