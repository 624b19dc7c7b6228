"""A project's tests in several processes, by the commands that the project runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import django
import pytest

# The project is another one than the example, with SQLite, whatever the job.
pytestmark = [pytest.mark.example, pytest.mark.smoke]

ROOT = Path(__file__).resolve().parents[2]

#: Those that Django's runner has for `test --parallel`.
START_METHODS = ["fork", "spawn", *(["forkserver"] if django.VERSION >= (6, 1) else [])]

FILES = {
    "manage.py": """
import multiprocessing
import os

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    multiprocessing.set_start_method(os.environ["START_METHOD"])
    execute_from_command_line()
""",
    "project_settings.py": """
SECRET_KEY = "only-for-tests-" * 5
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "jwt_auth"]
ROOT_URLCONF = "project_urls"
STATIC_URL = "static/"
USE_TZ = True
JWT_AUTH_ISSUER = "https://api.example.com"
JWT_AUTH_AUDIENCE = "example-api"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwt_auth.authentication.JWTAuthentication"],
}
""",
    "settings_for_tests.py": """
from project_settings import *

JWT_AUTH_KEY_STORE = {"BACKEND": "jwt_auth.testing.MemoryKeyStore"}
""",
    "project_urls.py": """
from django.urls import include, path

urlpatterns = [path("api/auth/", include("jwt_auth.urls"))]
""",
    # A test waits for the other process, so that two of them take part however fast one is.
    "meeting.py": """
import os
import time
from pathlib import Path


def meet():
    met = Path(os.environ["MEETING"])
    met.joinpath(str(os.getpid())).touch()
    end = time.monotonic() + 120
    while len(list(met.iterdir())) < 2:
        assert time.monotonic() < end, "no second process"
        time.sleep(0.01)
""",
    "by_mixin.py": """
from django.contrib.auth.models import User
from jwt_auth.conf import conf
from jwt_auth.testing import JWTAuthMixin
from meeting import meet
from rest_framework.test import APITestCase


class MixinTests(JWTAuthMixin, APITestCase):
    def test_client(self):
        meet()
        self.log_in(User.objects.create_user("alice"))
        self.assertEqual(self.client.get("/api/auth/me/").status_code, 200)
        self.assertEqual(set(conf.throttle_rates.values()), {None})
""",
    "by_settings.py": """
from urllib.request import Request, urlopen

from django.contrib.auth.models import User
from django.test import LiveServerTestCase, TestCase
from jwt_auth.testing import access_token_for, api_client_for
from meeting import meet


class SettingsTests(TestCase):
    def test_client(self):
        meet()
        client = api_client_for(User.objects.create_user("alice"))
        self.assertEqual(client.get("/api/auth/me/").status_code, 200)


class ServerTests(LiveServerTestCase):
    def test_server(self):
        token = access_token_for(User.objects.create_user("alice"))
        url = f"{self.live_server_url}/api/auth/me/"
        with urlopen(Request(url, headers={"Authorization": f"Bearer {token}"})) as answer:
            self.assertEqual(answer.status, 200)
""",
    # The plugin is imported before Django is set up.
    "pytest.ini": """
[pytest]
addopts = -p jwt_auth.contrib.pytest
filterwarnings = error
pythonpath = .
""",
    "test_client.py": """
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from jwt_auth.conf import conf
from meeting import meet


@pytest.mark.django_db
def test_client(api_client_for):
    meet()
    client = api_client_for(User.objects.create_user("alice"))
    assert client.get("/api/auth/me/").status_code == 200
    assert set(conf.throttle_rates.values()) == {None}
""",
    "test_token.py": """
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from jwt_auth.keys import cache
from meeting import meet


