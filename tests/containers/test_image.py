"""The container files at work: built from the wheel, deployed, logged in at, and rotated."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from pytest_django import DjangoDbBlocker

from tests.containers.files import FOLDER, pod_of, program, read_manifests, secret_names
from tests.containers.image import Image, build
from tests.containers.sandbox import as_root, need_sandbox
from tests.jobs import ROOT
from tests.keys.databases import new_kek
from tests.live.databases import scratch_database
from tests.live.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.example]

PASSWORD = "correct horse battery staple"

SETTINGS = """
from datetime import timedelta

INSTALLED_APPS += ["rest_framework", "jwt_auth"]
JWT_AUTH_ISSUER = "https://www.example.com"
JWT_AUTH_AUDIENCE = "example-api"
JWT_AUTH_KEY_RELOAD_INTERVAL = timedelta(seconds=1)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["jwt_auth.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
}
"""

URLS = """
from django.urls import include, path

urlpatterns = [
    path("api/auth/", include("jwt_auth.urls")),
    path(".well-known/", include("jwt_auth.urls.well_known")),
]
"""

#: Makes a user, and has the first key made as if that had been long ago.
PREPARE = f"""
from datetime import UTC, datetime, timedelta
from django.contrib.auth import get_user_model
from jwt_auth.keys import lifecycle
from jwt_auth.keys.stores.base import get_key_store
from jwt_auth.models import StoredKeyRing
get_user_model().objects.create_user("alice", password="{PASSWORD}")
StoredKeyRing.objects.all().delete()
past = datetime.now(UTC) - timedelta(days=91)
lifecycle.make_first(get_key_store(), algorithm="ES256", now=past)
"""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """An image, and what the pods have of it."""

    image: Image
    secrets: dict[str, str]
    folder: Path

    def start(self, container: dict[str, Any], pod: dict[str, Any]) -> subprocess.Popen[bytes]:
        """Start a container of a pod."""
        return self.image.start(
            container,
            uid=pod["securityContext"]["runAsUser"],
            secrets=self.secrets,
            data=self.folder / "data",
            log=self.log(container),
        )

    def log(self, container: dict[str, Any]) -> Path:
        """Say where the container's output goes."""
        path: Path = self.folder / f"{container['name']}.log"
        return path

    def complete(self, name: str) -> str:
        """Run the containers of a Job's or a CronJob's pod until all have ended well."""
        (resource,) = read_manifests(name)
        pod = pod_of(resource)
        running = [(each, self.start(each, pod)) for each in pod["containers"]]
        codes = [process.wait() for _, process in running]
        said = "".join(self.log(each).read_text() for each, _ in running)
        assert set(codes) == {0}, said
        return said

    def shell(self, *command: str) -> str:
        """Run a command as `kubectl exec` does; give its output."""
        pod = pod_of(read_manifests("deployment.yaml")[0])
        container = pod["containers"][0] | {"name": "exec", "command": list(command)}
        self.start(container, pod).wait()
        return self.log(container).read_text()

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Start the Deployment's container; give its address."""
        pod = pod_of(read_manifests("deployment.yaml")[0])
        (container,) = pod["containers"]
        process, log = self.start(container, pod), self.log(container)

        def address() -> str | None:
            assert process.poll() is None, log.read_text()
            found = re.search(r"Listening at: (\S+)", log.read_text())
            return found and found[1]

        try:
            wait_until(address, "gunicorn listens")
            yield str(address())
        finally:
            subprocess.run(as_root("kill", "-KILL", "--", f"-{process.pid}"), check=False)
            process.wait()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image of a new project, in whose folder keys and passwords lie about."""
    need_sandbox()
    folder = tmp_path_factory.mktemp("image")
    context = folder / "context"
    context.mkdir()
    run(sys.executable, "-m", "django", "startproject", "mysite", ".", cwd=context)
    settings = context / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + SETTINGS)
    shutil.copy(FOLDER / "production.py", settings.parent)
    (context / "mysite" / "urls.py").write_text(URLS)
    shutil.copy(FOLDER / "requirements.txt", context)
    for path in (context / "keys" / "ring.json", context / ".env", context / "db.sqlite3"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("private")
    run(program("uv"), "build", "--quiet", "--wheel", "--out-dir", str(folder), cwd=ROOT)
    return build(context, folder / "stages", folder)


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def cluster(image: Image, tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Cluster]:
    """The image with a database and the Secret that the page makes."""
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o777)
    with scratch_database(data, django_db_blocker) as url:
        is_file = urlsplit(url).scheme == "sqlite"
        values = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "JWT_AUTH_KEY_ENCRYPTION_KEYS": new_kek(),
            "DATABASE_URL": "sqlite:////mnt/db.sqlite3" if is_file else url,
        }
        own = {name: values[name] for name in secret_names()}
        yield Cluster(image=image, secrets=own, folder=tmp_path)


def test_image_has_the_wheel_and_nothing_private(image: Image) -> None:
    """Whatever else lies in the project's folder."""
    files = {str(path.relative_to(image.folder)) for path in image.folder.rglob("*")}
    assert any(name.endswith("site-packages/jwt_auth/apps.py") for name in files)
    assert "srv/mysite/static/jwt_auth/client.js" in files
    own = {path.name for path in image.inside("/srv/mysite").iterdir()}
    assert own == {"manage.py", "mysite", "requirements.txt", "static"}


