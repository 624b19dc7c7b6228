"""The example project as it is deployed: a database, a key ring, and gunicorn over HTTPS."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import requests

from tests.live.certificate import HOST, make_certificate
from tests.live.waiting import wait_until
from tests.live.workers import WORKER

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery staple"
WORKERS, THREADS = 2, 4

#: Off: one machine sends here what a thousand users would.
THROTTLES = (
    *("login_account", "login_address", "refresh"),
    *("password_reset", "password_reset_address", "email_confirmation"),
)

#: Seconds. Only a failure takes as long; a machine that runs other tests at once may be slow.
START_TIMEOUT, REQUEST_TIMEOUT, COMMAND_TIMEOUT = 120, 120, 240

#: In one process, because each takes its time to start; for the same reason all users get one hash.
_SET_UP = """
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("generate_keys", verbosity=0)
User, names, password = get_user_model(), {names!r}, make_password({password!r})
User.objects.bulk_create(
    User(username=name, email=f"{{name}}@example.test", password=password) for name in names
)
"""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running gunicorn."""

    process: subprocess.Popen[bytes]
    address: str
    certificate: Path
    log: Path
    workers: int

    def session(self) -> requests.Session:
        """Give a client that keeps cookies, as a browser does."""
        session = Client(self.address)
        session.verify = str(self.certificate)
        session.trust_env = False  # no proxy, no .netrc: nothing stands in between
        return session

    def wait_until_up(self) -> None:
        """Wait until the server answers.

        Raises:
            AssertionError: it has ended, or takes too long.
        """
        deadline = time.monotonic() + START_TIMEOUT
        with self.session() as session:
            while time.monotonic() < deadline and self.process.poll() is None:
                try:
                    session.get("/.well-known/jwks.json", timeout=5).raise_for_status()
                except requests.RequestException:
                    time.sleep(0.1)
                else:
                    return
        raise AssertionError(f"gunicorn did not come up:\n{self.log.read_text()}")

    def ask_many(self, ask: Callable[[requests.Session], T], clients: int = 16) -> list[T]:
        """Ask over so many connections at once that every worker that is up gets some."""

        def call(_: int) -> T:
            with self.session() as session:
                return ask(session)

        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(call, range(clients)))

    def worker_pids(self) -> list[int]:
        """List the workers by asking the kernel for the master's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def kill_worker(self) -> None:
        """End one worker as the out-of-memory killer would; the master starts another one."""
        pid = self.worker_pids()[0]
        os.kill(pid, signal.SIGKILL)
        # From then on nothing is sent to it any more.
        wait_until(lambda: pid not in self.worker_pids(), "the killed worker is gone")

    def uses_everywhere(self, kid: str) -> bool:
        """Tell whether every worker publishes that key, and so works with a ring that has it."""
        has_key: dict[str, bool] = {}

        def ask(client: requests.Session) -> tuple[str, bool]:
            answer = client.get("/.well-known/jwks.json")
            return answer.headers[WORKER], kid in {key["kid"] for key in answer.json()["keys"]}

        def has_asked_all() -> bool:
            has_key.update(self.ask_many(ask))
            pids = set(map(str, self.worker_pids()))
            return len(pids) == self.workers and pids <= has_key.keys()

        wait_until(has_asked_all, "every worker has answered")
        return all(has_key.get(str(pid), False) for pid in self.worker_pids())

    def read_log(self) -> str:
        """Read what the server has logged so far."""
        return self.log.read_text(errors="replace")

    def errors(self) -> str:
        """Give the first lines of the server's log that tell of an error, for a failing test."""
        lines = self.log.read_text(errors="replace").splitlines()
        first = next((n for n, line in enumerate(lines) if " ERROR " in line), len(lines))
        return "\n".join(lines[first : first + 60])