@pytest.mark.django_db
def test_token(client, access_token_for):
    meet()
    token = access_token_for(User.objects.create_user("alice"))
    answer = client.get("/api/auth/me/", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("time", ["first", "second"])
def test_rotation_lasts_for_one_test(time):
    assert cache.get_ring().version == 1
    call_command("rotate_keys", "--now", verbosity=0)
    assert cache.get_ring().version > 1
""",
}


class Project:
    """A small project in a folder, and empty folders for temporary files and for a user's data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, text in FILES.items():
            folder.joinpath(name).write_text(text)
        for name in ("meeting", "temporary", "home"):
            folder.joinpath(name).mkdir()

    def run(
        self, *arguments: str, folder: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Python with nothing of the settings of this process's own tests."""
        left_out = ("DJANGO_", "JWT_AUTH_", "PYTEST_", "XDG_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(left_out)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder or self.folder,
            env={
                **inherited,
                "DJANGO_SETTINGS_MODULE": "settings_for_tests",
                "HOME": str(self.folder / "home"),
                "MEETING": str(self.folder / "meeting"),
                "TMPDIR": str(self.folder / "temporary"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def left_behind(self) -> list[str]:
        """Name what lies in the temporary folder and in the user's data."""
        folders = [self.folder / "temporary", self.folder / "home"]
        return [str(path) for folder in folders for path in folder.rglob("*")]

    def count_processes(self) -> int:
        """Say in how many processes the tests have run."""
        return len(list(self.folder.joinpath("meeting").iterdir()))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without keys."""
    return Project(tmp_path)


@pytest.mark.live
@pytest.mark.parametrize("start_method", START_METHODS)
def test_parallel_tests_of_django_pass_and_leave_nothing(
    project: Project, start_method: str
) -> None:
    """In both processes there are keys, although no command has made any."""
    command = ["manage.py", "test", "--parallel=2", "by_mixin", "by_settings"]
    done = project.run("-W", "error", *command, START_METHOD=start_method)
    assert done.returncode == 0, done.stderr
    assert "Ran 3 tests" in done.stderr
    assert "WARNINGS" not in done.stderr
    assert project.count_processes() == 2
    assert project.left_behind() == []


def test_tests_of_pytest_in_two_processes_pass_and_leave_nothing(project: Project) -> None:
    """The plugin names the store in memory, whatever the settings say."""
    folder = project.folder
    done = project.run(
        *("-m", "pytest", "-n2", "--dist=loadfile", "-c", str(folder / "pytest.ini"), str(folder)),
        # pytest keeps these two.
        *("-p", "no:cacheprovider", f"--basetemp={folder / 'kept'}"),
        folder=ROOT,  # where the coverage of the plugin is measured
        DJANGO_SETTINGS_MODULE="project_settings",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    assert project.count_processes() == 2
    assert project.left_behind() == []


@pytest.mark.live
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_server_with_keys_in_memory_does_not_start(project: Project, kind: str) -> None:
    """Its processes would refuse each other's tokens; the error gives the line to write."""
    done = project.run("-c", f"from django.core.{kind} import *; get_{kind}_application()")
    assert done.returncode == 1
    assert "jwt_auth.E078" in done.stderr
    assert "Write JWT_AUTH_KEY_STORE = " in done.stderr


def blocks_of_the_page() -> tuple[str, str, str, str]:
    """The test case, the settings, the `conftest.py` and the test of pytest on the page."""
    page = ROOT.joinpath("docs", "how-to", "testing.md").read_text()
    case, settings, conftest, test, *_ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    return case, settings, conftest, test


def test_page_makes_a_test_of_django_pass(project: Project) -> None:
    """With the mixin, in a project whose settings name no store."""
    case, *_ = blocks_of_the_page()
    project.folder.joinpath("tests.py").write_text(case)
    done = project.run(
        *("manage.py", "test", "tests"),
        DJANGO_SETTINGS_MODULE="project_settings",
        START_METHOD="fork",
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 1 test " in done.stderr


def test_page_makes_a_test_of_pytest_pass(project: Project) -> None:
    """With the settings and the `conftest.py` that the page shows."""
    _case, settings, conftest, test = blocks_of_the_page()
    for name, text in (
        ("settings_for_tests.py", settings.replace("mysite.settings", "project_settings")),
        ("conftest.py", conftest),
        ("pytest.ini", "[pytest]"),
        ("test_page.py", test),
    ):
        project.folder.joinpath(name).write_text(text)
    done = project.run("-m", "pytest", "test_page.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
