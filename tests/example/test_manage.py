"""manage.py of the example project: its defaults, and how a command that fails ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import manage
from tests.jobs import ROOT

pytestmark = [pytest.mark.example, pytest.mark.live]

PLAIN = {"DJANGO_SETTINGS_MODULE": "tests.management.plain_settings", "DEBUG": "1"}
NO_DATABASE = {"DEBUG": "1", "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}


class FreshClone:
    """The project as it was cloned: no variable is set, and there is no data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = kept | {"EXAMPLE_DATA_DIR": str(folder)}

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def spoil_keys(self) -> None:
        """Leave something else in place of the key ring."""
        (self.folder / "keys").mkdir(mode=0o700)
        (self.folder / "keys" / "ring.json").touch(mode=0o600)


@pytest.fixture
def clone(tmp_path: Path) -> FreshClone:
    return FreshClone(tmp_path)


def sentence_of(ended: subprocess.CompletedProcess[str]) -> str:
    """Expect a failure with one sentence, and give that."""
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("command", "variables", "says"),
    [
        ("list_keys", {}, "run `manage.py generate_keys`."),
        ("rotate_keys --nowe", {}, "Unrecognized arguments: --nowe. Run `manage.py rotate_keys"),
        ("clear_expired_tokens", {}, "run `manage.py migrate`. The database said: no such table"),
        ("revoke_tokens --all", NO_DATABASE, "port 1 failed: Connection refused."),
        ("demo --port=x", {}, "Argument --port: invalid int value. Run `manage.py demo --help`."),
        ("check", {"ALLOWED_HOSTS": "x"}, "ImproperlyConfigured: Set the environment variable"),
    ],
)
def test_command_that_fails_says_why_in_one_sentence(
    command: str, variables: Mapping[str, str], says: str, clone: FreshClone
) -> None:
    """On standard error, with exit code 1, and no record or warning around it."""
    ended = clone.run("manage.py", *command.split(), **variables)
    assert says in sentence_of(ended)


@pytest.mark.parametrize(
    "variables",
    [{}, {"SECRET_KEY": "x" * 60}, PLAIN],
    ids=["demo", "production", "default LOGGING"],
)
def test_refused_keys_are_told_without_their_record(
    variables: Mapping[str, str], clone: FreshClone
) -> None:
    """The security log has `key_refused`, a warning, which Python would print without LOGGING."""
    clone.spoil_keys()
    ended = clone.run("manage.py", "list_keys", **variables)
    assert "The key ring is not a JSON document." in sentence_of(ended)


@pytest.mark.parametrize("variables", [{"LOG_LEVEL": "info"}, {"SECRET_KEY": "x" * 60}])
def test_records_of_commands_are_logged(variables: Mapping[str, str], clone: FreshClone) -> None:
    """In production, and in a fresh clone if somebody asks for them."""
    ended = clone.run("manage.py", "generate_keys", **variables)
    assert "INFO jwt_auth.security: key_saved" in ended.stderr


def test_success_on_the_demos_data_is_told(clone: FreshClone) -> None:
    """An operator may have forgotten the server's environment."""
    ended = clone.run("manage.py", "generate_keys")
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert ended.stderr.startswith("(With the demo's data: none of SECRET_KEY, DEBUG,")


def test_traceback_of_wrong_settings_is_shown_on_request(clone: FreshClone) -> None:
    """As by Django's commands."""
    ended = clone.run("manage.py", "check", "--traceback", NUM_PROXIES="x")
    assert "Traceback" in ended.stderr


def test_closed_pipe_is_one_sentence(clone: FreshClone) -> None:
    """Python would print another error when it ends, and exit with 120."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        ended = subprocess.run(
            [sys.executable, "manage.py", "generate_keys"],
            cwd=ROOT,
            env=clone.environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "CommandError: Writing to standard output failed: Broken pipe. Everything else was done."
    ]


def test_python_without_django_says_what_to_run(clone: FreshClone) -> None:
    """As the system's Python in a fresh clone."""
    says = "This Python has no Django: run `make demo`, then `.venv/bin/python manage.py ...`."
    assert sentence_of(clone.run("-S", "manage.py", "check")) == says


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_server_without_secret_key_is_refused(server: str, clone: FreshClone) -> None:
    """The demo's values are for commands only."""
    ended = clone.run("-c", f"import example_project.{server}")
    assert ended.returncode == 1
    assert "ImproperlyConfigured: Set the environment variable SECRET_KEY" in ended.stderr


EXAMPLE = {"DJANGO_SETTINGS_MODULE": manage.SETTINGS}
DEMO = EXAMPLE | manage.DEMO_DEFAULTS
QUIET = {"LOG_LEVEL": "CRITICAL"}


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        ("check", {}, DEMO | QUIET),
        ("check", EXAMPLE, DEMO | QUIET),
        ("demo", {}, DEMO),
        ("runserver", {}, DEMO),
        ("check", {"JWT_AUTH_KEY_RELOAD_INTERVAL": "9", "LOG_LEVEL": "INFO"}, DEMO),
        ("check", {"SECRET_KEY": "x"}, EXAMPLE),
        ("check", {"SECRET_KEY": "", "DATABASE_URL": ""}, DEMO | QUIET),
        ("demo", {"SECRET_KEY": "x"}, EXAMPLE),
        ("check", {"DEBUG": "0"}, EXAMPLE),
        ("runserver", {"ALLOWED_HOSTS": "www.example.com"}, EXAMPLE),
        ("demo", {"DATABASE_URL": "postgres://db/shop"}, EXAMPLE),
        ("check", {"DJANGO_SETTINGS_MODULE": "tests.settings"}, {}),
        ("check --settings tests.settings", {}, EXAMPLE),
        ("check --settings=tests.settings", {}, EXAMPLE),
    ],
)
def test_defaults_are_for_the_example_without_variables(
    command: str,
    before: dict[str, str],
    after: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is set stays, a server keeps its log, and production has no defaults."""
    environment = dict(before)
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(sys, "argv", ["manage.py", *command.split()])
    manage.set_defaults()
    assert environment == after | before