class Client(requests.Session):
    """A session that is told paths instead of addresses, and waits for no server for ever."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        request.url = f"{self.address}{request.url}"
        return super().prepare_request(request)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = kwargs.get("timeout") or REQUEST_TIMEOUT
        return super().send(request, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Site:
    """All that a deployment has of its own. A changed copy is a deployment with other settings."""

    folder: Path
    database: str
    certificate: Path
    certificate_key: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = WORKERS
    threads: int = THREADS
    has_tls: bool = True

    @classmethod
    def create(cls, folder: Path, database: str, *users: str, **settings: str) -> Site:
        """Set a site up as its operator would: migrate, make the keys, make users."""
        certificate, key = make_certificate(folder)
        site = cls(
            folder=folder, database=database, certificate=certificate, certificate_key=key
        ).using(
            SECRET_KEY=secrets.token_urlsafe(48),
            JWT_AUTH_KEY_RELOAD_INTERVAL="1",
            JWT_AUTH_THROTTLE_RATES=json.dumps(dict.fromkeys(THROTTLES)),
            **settings,
        )
        site.manage("shell", "-c", _SET_UP.format(names=users, password=PASSWORD))
        return site

    def using(self, **settings: str) -> Site:
        """Give the same site with other environment variables."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def keys(self) -> Path:
        """The folder of the key ring."""
        return self.folder / "keys"

    @property
    def environment(self) -> dict[str, str]:
        """What the site's processes see; nothing of the tests' own settings."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in {"DEBUG", "REDIS_URL", "TEST_USER_MODEL"}
            and not name.startswith(("JWT_AUTH_", "SECRET_KEY"))
        }
        return {
            **inherited,
            "DJANGO_SETTINGS_MODULE": "tests.live.settings",
            "ALLOWED_HOSTS": HOST,
            "DATABASE_URL": self.database,
            "EXAMPLE_DATA_DIR": str(self.folder),
            "HOME": str(self.folder),
            **self.settings,
        }

    def manage(self, *arguments: str) -> str:
        """Run a management command in a process of its own; give its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a management command in the background."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def serve(self) -> Iterator[Server]:
        """Start gunicorn and wait until it answers; end it whatever happens."""
        with self.start() as server:
            server.wait_until_up()
            yield server

    @contextmanager
    def start(self) -> Iterator[Server]:
        """Start gunicorn, whether or not it comes up."""
        log = self.folder / f"gunicorn-{secrets.token_hex(4)}.log"
        with socket.socket() as listener, log.open("wb") as output:
            # Handed over open, so that nobody can take the port in between.
            listener.bind((HOST, 0))
            port = listener.getsockname()[1]
            address = f"{'https' if self.has_tls else 'http'}://{HOST}:{port}"
            process = subprocess.Popen(
                self._command(listener.fileno()),
                cwd=ROOT,
                env={"PAGE_URL": f"{address}/", **self.environment},
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        try:
            yield Server(
                process=process,
                address=address,
                certificate=self.certificate,
                log=log,
                workers=self.workers,
            )
        finally:
            stop(process)

    def _command(self, listener: int) -> list[str]:
        tls = ["--certfile", str(self.certificate), "--keyfile", str(self.certificate_key)]
        return [
            *(sys.executable, "-m", "gunicorn", "example_project.wsgi"),
            *("--bind", f"fd://{listener}"),
            *("--workers", str(self.workers), "--threads", str(self.threads)),
            *("--config", str(Path(__file__).with_name("gunicorn_conf.py"))),
            *(tls if self.has_tls else []),
        ]


def bearer(token: str) -> dict[str, str]:
    """Give the header of a request that presents an access token."""
    return {"Authorization": f"Bearer {token}"}


def copy_keys(site: Site, folder: Path) -> Site:
    """Give the site a key folder of its own, to be spoilt."""
    shutil.copytree(site.keys, folder)
    folder.chmod(0o700)
    store = {
        "BACKEND": "jwt_auth.keys.stores.file.FileKeyStore",
        "OPTIONS": {"PATH": str(folder)},
    }
    return site.using(JWT_AUTH_KEY_STORE=json.dumps(store))


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, whatever they are doing."""
    # All at once: a worker that is told to end takes a second, one that waits at its start more.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