def test_image_keeps_the_permissions_of_the_project(cluster: Cluster) -> None:
    """The page's settings add to those of REST framework."""
    show = "from django.conf import settings; print(settings.REST_FRAMEWORK)"
    said = cluster.shell("python", "manage.py", "shell", "-c", show)
    assert "IsAdminUser" in said
    assert "'NUM_PROXIES': 1" in said


def test_container_can_write_nowhere_and_is_nobody(cluster: Cluster) -> None:
    """The sandbox of these tests, without which they would show nothing."""
    paths = "/tmp /var/tmp /opt/venv /srv/mysite /dev/shm"
    tried = f"for path in {paths}; do if test -w $path; then echo $path; fi; done; id -u"
    assert cluster.shell("sh", "-ec", tried) == "/dev/shm\n10001\n"
    status = cluster.shell("grep", "-E", "NoNewPrivs|CapEff|CapBnd", "/proc/self/status")
    assert re.findall(r":\s+(\S+)", status) == ["0" * 16, "0" * 16, "1"]


def test_site_is_set_up_logs_in_and_rotates_by_its_manifests(cluster: Cluster) -> None:
    """The Job twice, as at two deployments; the CronJob when a rotation is due."""
    assert "It signs at once." in cluster.complete("job.yaml")
    assert cluster.shell("python", "manage.py", "shell", "-c", PREPARE).count("Traceback") == 0
    probe = pod_of(read_manifests("deployment.yaml")[0])["containers"][0]["readinessProbe"]
    headers = {each["name"]: each["value"] for each in probe["httpGet"]["httpHeaders"]}
    with cluster.serve() as address, requests.Session() as client:
        client.trust_env = False
        client.headers.update(headers)

        def kids() -> list[str]:
            answer = client.get(address + probe["httpGet"]["path"])
            assert answer.status_code == 200, answer.text
            return [key["kid"] for key in answer.json()["keys"]]

        (first,) = kids()
        credentials = {"username": "alice", "password": PASSWORD}
        answer = client.post(f"{address}/api/auth/login/", json=credentials)
        assert answer.status_code == 200, answer.text
        said = cluster.complete("cronjob.yaml")
        (made,) = re.findall(r"Key (\S+) \(ES256\) signs from", said)
        wait_until(lambda: kids() == [first, made], "the servers publish the next key")
        again = cluster.complete("job.yaml")
        assert "There is a key ring already" in again
        assert made in again
    lost = cluster.shell("python", "manage.py", "rotate_keys", "--compromised", made, "--yes")
    assert "Ended 1 sessions." in lost
