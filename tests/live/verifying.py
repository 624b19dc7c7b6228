"""The Django service of docs/how-to/verify-only.md: another process, without database and keys."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.live.certificate import HOST
from tests.live.site import ROOT, Server, Site, bearer, stop
from tests.live.waiting import wait_until

RECIPE = ROOT / "docs/how-to/recipes/verify-only"

#: What the page leaves to each project. The key set shows which keys each worker has.
_SETTINGS = """
SECRET_KEY, ALLOWED_HOSTS, DATABASES = {secret!r}, [{host!r}], {{}}
ROOT_URLCONF, USE_TZ = "service.urls", True
MIDDLEWARE = ["tests.live.workers.name_worker"]
LOGGING = {{
    "version": 1,
    "formatters": {{"line": {{"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}}}},
    "handlers": {{"console": {{"class": "logging.StreamHandler", "formatter": "line"}}}},
    "root": {{"handlers": ["console"], "level": "INFO"}},
}}
"""
_URLS = """
from django.urls import include

urlpatterns.append(path(".well-known/", include("jwt_auth.urls.well_known")))
"""
_WSGI = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "service.settings"
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


@dataclass(frozen=True, kw_only=True)
class VerifyOnlySite:
    """The service's folder, and the issuer whose tokens it verifies."""

    folder: Path
    issuer: Site
    workers: int = 2

    @classmethod
    def create(cls, folder: Path, issuer: Site, key_set: str, *lines: str) -> VerifyOnlySite:
        """Copy the page's files, with this issuer's names, and add lines to the settings."""
        package = folder / "service"
        package.mkdir(parents=True)
        for name in ("settings.py", "urls.py"):
            shutil.copy(RECIPE / name, package)
        settings = (RECIPE / "settings.py").read_text()
        settings = settings.replace("https://auth.example.com/.well-known/jwks.json", key_set)
        settings = settings.replace("https://auth.example.com", "https://auth.example.test")
        settings += _SETTINGS.format(secret=secrets.token_urlsafe(48), host=HOST)
        (package / "settings.py").write_text("\n".join([settings, *lines, ""]))
        with (package / "urls.py").open("a") as urls:
            urls.write(_URLS)
        (package / "wsgi.py").write_text(_WSGI)
        (package / "__init__.py").touch()
        return cls(folder=folder, issuer=issuer)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{k: v for k, v in self.issuer.environment.items() if not k.startswith("JWT_AUTH_")},
            "DJANGO_SETTINGS_MODULE": "service.settings",
            "PYTHONPATH": f"{self.folder}:{ROOT}",
            "SSL_CERT_FILE": str(self.issuer.certificate),
            "NO_PROXY": "*",
        }

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command; the test looks at how it ended."""
        return subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    @contextmanager
    def serve(self) -> Iterator[Server]:
        """Start gunicorn, and wait until it answers a request without a token."""
        log = self.folder / f"gunicorn-{secrets.token_hex(4)}.log"
        with socket.socket() as listener, log.open("wb") as output:
            listener.bind((HOST, 0))
            port = listener.getsockname()[1]
            process = subprocess.Popen(
                self._command(listener.fileno()),
                cwd=self.folder,
                env=self.environment,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        server = Server(
            process=process,
            address=f"https://{HOST}:{port}",
            certificate=self.issuer.certificate,
            log=log,
            workers=self.workers,
        )
        try:
            wait_until(lambda: _is_up(server), "the service answers")
            yield server
        finally:
            stop(process)

    def _command(self, listener: int) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "service.wsgi"),
            *("--bind", f"fd://{listener}"),
            *("--workers", str(self.workers), "--threads", "4"),
            *("--config", str(Path(__file__).with_name("gunicorn_conf.py"))),
            *("--certfile", str(self.issuer.certificate)),
            *("--keyfile", str(self.issuer.certificate_key)),
        ]


def whoami(client: requests.Session, token: str) -> int:
    """Call the service's view; give the status."""
    return client.get("/api/whoami/", headers=bearer(token)).status_code


def _is_up(server: Server) -> bool:
    assert server.process.poll() is None, server.read_log()
    try:
        with server.session() as client:
            return client.get("/api/whoami/", timeout=5).status_code == 401
    except requests.RequestException:
        return False
