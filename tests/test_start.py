"""The start: a wrong setting stops a server there, not at its first request.

Each test starts a separate process, because Django starts only once in a process.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# The processes run the example project with its own user model and SQLite, whatever the job.
pytestmark = [pytest.mark.example, pytest.mark.smoke]

ROOT = Path(__file__).resolve().parent.parent
WRONG = {"JWT_AUTH_ISSUER": "", "JWT_AUTH_CLOCK_LEEWAY": "soon", "JWT_AUTH_ALGORITHM": "none"}
SERVERS = {
    "wsgi": "from django.core.wsgi import get_wsgi_application as get",
    "asgi": "from django.core.asgi import get_asgi_application as get",
    # As uvicorn imports the application: inside its event loop.
    "asgi in a loop": """
import asyncio
from django.core.asgi import get_asgi_application
async def get_inside():
    return get_asgi_application()
def get():
    return asyncio.run(get_inside())
""",
}
START = "\nprint('started', type(get()).__name__)"
SCRIPT = "import django; django.setup(); print('started')"


class Project:
    """The example project with a separate data folder, which has no keys yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        left_out = ("JWT_AUTH_", "DATABASE_URL", "REDIS_URL", "DJANGO_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        self.environment |= {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "EXAMPLE_DATA_DIR": str(folder),
            "SECRET_KEY": "only-for-tests-" * 5,
            "DEBUG": "0",
            "PYTHONUNBUFFERED": "1",
        }

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def manage(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return self.run("manage.py", *arguments, **settings)

    @contextmanager
    def running(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
        """Run a management command in a separate session, which ends with the block."""
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            os.killpg(process.pid, 15)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without keys."""
    return Project(tmp_path)


@pytest.fixture(scope="module")
def project_with_keys(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with keys, which its tests only read."""
    project = Project(tmp_path_factory.mktemp("project"))
    assert project.manage("generate_keys").returncode == 0
    return project


def _last_line_names(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 1
    assert process.stderr.count("django.core.exceptions.ImproperlyConfigured: ") == 1
    return process.stderr.partition("django.core.exceptions.ImproperlyConfigured: ")[2]


@pytest.mark.parametrize("server", SERVERS)
def test_server_with_wrong_settings_stops_and_lists_every_problem(
    server: str, project: Project
) -> None:
    """One error with all ids, reasons and lines to write."""
    text = _last_line_names(project.run("-c", SERVERS[server] + START, **WRONG))
    assert text.startswith("jwt_auth can't start with 3 problem(s):\n")
    assert re.findall(r"^jwt_auth\.(E\d+): ", text, re.MULTILINE) == ["E001", "E003", "E007"]
    assert text.count("    HINT: Write JWT_AUTH_") == 3
    assert re.findall(r"^    SEE: https://\S+/checks.html#(.+)$", text, re.MULTILINE) == [
        "e001",
        "e003",
        "e007",
    ]


@pytest.mark.parametrize("server", SERVERS)
def test_server_without_keys_stops_and_names_path_and_command(
    server: str, project: Project
) -> None:
    """A server that can't sign could answer no login."""
    text = _last_line_names(project.run("-c", SERVERS[server] + START))
    assert "jwt_auth.E030" in text
    assert str(project.folder / "keys" / "ring.json") in text
    assert "manage.py generate_keys" in text


@pytest.mark.parametrize("server", SERVERS)
def test_server_with_keys_starts(server: str, project_with_keys: Project) -> None:
    process = project_with_keys.run("-c", SERVERS[server] + START)
    assert process.returncode == 0, process.stderr
    assert process.stdout == f"started {server[:4].upper()}Handler\n"


def test_system_without_what_it_needs_is_named(project: Project) -> None:
    """Windows lacks these modules; a traceback that ends in `pwd` does not say what to do."""
    missing = "import sys; sys.modules['pwd'] = sys.modules['fcntl'] = None"
    outcome = project.run("-c", f"{missing}; import django; django.setup()")
    assert "jwt_auth runs on Linux and macOS only: on Windows" in _last_line_names(outcome)


@pytest.mark.parametrize("script", [SCRIPT, "import example_project.wsgi"])
def test_script_with_wrong_settings_stops(script: str, project: Project) -> None:
    """A worker that calls ``django.setup()``, and the file that WSGI servers are pointed at."""
    assert "jwt_auth.E001" in _last_line_names(project.run("-c", script, **WRONG))


def test_script_without_keys_starts(project: Project) -> None:
    """It may have no use for them."""
    process = project.run("-c", SCRIPT)
    assert (process.returncode, process.stdout) == (0, "started\n"), process.stderr


@pytest.mark.parametrize("command", [("manage.py",), ("-m", "django")])
def test_check_reports_wrong_settings(command: tuple[str, ...], project: Project) -> None:
    """The command that is there to explain is not stopped by what it is to explain."""
    process = project.run(*command, "check", **WRONG)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    for number in ("E001", "E003", "E007"):
        assert f"(jwt_auth.{number})" in process.stderr
    assert "HINT: Write JWT_AUTH_ISSUER = " in process.stderr


def test_command_with_wrong_settings_is_stopped_by_its_checks(project: Project) -> None:
    """No key is made for settings that are wrong."""
    process = project.manage("generate_keys", **WRONG)
    assert process.returncode == 1
    assert "SystemCheckError" in process.stderr
    assert "(jwt_auth.E001)" in process.stderr
    assert not (project.folder / "keys").exists()


def test_commands_that_come_before_the_keys_run_without(project: Project) -> None:
    """``migrate`` and ``generate_keys`` are the first commands of a new project.

    They aren't told that tables and keys are missing, which they make.
    """
    for arguments in (("migrate", "--verbosity=0"), ("generate_keys",)):
        process = project.manage(*arguments)
        assert process.returncode == 0, process.stderr
        assert "(jwt_auth." not in process.stderr


def test_development_server_with_wrong_settings_says_why(project: Project) -> None:
    """Without the reloader it ends like any command."""
    process = project.manage("runserver", "--noreload", "0", DEBUG="1", **WRONG)
    assert process.returncode == 1
    assert "(jwt_auth.E001)" in process.stderr
    assert "ImproperlyConfigured" not in process.stderr


def test_development_server_that_reloads_says_why_and_waits(project: Project) -> None:
    """With the reloader it shows the same, and waits for the setting to be mended."""
    with project.running("runserver", "0", DEBUG="1", **WRONG) as process:
        assert process.stdout is not None
        shown = ""
        for line in process.stdout:
            shown += line
            if "(jwt_auth.E007)" in line:
                break
        assert "(jwt_auth.E001)" in shown
        assert "(jwt_auth.E007)" in shown
        assert "ImproperlyConfigured" not in shown
        assert process.poll() is None
